"""How trainings over many users, and the models that came of them, are told to clients. No participant is named."""

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.model_names import public_name, without_paths
from eval_app.api.experiment_answers import ModelOut
from eval_app.model_training_selectors import TrainingProgress, training_progress
from eval_app.models import ModelTraining
from retrieval_app.models import TrainedModel
from retrieval_app.retrievers import POOL_TITLES
from retrieval_app.trained_model_selectors import LACKS_ENCODER, READY, WITHDRAWN


class NamedModelOut(serializers.Serializer):
    """A model at a revision: a commit of the hub, or the digest of a folder."""

    name = serializers.CharField()
    revision = serializers.CharField()


class MemberOut(serializers.Serializer):
    """A retriever of a pool; a dense one with its encoder."""

    retriever = serializers.ChoiceField(choices=list(POOL_TITLES))
    encoder = NamedModelOut(allow_null=True)


class ProgressOut(serializers.Serializer):
    """How far the present phase is."""

    done = serializers.IntegerField()
    total = serializers.IntegerField(help_text="0 while it is not known.")
    message = serializers.CharField(source="activity", help_text="What is being done, for people.")


class ModelTrainingSummary(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=TrainedModel.Kind.values)
    dataset = serializers.CharField(source="dataset.name")
    tasks = serializers.ListField(child=serializers.CharField())
    base_model = ModelOut()
    state = serializers.ChoiceField(
        choices=ModelTraining.State.values, help_text="`feedback` is gathered first; then comes the `training`."
    )
    error = serializers.SerializerMethodField(help_text="Why it failed; null where it did not.")
    trained_model_id = serializers.IntegerField(
        allow_null=True, help_text="What came of it: `GET /trained-models/{id}`."
    )
    replaces = serializers.IntegerField(
        source="replaces_id", allow_null=True, help_text="The trained model that is withdrawn when this one is done."
    )
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_error(self, training: ModelTraining) -> str | None:
        return without_paths(training.error) or None


class TrainingAskedOut(serializers.Serializer):
    """What was asked for, defaults included."""

    pool = MemberOut(many=True, help_text="Of a selector; empty for an encoder.")
    encoder = ModelOut(allow_null=True, help_text="Of dense retrieval; null where none is needed.")
    initial_model = serializers.CharField(help_text="The encoder that training begins from.")
    k = serializers.IntegerField()
    hyperparameters = serializers.DictField(child=serializers.FloatField(), help_text="All of the kind's, by name.")
    users = serializers.IntegerField(allow_null=True, help_text="How many of the first users; null: all.")
    seed = serializers.IntegerField()
    num_beams = serializers.IntegerField()
    max_input_tokens = serializers.IntegerField()
    max_output_tokens = serializers.IntegerField()
    exact = serializers.BooleanField()
    dtype = serializers.CharField(help_text="In which the base model runs.")


class ModelTrainingOut(ModelTrainingSummary):
    progress = ProgressOut(allow_null=True, help_text="Null when it has ended.")
    asked = TrainingAskedOut()
    feedback = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="The experiments that make its feedback on train and dev: `GET /experiments/{experiment_id}`.",
    )


class TrainedModelSummary(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=TrainedModel.Kind.values)
    tasks = serializers.ListField(child=serializers.CharField(), help_text="For which it is used.")
    base_model = serializers.SerializerMethodField(help_text="The model whose feedback it has learned from.")
    pool = serializers.SerializerMethodField(help_text="What a selector chooses among; empty for an encoder.")
    k = serializers.IntegerField(source="documents_wanted")
    state = serializers.SerializerMethodField(
        help_text="`withdrawn`: not used any more. `lacks-encoder`: not used either, as an encoder of its pool was "
        "withdrawn; have it trained anew."
    )
    came_with_lamppost = serializers.SerializerMethodField(help_text="Whether it did; then nobody's data is in it.")
    participants = serializers.IntegerField(
        source="participant_count", help_text="From how many users it has learned. Who they are is not told."
    )
    erasures = serializers.IntegerField(
        help_text="How often, since it was made, one of them was erased or took back their agreement, or documents of "
        "one were erased. Where it is not 0, have it trained anew."
    )
    metrics = serializers.DictField(help_text="On the dev split, beside the best single retriever and the oracle.")
    size_bytes = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    withdrawn_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(NamedModelOut)
    def get_base_model(self, model: TrainedModel) -> dict[str, str]:
        return _model(model.base_model)

    @extend_schema_field(MemberOut(many=True))
    def get_pool(self, model: TrainedModel) -> list[dict[str, Any]]:
        return _members(model.pool)

    def get_state(self, model: TrainedModel) -> str:
        if model.withdrawn_at is not None:
            return WITHDRAWN
        return LACKS_ENCODER if model.lacks_encoder else READY  # type: ignore[attr-defined]

    def get_came_with_lamppost(self, model: TrainedModel) -> bool:
        return model.workspace_id is None


class TrainedModelDetail(TrainedModelSummary):
    version = serializers.CharField(source="identity", help_text="The digest of everything that made it.")
    initial_model = serializers.SerializerMethodField(help_text="The encoder that training began from.")
    encoder = ModelOut(allow_null=True, help_text="What an encoder's training made; null for a selector.")
    hyperparameters = serializers.DictField()
    seed = serializers.IntegerField()
    feedback_digest = serializers.CharField(help_text="Equal where it has learned from equal feedback.")
    content_digest = serializers.CharField(help_text="Of its files.")
    loss_curve = serializers.ListField(child=serializers.FloatField(), help_text="The training loss of each step.")
    steps = serializers.IntegerField()
    training_seconds = serializers.FloatField()
    versions = serializers.DictField(child=serializers.CharField())
    hardware = serializers.DictField()

    @extend_schema_field(NamedModelOut)
    def get_initial_model(self, model: TrainedModel) -> dict[str, str]:
        return _model(model.initial_model)


def training_json(training: ModelTraining) -> dict[str, Any]:
    """A training with its relations, as `ModelTrainingOut` describes it."""
    progress: TrainingProgress | None = training_progress(trainings=[training]).get(training.pk)
    asked = {
        **training.parameters,
        "encoder": training.encoder,
        "initial_model": public_name(training.initial_model),
        "k": training.documents_wanted,
        "hyperparameters": training.hyperparameters,
        "users": training.user_limit,
        "seed": training.seed,
    }
    return {
        **ModelTrainingSummary(training).data,
        "progress": None if progress is None else ProgressOut(progress).data,
        "asked": {**TrainingAskedOut({**asked, "pool": []}).data, "pool": _members(training.pool)},
        "feedback": [pk for pk in (training.train_experiment_id, training.dev_experiment_id) if pk is not None],
    }


def _members(pool: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "retriever": member["retriever"],
            "encoder": {"name": public_name(member["encoder"]), "revision": member["encoder_revision"]}
            if member.get("encoder")
            else None,
        }
        for member in pool
    ]


def _model(named: str) -> dict[str, str]:
    name, _, revision = named.rpartition("@")
    return {"name": public_name(name), "revision": revision}
