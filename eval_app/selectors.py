"""Reads of datasets, questions, runs and predictions, always within one workspace."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Final

from django.db.models import Count, Min, QuerySet

from common.model_names import without_paths
from eval_app.models import Dataset, DatasetSplit, Experiment, ExperimentRun, Prediction, Question, Run
from jobs.outcomes import Progress, progress_by_origin
from users_app.models import Document, Workspace

# How many users' documents are looked up at once.
USERS_A_QUERY = 200


class NotFound(LookupError):
    """Something that was named does not exist in the workspace; the message says what does."""


def dataset_by_name(*, workspace: Workspace, name: str) -> Dataset:
    """Return a dataset of `workspace`; raises `NotFound` naming those that exist."""
    datasets = Dataset.objects.filter(workspace=workspace, deletion_requested_at__isnull=True)
    dataset = datasets.filter(name=name).first()
    if dataset is None:
        known = list(datasets.order_by("name").values_list("name", flat=True)[:20])
        raise NotFound(
            f"There is no dataset “{name}” in workspace “{workspace.slug}”. "
            + (f"There are: {', '.join(known)}." if known else "Import one with `manage.py import_lamp`.")
        )
    return dataset


def newest_splits(*, workspace: Workspace, dataset: Dataset, split: str) -> dict[str, DatasetSplit]:
    """The newest version of each task's `split`, by task."""
    splits = DatasetSplit.objects.filter(dataset=dataset, dataset__workspace=workspace, split=split)
    return {found.task: found for found in splits.order_by("task", "version")}


def experiment_by_name(*, workspace: Workspace, name: str) -> Experiment:
    """Return an experiment of `workspace`; raises `NotFound`."""
    experiment = Experiment.objects.filter(workspace=workspace, name=name).first()
    if experiment is None:
        raise NotFound(f"There is no experiment “{name}” in workspace “{workspace.slug}”.")
    return experiment


def first_end_users(*, split: DatasetSplit, limit: int | None) -> list[int]:
    """Ids of the first `limit` end users (all without a limit) in the order of their first question in the file."""
    order = (
        Question.objects.filter(split=split)
        .values("end_user_id")
        .annotate(first=Min("position"))
        .order_by("first")
        .values_list("end_user_id", flat=True)
    )
    return list(order[:limit] if limit is not None else order)


def split_questions(*, split: DatasetSplit, user_limit: int | None) -> QuerySet[Question]:
    """The questions of the first `user_limit` end users (all without a limit), all of each user's in the split."""
    questions = Question.objects.filter(split=split)
    if user_limit is not None:
        questions = questions.filter(end_user__in=first_end_users(split=split, limit=user_limit))
    return questions


def run_questions(*, run: Run) -> QuerySet[Question]:
    """The questions that `run` answers."""
    questions = split_questions(split=run.split, user_limit=run.user_limit)
    return questions.filter(split__dataset__workspace=run.workspace_id)


def unanswered_questions(*, run: Run) -> QuerySet[Question]:
    """The questions of `run` that have no prediction yet."""
    return run_questions(run=run).exclude(predictions__run=run)


def visible_to_every_question(snapshots: Sequence[Sequence[int]]) -> list[int]:
    """The documents that all of a user's questions may see, as often as in each, in the first one's order.

    An adapter serves all questions of its user in the split, so it may learn only from these.

    >>> visible_to_every_question([[1, 2, 2, 3], [2, 3, 4, 2]])
    [2, 2, 3]
    """
    if not snapshots:
        return []
    common = Counter(snapshots[0])
    for snapshot in snapshots[1:]:
        common &= Counter(snapshot)
    kept = []
    for document_id in snapshots[0]:
        if common[document_id] > 0:
            common[document_id] -= 1
            kept.append(document_id)
    return kept


def training_documents(*, run: Run) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """What each user of `run` may learn from, as `split_training_documents` gives it."""
    return split_training_documents(workspace=run.workspace, split=run.split, user_limit=run.user_limit)


