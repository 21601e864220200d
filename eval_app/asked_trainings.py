"""Trainings as people and programs of a workspace ask for them: a few at once, none of them endless, with models that
the installation knows.

Whoever runs a command may name any encoder to begin from, and have it trained for as long as they like; here it is the
installation's own, since a worker that all share would load whatever else was named, and within bounds, since all wait
for that worker.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from eval_app.encoder_trainings import JUDGED_DOCUMENTS
from eval_app.model_trainings import OPEN, consenting_questions, request_training, retrain
from eval_app.models import Dataset, DatasetSplit, ModelTraining
from eval_app.training_kinds import TrainingRefused, how_to_train
from retrieval_app.encoders import default_encoder_name, default_initial_selector
from retrieval_app.models import Encoder, TrainedModel
from retrieval_app.retrievers import CONTRIEVER, SELECTING
from training_app.models import BaseModel
from users_app.audit import Actor
from users_app.models import Workspace

MOST: Final[Mapping[str, int]] = MappingProxyType({"epochs": 50, JUDGED_DOCUMENTS: 32})
"""The most of these hyperparameters that a workspace may ask for."""


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


def initial_model_of(kind: str, *, base_model: BaseModel) -> str:
    """The encoder that a training of `kind` begins from."""
    return default_initial_selector(base_model.name) if kind in SELECTING else default_encoder_name()


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
    """`eval_app.model_trainings.request_training` for a member or a program, within a workspace's bounds.

    Raises `TooManyTrainings` besides.
    """
    require_turn(workspace=workspace)
    with transaction.atomic():
        training = request_training(
            workspace=workspace,
            kind=kind,
            dataset=dataset,
            tasks=tasks,
            base_model=base_model,
            encoder=encoder,
            initial_model=initial_model_of(kind, base_model=base_model),
            pool=pool,
            documents_wanted=documents_wanted,
            parameters=parameters,
            hyperparameters=hyperparameters,
            seed=seed,
            user_limit=user_limit,
            begun_by=by.name,
        )
        require_bounded(training)
        return training


def ask_for_retraining(*, workspace: Workspace, trained_model: TrainedModel, by: Actor) -> ModelTraining:
    """`eval_app.model_trainings.retrain` likewise; what came with Lamppost is nobody's to train anew."""
    if trained_model.workspace_id != workspace.pk:
        raise TrainingRefused(
            "This model came with Lamppost, and nobody's data is in it. Train one of your own.", about="trained_model"
        )
    require_turn(workspace=workspace)
    with transaction.atomic():
        training = retrain(trained_model=trained_model, begun_by=by.name)
        require_bounded(training)
        return training


def require_turn(*, workspace: Workspace) -> None:
    """Raise `TooManyTrainings` where another training would be one too many under way.

    It keeps them few, without a lock: those who come in the same moment may be more.
    """
    if ModelTraining.objects.filter(workspace=workspace, state__in=OPEN).count() >= settings.MODEL_TRAININGS_AT_ONCE:
        raise TooManyTrainings(
            f"The workspace has {settings.MODEL_TRAININGS_AT_ONCE} trainings under way already. Wait for one of them "
            "to end, or cancel it."
        )


def require_bounded(training: ModelTraining) -> None:
    """Raise `TrainingRefused` where the training would hold a worker for longer than a workspace's may."""
    chosen = training.hyperparameters
    otherwise = "or have whoever runs this installation train it by its command"
    for name, most in MOST.items():
        if chosen.get(name, 0) > most:
            raise TrainingRefused(
                f"{name} is {chosen[name]}, and a workspace may ask for {most} at most. Choose fewer, {otherwise}.",
                about="hyperparameters",
            )
    questions = sum(consenting_questions(training, split=DatasetSplit.Split.TRAIN).values())
    steps = math.ceil(questions / chosen["batch_size"]) * chosen["epochs"]
    if steps > settings.MODEL_TRAINING_STEPS:
        raise TrainingRefused(
            f"{questions} questions, epochs {chosen['epochs']} and batch_size {chosen['batch_size']} come to {steps} "
            f"steps, and a workspace may ask for {settings.MODEL_TRAINING_STEPS} at most. Choose a larger batch_size, "
            f"fewer epochs or users, {otherwise}.",
            about="hyperparameters",
        )
