"""Deleting a dataset with all that hangs on it: asked for here, done by a job in transactions of bounded size.

Trainings of models, experiments, runs with their predictions and improvement records, questions, splits and kept files
go. So do the people whom an import of the dataset has made, with their documents, adapters and vectors, unless anything
else uses them.

The job may die and be repeated at any place: each step finds what is left, and the dataset's own row goes last.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from common.objects import get_store
from eval_app.import_requests import is_kept, kept_sources
from eval_app.kinds import DELETE_DATASET, IMPORT_DATASET
from eval_app.model_trainings import OPEN
from eval_app.models import (
    Dataset,
    DatasetSplit,
    Experiment,
    ExperimentRun,
    ModelTraining,
    Prediction,
    Question,
    Run,
    UserImprovement,
)
from eval_app.runs import TERMINAL
from eval_app.selectors import run_origin
from jobs.models import UNFINISHED, Job
from jobs.outcomes import unfinished_origins
from jobs.services import JobSpec, enqueue
from training_app.models import Generation
from users_app.audit import INSTALLATION, Actor, record
from users_app.erasure import delete_end_users
from users_app.models import AuditEntry, EndUser, ProfileEntry, Workspace

ROWS_AT_ONCE: Final = 5_000
USERS_AT_ONCE: Final = 100
_NAMED: Final = 5

Report = Callable[[int, int, str], None]
"""Told now and then: questions and predictions deleted, how many there were, what is being done. May raise to stop."""


class DeletionRefused(ValueError):
    """The dataset is in use; the message says by what, and what to do."""

    safe_message = True


@dataclass(frozen=True)
class Hanging:
    """What would go with a dataset, by its own counts: nothing is counted row by row."""

    splits: int
    questions: int
    experiments: list[str]
    """Names of the first few."""
    experiment_count: int
    runs: int
    predictions: int
    in_use: str
    """Why it cannot be deleted now; empty where it can."""


def what_hangs_on(*, workspace: Workspace, dataset: Dataset) -> Hanging:
    """What deleting `dataset` would take away."""
    splits = DatasetSplit.objects.filter(dataset=dataset, dataset__workspace=workspace)
    runs = Run.objects.filter(workspace=workspace, split__dataset=dataset)
    experiments = Experiment.objects.filter(workspace=workspace, dataset=dataset)
    return Hanging(
        splits=splits.count(),
        questions=splits.aggregate(n=models.Sum("question_count"))["n"] or 0,
        experiments=list(experiments.order_by("-pk").values_list("name", flat=True)[:_NAMED]),
        experiment_count=experiments.count(),
        runs=runs.count(),
        predictions=runs.aggregate(n=models.Sum("question_count"))["n"] or 0,
        in_use=_in_use(workspace, dataset),
    )


def deletion_of(*, workspace: Workspace, dataset_id: int) -> Job | None:
    """The newest job that deletes or has deleted the workspace's dataset of that number, None where there is none."""
    jobs = Job.objects.filter(workspace_id=workspace.pk, kind=DELETE_DATASET.name, origin=_origin(dataset_id))
    return jobs.order_by("-pk").first()


@transaction.atomic
def request_deletion(*, workspace: Workspace, dataset: Dataset, by: Actor = INSTALLATION) -> Job:
    """Have `dataset` deleted, and return the job. From now on nothing is imported into it and no experiment uses it.

    Asking again while the job is under way is asking once; after it has failed it goes on where it was.

    Raises `DeletionRefused` while an import or an experiment of the dataset is under way, and `Dataset.DoesNotExist`
    for one of another workspace, or one that is gone.
    """
    # Whoever asks for an import or an experiment locks it likewise: one of the two sees the other.
    held = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk, workspace=workspace)
    reason = _in_use(workspace, held)
    if reason:
        raise DeletionRefused(reason)
    first = held.deletion_requested_at is None
    if first:
        Dataset.objects.filter(pk=held.pk).update(deletion_requested_at=Now())
    job = enqueue(
        JobSpec(
            kind=DELETE_DATASET.name,
            workspace_id=workspace.pk,
            origin=_origin(held.pk),
            payload={"dataset_id": held.pk},
            dedupe_key=f"delete_dataset:{held.pk}",
        )
    )
    if first:
        record(
            workspace=workspace,
            action=AuditEntry.Action.DATASET_DELETED,
            by=by,
            subject=held.name,
            details={"job_id": job.pk, "dataset_id": held.pk},
        )
    return job


