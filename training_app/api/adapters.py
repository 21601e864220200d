"""Adapters: ask for one, look at them, download one, delete one."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, page_schema
from common.api.problems import FieldError, Problem, found_or_404, invalid_input, not_found
from common.api.serializers import (
    BooleanField,
    ChoiceField,
    ExternalIdField,
    IntegerField,
    NumberField,
    StrictSerializer,
    StringField,
)
from lamp.catalogue import UnknownTask
from training_app.adapter_deletion import AdapterInUse, delete_adapter
from training_app.adapter_downloads import DOWNLOAD_SECONDS, AdapterUnusable, adapter_download
from training_app.adapter_requests import NothingToLearnFrom, Requested, find_or_request_adapter, plan_from_profile
from training_app.adapter_selectors import adapter_by_id, adapters_of, training_job
from training_app.api.questions import named_end_user
from training_app.base_models import asked_base_model
from training_app.hyperparameters import HYPERPARAMETERS, Bounds
from training_app.models import Adapter
from users_app.api.base import WorkspaceView
from users_app.api.jobs import JobSerializer
from users_app.api.usage import OVER_QUOTA
from users_app.models import EndUser, Scope
from users_app.tasks import task_of

_SEED_MOST = 2**53 - 1


def _field(bounds: Bounds) -> serializers.Field:
    if bounds.whole:
        return IntegerField(min_value=int(bounds.least), max_value=int(bounds.most), default=int(bounds.default))
    return NumberField(min_value=bounds.least, max_value=bounds.most, default=bounds.default)


# How the adapter is trained; what is left out takes the paper's value.
HyperparametersBody = type(
    "HyperparametersBody",
    (StrictSerializer,),
    {name: _field(bounds) for name, bounds in HYPERPARAMETERS.items() if name != "rank"}
    | {"__doc__": "", "__module__": __name__},
)


class AdapterBody(StrictSerializer):
    user = ExternalIdField(help_text="Whose documents it learns from: all that stand in the profile of the task now.")
    task = StringField(max_length=100, help_text="A key that `GET /tasks` lists.")
    base_model = StringField(
        max_length=300,
        required=False,
        help_text="A name that `GET /base-models` lists, with @REVISION for another than the newest.",
    )
    rank = _field(HYPERPARAMETERS["rank"])
    hyperparameters = HyperparametersBody(required=False, help_text="What is left out takes the paper's value.")
    seed = IntegerField(min_value=0, max_value=_SEED_MOST, default=0)
    exact = BooleanField(
        default=False,
        help_text="Trained alone and stored in float32, so that the same bytes can be made again; slower.",
    )


class AdaptersQuery(PageQuery):
    user = ExternalIdField(required=False)
    task = StringField(max_length=100, required=False)
    base_model = StringField(max_length=300, required=False, help_text="A name without a revision.")
    state = ChoiceField(choices=["ready", "withdrawn"], required=False)


class BaseModelName(serializers.Serializer):
    name = serializers.CharField(source="public_name")
    revision = serializers.CharField(help_text="A commit of the hub, or the digest of a folder.")


class AdapterSummary(serializers.Serializer):
    id = serializers.IntegerField()
    version = serializers.CharField(source="identity", help_text="The digest of everything that made it.")
    user = serializers.CharField(source="end_user.external_id")
    task = serializers.CharField()
    task_version = serializers.CharField()
    base_model = BaseModelName()
    rank = serializers.IntegerField()
    hyperparameters = serializers.DictField(help_text="All of them, as numbers by name.")
    seed = serializers.IntegerField()
    exact = serializers.BooleanField()
    state = serializers.SerializerMethodField(help_text="`withdrawn`: not used any more, and not to be downloaded.")
    documents = serializers.IntegerField(source="document_count", help_text="How many it has learned from.")
    size_bytes = serializers.IntegerField()
    stored_dtype = serializers.CharField()
    content_digest = serializers.CharField(help_text="Of its files: equal where they are equal to the byte.")
    steps = serializers.IntegerField()
    training_seconds = serializers.FloatField()
    created_at = serializers.DateTimeField()
    withdrawn_at = serializers.DateTimeField(allow_null=True)

    def get_state(self, adapter: Adapter) -> str:
        return "ready" if adapter.withdrawn_at is None else "withdrawn"


class AdapterDetail(AdapterSummary):
    loss_curve = serializers.ListField(child=serializers.FloatField(), help_text="The training loss of each step.")
    dtype = serializers.CharField(help_text="In which the base model ran while it was trained.")
    engine_version = serializers.CharField()
    versions = serializers.DictField(child=serializers.CharField())


class AdapterAnswer(serializers.Serializer):
    """Either the adapter that stands, or the job that makes it."""

    adapter = AdapterDetail(allow_null=True)
    job = JobSerializer(allow_null=True)


class DownloadFileOut(serializers.Serializer):
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    url = serializers.URLField(help_text="Needs no key, so keep it to yourself; a plain GET reads it.")


class DownloadOut(serializers.Serializer):
    """The files of a folder that `peft.PeftModel.from_pretrained` reads."""

    files = DownloadFileOut(many=True)
    expires_at = serializers.DateTimeField()
    content_digest = serializers.CharField()


class AdaptersView(WorkspaceView):
    """All adapters of the workspace."""

    scopes: ClassVar = {"GET": Scope.TRAIN, "POST": Scope.TRAIN}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="list_adapters",
        tags=["Adapters"],
        summary="The workspace's adapters, the newest first",
        parameters=[AdaptersQuery],
        responses=page_schema(AdapterSummary, name="Adapter"),
    )
    def get(self, request: Request) -> Response:
        """Those in training are not among them: see `GET /jobs?kind=train_adapter`."""
        query = self.query(AdaptersQuery)
        rows = adapters_of(
            workspace=self.workspace,
            external_id=query.get("user"),
            task=query.get("task"),
            base_model=query.get("base_model"),
            withdrawn={"ready": False, "withdrawn": True, None: None}[query.get("state")],
        )
        return self.page(rows, order=("-pk",), render=lambda row: AdapterSummary(row).data, query=query)

    @extend_schema(
        operation_id="request_adapter",
        tags=["Adapters"],
        summary="Have an adapter trained from a user's documents",
        request=AdapterBody,
        responses={
            200: OpenApiResponse(AdapterAnswer, "The adapter that these inputs make stands already."),
            202: OpenApiResponse(AdapterAnswer, "A job makes it. `Location` is the job's address."),
            409: OpenApiResponse(None, "The user has no documents of the task, or no base model is loaded yet."),
            **OVER_QUOTA,
        },
    )
    def post(self, request: Request) -> Response:
        """An adapter is named by everything that makes it: the user, the documents as they stand now, the task's
        version, the base model, the hyperparameters and the seed. The same request finds the adapter that stands (200)
        or the job under way (202), whoever asked first.
        """
        body = self.body(AdapterBody)
        end_user = named_end_user(self, body["user"])
        base_model = asked_base_model(body.get("base_model"))
        try:
            task = task_of(workspace=self.workspace, key=body["task"]).key
        except UnknownTask:
            remedy = "Use a key that GET /api/v1/tasks lists."
            raise invalid_input(FieldError("/task", "There is no such task here.", remedy)) from None

        def create() -> dict[str, Any]:
            try:
                plan = plan_from_profile(
                    workspace=self.workspace,
                    end_user=end_user,
                    task=task,
                    base_model=base_model,
                    hyperparameters={**body.get("hyperparameters", {}), "rank": body["rank"]},
                    seed=body["seed"],
                    exact=body["exact"],
                )
            except EndUser.DoesNotExist:
                raise not_found() from None
            except NothingToLearnFrom:
                raise Problem(
                    409,
                    "no-documents",
                    f"This user has no documents of {task}, so there is nothing to learn from. Add some with "
                    "POST /api/v1/users/{user_id}/documents first.",
                ) from None
            found = find_or_request_adapter(workspace=self.workspace, plan=plan)
            return {
                "adapter_id": found.adapter.pk if found.adapter else None,
                "job_id": found.job.pk if found.job else None,
            }

        made, _ = self.once(end_user=end_user, create=create)
        return self._answer(made)

    def _answer(self, made: dict[str, Any]) -> Response:
        found = Requested(
            adapter=made["adapter_id"] and adapter_by_id(workspace=self.workspace, adapter_id=made["adapter_id"]),
            job=made["job_id"] and training_job(workspace=self.workspace, job_id=made["job_id"]),
        )
        if found.adapter is not None:
            return Response(AdapterAnswer(found).data)
        # None: an earlier answer to this request, whose adapter or job is gone since.
        job = found_or_404(found.job)
        return Response(AdapterAnswer(found).data, status=202, headers={"Location": f"/api/v1/jobs/{job.pk}"})


class AdapterView(WorkspaceView):
    """One adapter."""

    scopes: ClassVar = {"GET": Scope.TRAIN, "DELETE": Scope.TRAIN}

    @extend_schema(
        operation_id="get_adapter",
        tags=["Adapters"],
        summary="One adapter, and how it was made",
        responses=AdapterDetail,
    )
    def get(self, request: Request, adapter_id: int) -> Response:
        return Response(AdapterDetail(_adapter_or_404(self, adapter_id)).data)

    @extend_schema(
        operation_id="delete_adapter",
        tags=["Adapters"],
        summary="Delete an adapter and its files",
        responses={
            204: OpenApiResponse(None, "It is gone."),
            409: OpenApiResponse(None, "Outputs are being made with it: try again when they are done."),
        },
    )
    def delete(self, request: Request, adapter_id: int) -> Response:
        """Texts that were written with it stay, and name no adapter any more."""
        adapter = _adapter_or_404(self, adapter_id)
        try:
            delete_adapter(adapter=adapter)
        except AdapterInUse as in_use:
            raise Problem(409, "adapter-in-use", f"{in_use} Wait for them, and delete it again.") from None
        return Response(status=204)


class AdapterDownloadView(WorkspaceView):
    """The files of one adapter."""

    scopes: ClassVar = {"GET": Scope.TRAIN}

    @extend_schema(
        operation_id="download_adapter",
        tags=["Adapters"],
        summary="Addresses from which an adapter's files can be read",
        responses={
            200: DownloadOut,
            409: OpenApiResponse(None, "The adapter was withdrawn, or its files are lost: have it made again."),
        },
        description=(
            "An adapter is a folder of two files, as `peft` reads it. Each has an address here that works for "
            f"{DOWNLOAD_SECONDS // 60} minutes and needs no key. Put both into one folder under their names:\n\n"
            "```\nmkdir adapter\ncurl -s -H 'Authorization: Bearer lp_…' …/api/v1/adapters/12/download | python3 -c '\n"
            "import json, sys, urllib.request\n"
            'for file in json.load(sys.stdin)["files"]:\n'
            '    urllib.request.urlretrieve(file["url"], "adapter/" + file["name"])\'\n```\n\n'
            "`PeftModel.from_pretrained(base_model, 'adapter')` then loads it."
        ),
    )
    def get(self, request: Request, adapter_id: int) -> Response:
        adapter = _adapter_or_404(self, adapter_id)
        try:
            download = adapter_download(adapter=adapter)
        except AdapterUnusable as unusable:
            raise Problem(
                409, "adapter-withdrawn", f"{unusable} Have it made again with POST /api/v1/adapters."
            ) from None
        answer = {"files": download.files, "expires_at": download.expires_at, "content_digest": adapter.content_digest}
        return Response(DownloadOut(answer).data, headers={"Cache-Control": "no-store"})


def _adapter_or_404(view: WorkspaceView, adapter_id: int) -> Adapter:
    return found_or_404(adapter_by_id(workspace=view.workspace, adapter_id=adapter_id))
