"""Runs: what answered one method's questions, with what settings, how well and at what cost."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, page_schema
from common.api.problems import found_or_404
from common.api.serializers import ChoiceField, StringField
from common.model_names import without_paths
from eval_app.api.experiment_answers import ModelOut
from eval_app.api.experiments import experiment_or_404
from eval_app.methods import Family, Method
from eval_app.models import ExperimentRun, Run
from eval_app.workspace_selectors import columns_of, run_by_id
from users_app.api.base import WorkspaceView
from users_app.models import Scope

_TAGS = ["Experiments"]


class RunSummary(serializers.Serializer):
    id = serializers.IntegerField()
    method = serializers.SerializerMethodField(
        help_text="With the retriever that is used where the column says `best`; `imported`: it was made elsewhere."
    )
    task = serializers.CharField(source="split.task")
    state = serializers.ChoiceField(choices=Run.State.values)
    questions = serializers.IntegerField(source="question_count")
    metrics = serializers.DictField(
        child=serializers.FloatField(), allow_null=True, help_text="By name; null until it was scored."
    )
    erased_users = serializers.IntegerField(
        source="erased_end_users", help_text="How many users were erased since whom the metrics are of, too."
    )
    error = serializers.SerializerMethodField(help_text="Why it failed; null where it did not.")
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_method(self, run: Run) -> str:
        return _method_of(run)

    def get_error(self, run: Run) -> str | None:
        return without_paths(run.error) or None


class RunSplitOut(serializers.Serializer):
    """The questions that it answers."""

    dataset = serializers.CharField(source="dataset.name")
    dataset_id = serializers.IntegerField()
    split = serializers.CharField()
    version = serializers.IntegerField()
    digest = serializers.CharField()


class RunDetail(RunSummary):
    version = serializers.CharField(source="identity", help_text="The digest of everything that decides its answers.")
    split = RunSplitOut()
    base_model = ModelOut(allow_null=True)
    encoder = ModelOut(allow_null=True)
    k = serializers.IntegerField(source="documents_wanted")
    hyperparameters = serializers.DictField(help_text="Of its adapters; empty where it has none.")
    adapter_dtype = serializers.CharField(allow_null=True)
    parameters = serializers.DictField(help_text="How it searches for its answers.")
    seed = serializers.IntegerField()
    users = serializers.IntegerField(
        source="user_limit", allow_null=True, help_text="How many of the split's first users; null: all."
    )
    costs = serializers.DictField(
        allow_null=True, help_text="Tokens, mean milliseconds a question, training seconds, bytes; null until scored."
    )
    versions = serializers.DictField(child=serializers.CharField())
    hardware = serializers.DictField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(help_text="When it was last set going.")


class ExperimentRunOut(serializers.Serializer):
    """One method's column on one task, and the run behind it."""

    task = serializers.CharField()
    method = serializers.CharField(help_text="As it was asked for; a control ends with `@swapped`.")
    refusal = serializers.SerializerMethodField(help_text="Why the method cannot run on this task; else null.")
    run = RunSummary(allow_null=True, help_text="Null until it is known which, and where the method is refused.")

    def get_refusal(self, column: ExperimentRun) -> str | None:
        return column.refusal or None


class ExperimentRunsQuery(PageQuery):
    task = StringField(max_length=100, required=False, help_text="Those of this task.")
    state = ChoiceField(choices=Run.State.values, required=False, help_text="Those whose run stands so.")


class ExperimentRunsView(WorkspaceView):
    """The runs of one experiment."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="list_runs",
        tags=_TAGS,
        summary="An experiment's columns with their runs, in the order of its table",
        parameters=[ExperimentRunsQuery],
        responses=page_schema(ExperimentRunOut, name="ExperimentRun"),
    )
    def get(self, request: Request, experiment_id: int) -> Response:
        """Experiments share runs, so one run may stand in several."""
        experiment = experiment_or_404(self, experiment_id)
        query = self.query(ExperimentRunsQuery)
        lookups = {"task": "task", "state": "run__state"}
        asked = {lookup: query[name] for name, lookup in lookups.items() if name in query}
        rows = columns_of(experiment=experiment).filter(**asked)
        return self.page(rows, order=("pk",), render=lambda row: ExperimentRunOut(row).data, query=query)


class RunView(WorkspaceView):
    """One run."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="get_run",
        tags=_TAGS,
        summary="One run: its settings, its metrics, what it cost and where it was made",
        responses=RunDetail,
    )
    def get(self, request: Request, run_id: int) -> Response:
        run = run_or_404(self, run_id)
        return Response({**RunDetail(run).data, "adapter_dtype": run.adapter_dtype or None})


def run_or_404(view: WorkspaceView, run_id: int) -> Run:
    """The workspace's run of that number; raises `Problem` 404."""
    return found_or_404(run_by_id(workspace=view.workspace, run_id=run_id))


def _method_of(run: Run) -> str:
    family = Family(run.family)
    if family is Family.IMPORTED:
        # Each experiment has a label of its own for it.
        return family.value
    options: dict[str, Any] = {"retriever": run.retriever or None, "rank": run.rank, "control": run.control or None}
    return Method(family, **options).key