def split_training_documents(
    *, workspace: Workspace, split: DatasetSplit, user_limit: int | None
) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """(end user id, [(document id, digest as hex), …] in training order) for each user of `split`, by user id.

    Only the first `user_limit` end users of the file, all without a limit.
    """
    questions = (
        split_questions(split=split, user_limit=user_limit)
        .filter(split__dataset__workspace=workspace)
        .order_by("end_user_id", "position")
        .only("end_user_id", "document_ids")
        .iterator(500)
    )
    visible = (
        (end_user_id, visible_to_every_question([question.document_ids for question in own]))
        for end_user_id, own in groupby(questions, key=attrgetter("end_user_id"))
    )
    while users := dict(islice(visible, USERS_A_QUERY)):
        digests = _digests(workspace=workspace, task=split.task, users=users)
        for end_user_id, document_ids in users.items():
            # A document that was erased since is still named by the snapshots, and teaches nobody.
            own_digests = digests.get(end_user_id, {})
            yield end_user_id, [(pk, own_digests[pk]) for pk in document_ids if pk in own_digests]


def _digests(*, workspace: Workspace, task: str, users: Mapping[int, Sequence[int]]) -> dict[int, dict[int, str]]:
    """Of each end user, document id → digest as hex, of those documents that are the user's own."""
    wanted = {document_id for document_ids in users.values() for document_id in document_ids}
    found = Document.objects.filter(end_user__in=users, end_user__workspace=workspace, task=task, pk__in=wanted)
    digests: dict[int, dict[int, str]] = defaultdict(dict)
    for end_user_id, document_id, digest in found.values_list("end_user_id", "pk", "digest"):
        digests[end_user_id][document_id] = bytes(digest).hex()
    return digests


@dataclass(frozen=True)
class ColumnProgress:
    """How far one method is on one task: preparing counts jobs, generating counts questions.

    `run_id` is None until it is known which run it is, and where there is none: `refusal` then says why.
    """

    task: str
    method: str
    state: str
    done: int
    total: int
    activity: str
    run_id: int | None = None
    refusal: str = ""
    error: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in _ENDED


_ENDED: Final = (Run.State.DONE, Run.State.FAILED, Run.State.CANCELLED, "refused")
# All of their questions are answered: nothing has to be counted.
_ANSWERED: Final = (Run.State.SCORING, Run.State.DONE)


def questions_expected(columns: Sequence[ColumnProgress]) -> int:
    """Questions to answer in all of a task's columns; one that waits for its run will have as many as the others."""
    most = max((column.total for column in columns), default=0)
    return sum(column.total or (0 if column.has_ended else most) for column in columns)


def experiment_progress(*, experiment: Experiment) -> list[ColumnProgress]:
    """How far each column of `experiment` is, in the order of its table."""
    columns = list(experiment.columns.select_related("run").order_by("id"))
    run_ids = {column.run_id for column in columns if column.run_id is not None}
    open_ids = {column.run_id for column in columns if column.run is not None and column.run.state not in _ANSWERED}
    answered = dict(
        Prediction.objects.filter(run__in=open_ids).values_list("run").annotate(count=Count("pk")).order_by()
    )
    # Of the others the jobs say nothing that is shown, and there may be one a user.
    preparing = {column.run_id for column in columns if column.run and column.run.state == Run.State.PREPARING}
    busy = progress_by_origin([run_origin(run_id) for run_id in preparing if run_id is not None])
    waits_for = _waits_for(experiment, has_begun=bool(run_ids))
    return [_column_progress(column, answered, busy, waits_for) for column in columns]


def _waits_for(experiment: Experiment, *, has_begun: bool) -> str:
    """What a column without a run waits for."""
    if experiment.state != Experiment.State.ACTIVE:
        return "not begun"
    if not experiment.versions:
        return "waiting for a model worker"
    return "waiting for the best retriever" if has_begun else "waiting for its first step"


def _column_progress(
    column: ExperimentRun, answered: Mapping[int, int], busy: Mapping[str, Progress], waits_for: str
) -> ColumnProgress:
    run = column.run
    if run is None:
        state = "refused" if column.refusal else str(Run.State.PENDING)
        activity = "refused" if column.refusal else waits_for
        return ColumnProgress(column.task, column.method, state, 0, 0, activity, refusal=column.refusal)
    total = run.question_count
    done = total if run.state in _ANSWERED else answered.get(run.pk, 0)
    activity = run.get_state_display()
    if run.state == Run.State.PREPARING:
        jobs = busy.get(run_origin(run.pk), Progress())
        if jobs.total:
            activity += f", {jobs.ended} of {jobs.total} jobs, {jobs.running} running, {jobs.done / jobs.total:.0%}"
    return ColumnProgress(
        column.task, column.method, run.state, done, total, activity, run_id=run.pk, error=without_paths(run.error)
    )


def run_origin(run_id: int) -> str:
    """The origin that jobs and generations of a run carry."""
    return f"run:{run_id}"
