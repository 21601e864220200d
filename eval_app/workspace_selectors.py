"""What programs of a workspace see of its uploads, datasets, experiments and runs."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, Q, QuerySet

from eval_app.models import Dataset, DatasetSplit, Experiment, ExperimentRun, Prediction, Run, Upload, UserImprovement
from users_app.models import Workspace


def uploads_of(*, workspace: Workspace) -> QuerySet[Upload]:
    """Those that wait to be imported, and those that are being imported."""
    return Upload.objects.filter(workspace=workspace)


def datasets_of(*, workspace: Workspace) -> QuerySet[Dataset]:
    """Every dataset of the workspace but those that are being deleted."""
    return Dataset.objects.filter(workspace=workspace, deletion_requested_at__isnull=True)


def datasets_to_delete(*, workspace: Workspace) -> QuerySet[Dataset]:
    """Every dataset of the workspace, those that are being deleted too."""
    return Dataset.objects.filter(workspace=workspace)


def tasks_of_datasets(*, workspace: Workspace) -> list[str]:
    """The tasks that any dataset of the workspace has, by name."""
    splits = DatasetSplit.objects.filter(dataset__workspace=workspace)
    return list(splits.order_by("task").values_list("task", flat=True).distinct())


def splits_of(*, dataset: Dataset) -> QuerySet[DatasetSplit]:
    """Every version of every split."""
    return DatasetSplit.objects.filter(dataset=dataset)


def newest_of_each_split(*, dataset: Dataset) -> list[DatasetSplit]:
    """The newest version of each task's splits, by task and split."""
    newest = splits_of(dataset=dataset).order_by("task", "split", "-version").distinct("task", "split")
    return list(newest)


def experiments_of(*, workspace: Workspace) -> QuerySet[Experiment]:
    """Every experiment of the workspace, with its dataset and without its table."""
    return Experiment.objects.filter(workspace=workspace).select_related("dataset").defer("report")


def experiment_by_id(*, workspace: Workspace, experiment_id: int) -> Experiment | None:
    """An experiment of the workspace; None where there is none of that number."""
    return experiments_of(workspace=workspace).select_related("workspace").filter(pk=experiment_id).first()


@dataclass(frozen=True)
class ColumnCounts:
    """How many columns an experiment has, and how many of them have ended (a refused one has) or failed."""

    total: int
    ended: int
    failed: int


def column_counts(*, experiments: Collection[Experiment] | Collection[int]) -> dict[int, ColumnCounts]:
    """By experiment (they, or their ids), how far its columns are."""
    ended = Q(run__state__in=[Run.State.DONE, Run.State.FAILED, Run.State.CANCELLED]) | ~Q(refusal="")
    found = (
        ExperimentRun.objects.filter(experiment__in=experiments)
        .order_by()
        .values_list("experiment")
        .annotate(
            total=Count("pk"),
            ended=Count("pk", filter=ended),
            failed=Count("pk", filter=Q(run__state=Run.State.FAILED)),
        )
    )
    return {pk: ColumnCounts(total, ended, failed) for pk, total, ended, failed in found}


def columns_of(*, experiment: Experiment) -> QuerySet[ExperimentRun]:
    """The columns of an experiment, task by task, each with its run."""
    return ExperimentRun.objects.filter(experiment=experiment).select_related(
        "run__split__dataset", "run__base_model", "run__encoder"
    )


def run_by_id(*, workspace: Workspace, run_id: int) -> Run | None:
    """A run of the workspace with all that it belongs to; None where there is none of that number."""
    runs = Run.objects.filter(workspace=workspace).select_related(
        "workspace", "split__dataset", "base_model", "encoder"
    )
    return runs.filter(pk=run_id).first()


def runs_of_task(*, workspace: Workspace, task: str) -> QuerySet[Run]:
    """The runs of the workspace on any split of `task`, the newest first, each with its split and dataset."""
    runs = Run.objects.filter(workspace=workspace, split__task=task).select_related("split__dataset")
    return runs.defer("versions", "hardware", "costs").order_by("-pk")


def predictions_of(
    *, workspace: Workspace, run: Run, external_id: str | None = None, prompts: bool = False
) -> QuerySet[Prediction]:
    """What `run` answered, to one end user's questions or to all, each with its question and whose it is.

    What is long is not read along: the questions' own text and profiles, and unless told the prompts.
    """
    found = Prediction.objects.filter(run=run, run__workspace=workspace, end_user__workspace=workspace)
    if external_id is not None:
        found = found.filter(end_user__external_id=external_id)
    unread = ["question__input", "question__document_ids", "question__entry_ids", "question__oracle_answer"]
    if not prompts:
        unread.append("prompt")
    return found.select_related("question", "end_user", "swapped_with").defer(*unread)


@dataclass(frozen=True)
class Retrieved:
    """A document that a prompt quotes: its id in the question's profile (None in a control), content digest, score."""

    entry_id: str | None
    digest: str
    score: float


def retrieved_documents(*, workspace: Workspace, predictions: Collection[Prediction]) -> dict[int, list[Retrieved]]:
    """By prediction, the documents that it was made with, the best first. What was erased since is not among them.

    None reaches through the wall: each is of the user whose question was answered or, in a control, of the one with
    whose profile it was answered.
    """
    found: dict[int, list[Retrieved]] = {prediction.pk: [] for prediction in predictions}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT p.id, q.entry_ids[array_position(q.document_ids, r.document_id)], encode(d.digest, 'hex'), r.score
              FROM eval_app_prediction p
              JOIN eval_app_question q ON q.id = p.question_id
             CROSS JOIN LATERAL unnest(p.retrieved_document_ids, p.retrieved_scores)
                   WITH ORDINALITY AS r (document_id, score, place)
              JOIN users_app_document d
                ON d.id = r.document_id AND d.end_user_id = coalesce(p.swapped_with_id, p.end_user_id)
              JOIN users_app_enduser u ON u.id = d.end_user_id AND u.workspace_id = %s
             WHERE p.id = ANY(%s)
             ORDER BY p.id, r.place
            """,
            [workspace.pk, list(found)],
        )
        for pk, entry_id, digest, score in cursor.fetchall():
            found[pk].append(Retrieved(entry_id, digest, score))
    return found


def improvements_of(
    *, workspace: Workspace, run: Run, external_id: str | None = None, direction: int | None = None
) -> QuerySet[UserImprovement]:
    """What `run` did for each end user against the non-personalized run, each with whose it is."""
    found = UserImprovement.objects.filter(run=run, run__workspace=workspace, end_user__workspace=workspace)
    if external_id is not None:
        found = found.filter(end_user__external_id=external_id)
    if direction is not None:
        found = found.filter(direction=direction)
    return found.select_related("end_user")
