"""How an experiment is told to clients: its settings in their words, and how far it is."""

from typing import Any

from rest_framework import serializers

from common.model_names import without_paths
from eval_app.models import DatasetSplit, Experiment, Run
from eval_app.selectors import experiment_progress
from retrieval_app.models import Encoder
from training_app.models import BaseModel


class ModelOut(serializers.Serializer):
    name = serializers.CharField(source="public_name")
    revision = serializers.CharField(help_text="A commit of the hub, or the digest of a folder.")


class ExperimentSummary(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    dataset = serializers.CharField(source="dataset.name")
    split = serializers.ChoiceField(choices=DatasetSplit.Split.values)
    state = serializers.ChoiceField(choices=Experiment.State.values)
    error = serializers.SerializerMethodField(help_text="Why it failed; null where it did not.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_error(self, experiment: Experiment) -> str | None:
        return without_paths(experiment.error) or None


class AskedOut(serializers.Serializer):
    """What was asked for, defaults included."""

    tasks = serializers.DictField(
        child=serializers.IntegerField(), help_text="Each task with the version of its split that is used."
    )
    methods = serializers.ListField(child=serializers.CharField())
    controls = serializers.ListField(child=serializers.CharField())
    base_model = ModelOut(allow_null=True)
    encoder = ModelOut(allow_null=True, help_text="Of dense retrieval; null where no method may need one.")
    k = serializers.IntegerField()
    hyperparameters = serializers.DictField(help_text="Of adapters, as numbers by name.")
    users = serializers.IntegerField(allow_null=True, help_text="How many of the first users; null: all.")
    seed = serializers.IntegerField()
    num_beams = serializers.IntegerField()
    max_input_tokens = serializers.IntegerField()
    max_output_tokens = serializers.IntegerField()
    exact = serializers.BooleanField()
    dtype = serializers.CharField(help_text="In which the base model runs.")
    adapter_dtype = serializers.CharField(help_text="What adapters are stored in.")
    reference = serializers.BooleanField()


class ColumnOut(serializers.Serializer):
    """How far one method is on one task."""

    task = serializers.CharField()
    method = serializers.CharField()
    state = serializers.ChoiceField(choices=[*Run.State.values, "refused"])
    done = serializers.IntegerField(help_text="Questions answered.")
    total = serializers.IntegerField(help_text="Questions to answer; 0 until the run is known.")
    activity = serializers.CharField(help_text="What is being done, for people.")
    run_id = serializers.IntegerField(allow_null=True, help_text="See `GET /runs/{run_id}`.")
    refusal = serializers.CharField(allow_null=True, help_text="Why the method cannot run on this task.")


class ExperimentOut(ExperimentSummary):
    asked = AskedOut()
    columns = ColumnOut(many=True)
    versions = serializers.DictField(
        child=serializers.CharField(), help_text="Of the packages that its runs are made with; empty until one begins."
    )
    hardware = serializers.DictField()


def rendered(experiment: Experiment) -> dict[str, Any]:
    """The experiment as `ExperimentOut` describes it."""
    columns = [
        {
            "task": column.task,
            "method": column.method,
            "state": column.state,
            "done": column.done,
            "total": column.total,
            "activity": column.activity,
            "run_id": column.run_id,
            "refusal": column.refusal or None,
        }
        for column in experiment_progress(experiment=experiment)
    ]
    return {
        **ExperimentSummary(experiment).data,
        "asked": AskedOut(_asked(experiment.configuration)).data,
        "columns": ColumnOut(columns, many=True).data,
        "versions": experiment.versions,
        "hardware": experiment.hardware,
    }


def _asked(stored: dict[str, Any]) -> dict[str, Any]:
    splits: dict[str, int] = stored["splits"]
    versions = dict(DatasetSplit.objects.filter(pk__in=splits.values()).values_list("pk", "version"))
    encoder_id = stored["encoder_id"]
    return {
        **stored["parameters"],
        "tasks": {task: versions[split_id] for task, split_id in splits.items() if split_id in versions},
        "methods": stored["methods"],
        # Experiments of before there were controls have none.
        "controls": stored.get("controls", []),
        "base_model": BaseModel.objects.filter(pk=stored["base_model_id"]).first(),
        "encoder": None if encoder_id is None else Encoder.objects.filter(pk=encoder_id).first(),
        "k": stored["documents_wanted"],
        "hyperparameters": stored["hyperparameters"],
        "users": stored["user_limit"],
        "seed": stored["seed"],
        "adapter_dtype": stored["adapter_dtype"],
        "reference": stored["reference"],
    }