def delete_contents(
    *, workspace: Workspace, dataset: Dataset, report: Report = lambda done, total, doing: None
) -> None:
    """Delete all that hangs on `dataset`, in short transactions of its own. What is left is its row and its splits'.

    Safe to repeat. Raises what `report` raises, and `ObjectStoreError`.
    """
    removed: Counter[str] = Counter()
    hanging = what_hangs_on(workspace=workspace, dataset=dataset)
    total = hanging.questions + hanging.predictions

    def tell(doing: str) -> None:
        report(min(removed["questions"] + removed["predictions"], total), total, doing)

    # A model that was trained on it stays: it is not the dataset's alone, and people are erased from it by name.
    ModelTraining.objects.filter(workspace=workspace, dataset=dataset).delete()
    for experiment in Experiment.objects.filter(workspace=workspace, dataset=dataset).only("pk"):
        tell("deleting experiments")
        with transaction.atomic():
            ExperimentRun.objects.filter(experiment=experiment).delete()
            Experiment.objects.filter(pk=experiment.pk).delete()
    for run_id in _run_ids(workspace, dataset):
        _delete_run(run_id, removed, tell)
    for split in DatasetSplit.objects.filter(dataset=dataset).order_by("pk"):
        while count := _delete_questions(workspace, dataset, split):
            removed["questions"] += count
            tell("deleting questions and the people who ask them")


def delete_row(*, workspace: Workspace, dataset: Dataset) -> list[str]:
    """Delete the dataset itself with its splits, when nothing hangs on them. Call it in a transaction.

    Return the prefixes of its kept files, which `delete_kept` deletes after the commit.
    """
    splits = DatasetSplit.objects.filter(dataset=dataset, dataset__workspace=workspace)
    prefixes = kept_sources(workspace=workspace, split_ids=list(splits.values_list("pk", flat=True)))
    Dataset.objects.filter(pk=dataset.pk, workspace=workspace).delete()
    return prefixes


def delete_kept(prefixes: Collection[str]) -> None:
    """Delete kept files that no split stands for any more. What is missed here the sweep of uploads finds.

    Raises `ObjectStoreError`.
    """
    for prefix in prefixes:
        if not is_kept(prefix):
            get_store().delete_prefix(prefix)


def _origin(dataset_id: int) -> str:
    return f"dataset:{dataset_id}"


def _in_use(workspace: Workspace, dataset: Dataset) -> str:
    """Why `dataset` cannot be deleted, in words for whoever asks; empty where it can."""
    imports = Job.objects.filter(workspace_id=workspace.pk, kind=IMPORT_DATASET.name, state__in=UNFINISHED)
    if imports.filter(payload__dataset=dataset.name).exists():
        return "An import into this dataset is under way. Wait until it has ended, or cancel it."
    training = ModelTraining.objects.filter(workspace=workspace, dataset=dataset, state__in=OPEN).order_by("pk").first()
    if training is not None:
        return f"Training {training.pk} of a model on this dataset is under way. Wait until it has ended, or cancel it."
    active = Experiment.objects.filter(workspace=workspace, dataset=dataset, state=Experiment.State.ACTIVE)
    name = active.order_by("pk").values_list("name", flat=True).first()
    if name is not None:
        return f"Experiment “{name}” of this dataset is under way. Wait until it has ended, or cancel it."
    runs = Run.objects.filter(workspace=workspace, split__dataset=dataset)
    experiments = Experiment.objects.filter(workspace=workspace, dataset=dataset).values_list("pk", flat=True)
    origins = [run_origin(pk) for pk in runs.values_list("pk", flat=True)]
    origins += [f"experiment:{pk}" for pk in experiments]
    if runs.exclude(state__in=TERMINAL).exists() or unfinished_origins(origins):
        return "Runs of this dataset are still ending. Try again in a moment."
    return ""


