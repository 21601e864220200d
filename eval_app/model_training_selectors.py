"""What pages and programs of a workspace see of its trainings over many end users, and how far they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet

from eval_app.model_trainings import training_origin
from eval_app.models import Dataset, DatasetSplit, ModelTraining, Question
from eval_app.training_kinds import how_to_train
from eval_app.workspace_selectors import ColumnCounts, column_counts, newest_of_each_split
from jobs.kinds import get as get_kind
from jobs.models import UNFINISHED, Job, State
from jobs.outcomes import Progress, progress_by_origin
from users_app.models import SharedTraining, Workspace
from users_app.shared_training import may_learn_from

COUNTED_MOST: Final = 10_000
"""Of users who have agreed no more are counted than these."""


def model_trainings_of(*, workspace: Workspace) -> QuerySet[ModelTraining]:
    """Every training of the workspace, each with its dataset and base model."""
    return ModelTraining.objects.filter(workspace=workspace).select_related("dataset", "base_model")


def model_training_by_id(*, workspace: Workspace, model_training_id: int) -> ModelTraining | None:
    """A training of the workspace with all that it belongs to; None where there is none of that number."""
    found = model_trainings_of(workspace=workspace).select_related(
        "workspace", "encoder", "train_experiment", "dev_experiment", "trained_model", "replaces"
    )
    return found.filter(pk=model_training_id).first()


@dataclass(frozen=True)
class TrainingProgress:
    """How far the present phase of a training is: `done` of `total`, which is 0 while nothing is known of it yet.

    `waits_in` is the queue in which its job waits for a worker, empty where it does not.
    """

    done: int = 0
    total: int = 0
    activity: str = ""
    waits_in: str = ""


def training_progress(*, trainings: Collection[ModelTraining]) -> dict[int, TrainingProgress]:
    """By training, how far those are that are under way; the others are not among them."""
    gathering = [one for one in trainings if one.state == ModelTraining.State.FEEDBACK]
    learning = [one for one in trainings if one.state == ModelTraining.State.TRAINING]
    experiment_ids = {pk for one in gathering for pk in (one.train_experiment_id, one.dev_experiment_id) if pk}
    columns = column_counts(experiments=experiment_ids) if experiment_ids else {}
    jobs = progress_by_origin([training_origin(one.pk) for one in gathering]) if gathering else {}
    newest = _training_jobs(learning)
    return {
        **{one.pk: _gathered(one, columns, jobs.get(training_origin(one.pk), Progress())) for one in gathering},
        **{one.pk: _learned(newest.get(training_origin(one.pk))) for one in learning},
    }


def _gathered(training: ModelTraining, columns: dict[int, ColumnCounts], jobs: Progress) -> TrainingProgress:
    counts = [columns[pk] for pk in (training.train_experiment_id, training.dev_experiment_id) if pk in columns]
    if counts:
        ended, total = sum(one.ended for one in counts), sum(one.total for one in counts)
        return TrainingProgress(ended, total, f"{ended} of {total} runs of its feedback have ended")
    if jobs.total > 1:
        return TrainingProgress(
            jobs.ended, jobs.total, f"{jobs.ended} of {jobs.total} jobs for its feedback have ended"
        )
    return TrainingProgress(activity="its feedback is about to be asked for")


def _learned(job: Job | None) -> TrainingProgress:
    if job is None:
        return TrainingProgress(activity="its training is about to begin")
    if job.state == State.WAITING:
        return TrainingProgress(activity="waiting for a worker", waits_in=get_kind(job.kind).queue)
    return TrainingProgress(job.progress_done or 0, job.progress_total or 0, job.progress_message or "begun")


def _training_jobs(trainings: Collection[ModelTraining]) -> dict[str, Job]:
    """By origin, the newest job that trains and has not ended."""
    if not trainings:
        return {}
    kinds = {how_to_train(one.kind).job_kind for one in trainings}
    origins = [training_origin(one.pk) for one in trainings]
    found = Job.objects.filter(origin__in=origins, kind__in=kinds, state__in=UNFINISHED).order_by("pk")
    return {job.origin: job for job in found.defer("payload", "result")}


@dataclass(frozen=True)
class Allowed:
    """Of so many users of a split, those of whom a training may learn; where `is_more`, more than were counted."""

    users: int
    allowed: int
    is_more: bool = False


@dataclass(frozen=True)
class Consent:
    """Who would take part in a training of one task: on the train split, and on dev, where the best step is picked."""

    task: str
    train: Allowed
    dev: Allowed


def consents(*, workspace: Workspace, dataset: Dataset, tasks: Collection[str] | None) -> list[Consent]:
    """Who would take part in a training of now, for each of these tasks (None: all) that the dataset has both splits
    of. Users of each split's newest version; nobody has to be counted unless each is asked.
    """
    splits: dict[str, dict[str, DatasetSplit]] = {}
    for split in newest_of_each_split(dataset=dataset):
        if tasks is None or split.task in tasks:
            splits.setdefault(split.task, {})[split.split] = split
    return [
        Consent(task, _allowed(workspace, own["train"]), _allowed(workspace, own["dev"]))
        for task, own in splits.items()
        if "train" in own and "dev" in own
    ]


def _allowed(workspace: Workspace, split: DatasetSplit) -> Allowed:
    if workspace.shared_training == SharedTraining.EVERYONE:
        return Allowed(split.end_user_count, split.end_user_count)
    if workspace.shared_training == SharedTraining.NOBODY:
        return Allowed(split.end_user_count, 0)
    own = Question.objects.filter(split=split, end_user=OuterRef("pk"))
    allowed = may_learn_from(workspace=workspace).filter(Exists(own))[: COUNTED_MOST + 1].count()
    return Allowed(split.end_user_count, min(allowed, COUNTED_MOST), allowed > COUNTED_MOST)
