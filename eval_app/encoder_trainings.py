"""Training an encoder on the base model's feedback (ROPG, LaMP reference §3): what its kinds differ in from selectors.

Distillation and reinforcement learning learn from the same feedback, so that the second of the two asks for nothing.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from django.db.models import QuerySet

from eval_app.document_feedback import FIRST_DOCUMENTS, FeedbackSettings, request_feedback
from eval_app.feedback_hyperparameters import FEEDBACK_HYPERPARAMETERS
from eval_app.kinds import GATHER_DOCUMENT_FEEDBACK, TRAIN_ENCODER
from eval_app.model_trainings import training_origin
from eval_app.models import DatasetSplit, ModelTraining
from eval_app.selectors import newest_splits
from eval_app.training_kinds import TrainingFailed, TrainingKind, TrainingRefused
from jobs.models import UNFINISHED, Job, State
from jobs.services import retry
from lamp.catalogue import get_task
from training_app.hyperparameters import Bounds

SPLITS: Final = (DatasetSplit.Split.TRAIN, DatasetSplit.Split.DEV)
"""What is learned from, and what the best step is picked on."""

JUDGED_DOCUMENTS: Final = "judged_documents"
"""Of the hyperparameters, how many of the initial retriever's first documents are judged."""

HYPERPARAMETERS: Final[Mapping[str, Bounds]] = MappingProxyType(
    {
        **FEEDBACK_HYPERPARAMETERS,
        # Divides the utilities, `temperature` the scores; 0: that one divides both. Of distillation alone.
        "label_temperature": Bounds(0.0, 0.0, 1_000.0),
        # Among one document there is no better and worse.
        JUDGED_DOCUMENTS: Bounds(FIRST_DOCUMENTS, 2, 200),
    }
)


def splits_of(training: ModelTraining) -> dict[str, DatasetSplit]:
    """The newest train and dev split of the training's task. Raises `TrainingFailed` where one is gone."""
    [task] = training.tasks
    found = {
        split: newest_splits(workspace=training.workspace, dataset=training.dataset, split=split).get(task)
        for split in SPLITS
    }
    gone = [str(split) for split, standing in found.items() if standing is None]
    if gone:
        raise TrainingFailed(f"The {' and '.join(gone)} split of {task} is gone.")
    return {split: standing for split, standing in found.items() if standing is not None}


def settings_of(training: ModelTraining) -> FeedbackSettings:
    """Of what the training was asked for, the part that decides its feedback."""
    assert training.encoder is not None
    [task] = training.tasks
    return FeedbackSettings(
        task=get_task(task),
        encoder=training.encoder,
        base_model=training.base_model,
        documents=training.hyperparameters[JUDGED_DOCUMENTS],
        parameters=training.parameters,
    )


def _settle(training: ModelTraining, pool: Sequence[str]) -> None:
    if pool:
        raise TrainingRefused("An encoder has no pool: leave it out.", about="pool")
    if training.encoder is None:
        raise TrainingRefused("Name the encoder whose first documents the base model is to judge.", about="encoder")
    if len(training.tasks) != 1:
        raise TrainingRefused(
            "An encoder is trained for one task: begin a training for each of them.",
            about="tasks",
        )


def _feedback(training: ModelTraining) -> bool:
    """Ask for what is missing; True when there is nothing."""
    asked = _jobs_of(training)
    if asked.filter(state__in=UNFINISHED).exists():
        return False
    failed = asked.filter(state=State.FAILED).order_by("pk").first()
    if failed is not None:
        raise TrainingFailed(
            f"The feedback could not be gathered. Job {failed.pk}: {failed.error_message or failed.error_type}"
        )
    settings = settings_of(training)
    keys: set[str] = set()
    for split in splits_of(training).values():
        keys |= request_feedback(
            workspace=training.workspace,
            split=split,
            user_limit=training.user_limit,
            settings=settings,
            origin=training_origin(training.pk),
        )
    return not keys


def _forget(training: ModelTraining) -> None:
    """Let the jobs that have failed run again."""
    retry(*_jobs_of(training).filter(state=State.FAILED).values_list("pk", flat=True))


def _jobs_of(training: ModelTraining) -> QuerySet[Job]:
    return Job.objects.filter(origin=training_origin(training.pk), kind=GATHER_DOCUMENT_FEEDBACK.name)


ENCODERS: Final = TrainingKind(
    hyperparameters=HYPERPARAMETERS,
    settle=_settle,
    feedback=_feedback,
    job_kind=TRAIN_ENCODER.name,
    forget=_forget,
)