def _run_ids(workspace: Workspace, dataset: Dataset) -> list[int]:
    return list(
        Run.objects.filter(workspace=workspace, split__dataset=dataset).order_by("pk").values_list("pk", flat=True)
    )


def _delete_run(run_id: int, removed: Counter[str], tell: Callable[[str], None]) -> None:
    doomed: list[tuple[QuerySet[Any], str]] = [
        (UserImprovement.objects.filter(run=run_id), "improvements"),
        (UserImprovement.objects.filter(baseline=run_id), "improvements"),
        (Prediction.objects.filter(run=run_id), "predictions"),
        # Those that were never collected.
        (Generation.objects.filter(origin__startswith=f"{run_origin(run_id)}/"), "generations"),
    ]
    for rows, name in doomed:
        while count := _delete_some(rows):
            removed[name] += count
            tell("deleting runs and their predictions")
    with transaction.atomic():
        ExperimentRun.objects.filter(run=run_id).delete()
        Run.objects.filter(pk=run_id).delete()


def _delete_some(rows: QuerySet[Any]) -> int:
    """Delete some of `rows`, to which nothing refers any more, in one statement and transaction; how many."""
    some = list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE])
    table = rows.model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f'DELETE FROM "{table}" WHERE id = ANY(%s)', [some])  # noqa: S608 - our own name
    return len(some)


def _delete_questions(workspace: Workspace, dataset: Dataset, split: DatasetSplit) -> int:
    """Delete the questions of some people in a split, and those of these people whom nothing else uses.

    How many questions; 0 where none was left.
    """
    asked = Question.objects.filter(split=split, split__dataset__workspace=workspace)
    first = asked.order_by("position").values_list("end_user_id", flat=True)[:USERS_AT_ONCE]
    people = sorted(set(first))
    deleted = 0

    def act() -> list[int]:
        nonlocal deleted
        # Predictions, which refer to them, are gone already. In one statement: their profiles are long to read.
        with connection.cursor() as cursor:
            cursor.execute(
                """
                DELETE FROM eval_app_documentfeedback AS f USING eval_app_question AS q, eval_app_datasetsplit AS s
                 WHERE f.question_id = q.id AND q.split_id = s.id
                   AND q.end_user_id = ANY(%s) AND s.dataset_id = %s
                """,
                [people, dataset.pk],
            )
            cursor.execute(
                """
                DELETE FROM eval_app_question
                 WHERE end_user_id = ANY(%s)
                   AND split_id IN (SELECT id FROM eval_app_datasetsplit WHERE dataset_id = %s)
                """,
                [people, dataset.pk],
            )
            deleted = cursor.rowcount
        return list(_left_over(workspace, dataset, people).values_list("pk", flat=True))

    if people:
        delete_end_users(workspace=workspace, end_user_ids=people, among=act)
    return deleted


def _left_over(workspace: Workspace, dataset: Dataset, people: Collection[int]) -> QuerySet[EndUser]:
    """Those of `people` whom an import of `dataset` has made, and whom nothing uses any more.

    Whoever has had a profile entry, or is asked about by a client, is somebody that a client put there too. Clients
    cannot write a slash into a name, and a dataset's name holds none, so no other dataset's people begin like these.
    """
    mine = EndUser.objects.filter(pk__in=people, workspace=workspace, external_id__startswith=f"{dataset.name}/")
    whose = {"end_user": OuterRef("pk")}
    used = (
        Q(Exists(Question.objects.filter(**whose)))
        | Q(Exists(Prediction.objects.filter(**whose)))
        | Q(Exists(Prediction.objects.filter(swapped_with=OuterRef("pk"))))
        | Q(Exists(ProfileEntry.objects.filter(**whose)))
        | Q(Exists(Generation.objects.filter(**whose).exclude(asked_method="")))
    )
    return mine.exclude(used)
