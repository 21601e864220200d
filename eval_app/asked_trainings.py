"""Trainings as people and programs of a workspace ask for them: a few at once, with models that the installation knows.

Whoever runs a command may name any encoder to begin from; here it is the installation's own, since a worker that all
share would load whatever else was named.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.conf import settings

from eval_app.model_trainings import OPEN, request_training, retrain
from eval_app.models import Dataset, ModelTraining
from eval_app.training_kinds import TrainingRefused, how_to_train
from retrieval_app.encoders import default_encoder_name
from retrieval_app.models import Encoder, TrainedModel
from retrieval_app.retrievers import CONTRIEVER, SELECTING
from training_app.models import BaseModel
from users_app.audit import Actor
from users_app.models import Workspace

_SMALL: Final = "small"
SELECTOR_ENCODER: Final = "allenai/longformer-base-4096"
"""What the published selectors are made of (LaMP reference §3)."""


class TooManyTrainings(ValueError):
    """The workspace has as many trainings under way as it may have."""

    safe_message = True


def kinds_to_train() -> list[TrainedModel.Kind]:
    """The kinds of model that this installation can train, in their order."""
    found = []
    for kind in TrainedModel.Kind:
        try:
            how_to_train(kind)
        except TrainingRefused:
            continue
        found.append(kind)
    return found


def initial_model_of(kind: str) -> str:
    """The encoder that a training of `kind` begins from: the repository's own where the base model is, too."""
    if kind not in SELECTING:
        return default_encoder_name()
    return _SMALL if settings.DEFAULT_BASE_MODEL == _SMALL else SELECTOR_ENCODER


def needs_encoder(kind: str, pool: Sequence[str]) -> bool:
    """Whether the training retrieves by the installation's encoder; fine-tuned members bring their own."""
    return kind not in SELECTING or CONTRIEVER in pool


def ask_for_training(
    *,
    workspace: Workspace,
    kind: str,
    dataset: Dataset,
    tasks: Sequence[str] | None,
    base_model: BaseModel,
    encoder: Encoder | None,
    pool: Sequence[str],
    documents_wanted: int,
    parameters: Mapping[str, Any],
    hyperparameters: Mapping[str, Any],
    seed: int,
    user_limit: int | None,
    by: Actor,
) -> ModelTraining:
    """`eval_app.model_trainings.request_training` for a member or a program. Raises `TooManyTrainings` besides."""
    require_turn(workspace=workspace)
    return request_training(
        workspace=workspace,
        kind=kind,
        dataset=dataset,
        tasks=tasks,
        base_model=base_model,
        encoder=encoder,
        initial_model=initial_model_of(kind),
        pool=pool,
        documents_wanted=documents_wanted,
        parameters=parameters,
        hyperparameters=hyperparameters,
        seed=seed,
        user_limit=user_limit,
        begun_by=by.name,
    )


def ask_for_retraining(*, workspace: Workspace, trained_model: TrainedModel, by: Actor) -> ModelTraining:
    """`eval_app.model_trainings.retrain` likewise; what came with Lamppost is nobody's to train anew."""
    if trained_model.workspace_id != workspace.pk:
        raise TrainingRefused(
            "This model came with Lamppost, and nobody's data is in it. Train one of your own.", about="trained_model"
        )
    require_turn(workspace=workspace)
    return retrain(trained_model=trained_model, begun_by=by.name)


def require_turn(*, workspace: Workspace) -> None:
    """Raise `TooManyTrainings` where another training would be one too many under way.

    It keeps them few, without a lock: those who come in the same moment may be more.
    """
    if ModelTraining.objects.filter(workspace=workspace, state__in=OPEN).count() >= settings.MODEL_TRAININGS_AT_ONCE:
        raise TooManyTrainings(
            f"The workspace has {settings.MODEL_TRAININGS_AT_ONCE} trainings under way already. Wait for one of them "
            "to end, or cancel it."
        )
