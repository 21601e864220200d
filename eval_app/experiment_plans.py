"""What an experiment would be made of, before it is: its runs, which of them stand, and what is left to do.

Everything here is read; nothing is made. It follows the steps of `eval_app.experiments`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Min, Q, QuerySet

from eval_app.best_retriever import best_means
from eval_app.experiments import asked_splits, refusal, refuse_impossible, with_controls
from eval_app.measured_costs import outputs_a_question
from eval_app.methods import BEST, Family, Method
from eval_app.models import Dataset, DatasetSplit, Experiment, ExperimentRun, Prediction, Question, Run
from eval_app.retrieving_means import MeansMissing, RetrievingMeans, retrieving_means
from eval_app.runs import RunInputs, run_inputs
from lamp.catalogue import get_task
from retrieval_app.models import Encoder
from training_app.adapters import stored_dtype_of
from training_app.engine_version import ENGINE_VERSION
from training_app.models import Adapter, BaseModel
from users_app.models import Workspace

_GO_ON = (Run.State.FAILED, Run.State.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What `start_experiment` is asked for, besides a name and what changes no run."""

    workspace: Workspace
    dataset: Dataset
    split: str
    tasks: Sequence[str] | None
    methods: Sequence[Method]
    controls: Sequence[str]
    base_model: BaseModel
    encoder: Encoder | None
    documents_wanted: int
    hyperparameters: Mapping[str, Any]
    parameters: Mapping[str, Any]
    seed: int
    user_limit: int | None


@dataclass(frozen=True)
class PlannedColumn:
    """One method on one task: why it cannot run, or the run it is, if that is known, and the run that stands for it.

    The run of a method with the best retriever is known once the retrievers have been compared.
    """

    split: DatasetSplit
    method: Method
    refusal: str = ""
    identity: str | None = None
    standing: Run | None = None
    outputs: int = 1
    """How many the base model gives to each question."""


@dataclass(frozen=True)
class AdaptersNeeded:
    """Adapters of one rank for the users of one task, and how many of them stand, by user and settings.

    Which documents an adapter has seen is not compared, as it is when the experiment runs.
    """

    task: str
    rank: int
    needed: int
    standing: int

    @property
    def to_train(self) -> int:
        return max(0, self.needed - self.standing)


@dataclass(frozen=True)
class Answers:
    """Questions that one method has yet to answer on one task, each by choosing among `outputs` of the base model."""

    task: str
    method: Method
    questions: int
    outputs: int = 1


@dataclass(frozen=True)
class ExperimentPlan:
    """The columns of an experiment that is not started yet, and the work that is left."""

    columns: Sequence[PlannedColumn]
    adapters: Sequence[AdaptersNeeded]
    answers: Sequence[Answers]

    @property
    def refused(self) -> list[PlannedColumn]:
        return [column for column in self.columns if column.refusal]

    @property
    def undecided(self) -> list[PlannedColumn]:
        """Those of the best retriever, where the comparison that chooses it is not done."""
        return [column for column in self.columns if column.identity is None and not column.refusal]

    @property
    def runs(self) -> int:
        """How many different runs are known to be needed; columns may share one."""
        return len({column.identity for column in self.columns if column.identity is not None})

    @property
    def standing(self) -> list[Run]:
        """The runs that stand already and are reused, whatever their state."""
        return list({column.standing.pk: column.standing for column in self.columns if column.standing}.values())

    @property
    def done(self) -> int:
        """How many of those that stand are done."""
        return sum(run.state == Run.State.DONE for run in self.standing)

    @property
    def to_go_on(self) -> int:
        """How many of those that stand failed or were cancelled, and go on from what they have."""
        return sum(run.state in _GO_ON for run in self.standing)

    @property
    def under_way(self) -> int:
        """How many of those that stand are being made for another experiment."""
        return len(self.standing) - self.done - self.to_go_on

    @property
    def questions(self) -> int:
        """Questions to answer, over all runs."""
        return sum(answers.questions for answers in self.answers)

    @property
    def outputs(self) -> int:
        """Outputs of the base model to come, over all runs: more than `questions` where some are chosen among."""
        return sum(answers.questions * answers.outputs for answers in self.answers)

    @property
    def adapters_to_train(self) -> int:
        return sum(adapters.to_train for adapters in self.adapters)

    @property
    def adapters_standing(self) -> int:
        return sum(min(adapters.standing, adapters.needed) for adapters in self.adapters)


def plan_experiment(asked: Asked) -> ExperimentPlan:
    """What starting it would do. Raises `ExperimentRefused` and `UnknownTask`, as starting it would."""
    splits = asked_splits(workspace=asked.workspace, dataset=asked.dataset, split=asked.split, tasks=asked.tasks)
    refuse_impossible(methods=asked.methods, splits=splits)
    adapter_dtype = stored_dtype_of(exact=asked.parameters["exact"])
    columns = _columns(asked, splits, adapter_dtype)
    counted = {task: _counted(split, asked.user_limit) for task, split in splits.items()}
    open_columns = _with_work(columns)
    return ExperimentPlan(
        columns=columns,
        adapters=_adapters(asked, open_columns, counted, adapter_dtype),
        answers=_answers(open_columns, counted),
    )


def _columns(asked: Asked, splits: Mapping[str, DatasetSplit], adapter_dtype: str) -> list[PlannedColumn]:
    methods = with_controls(asked.methods, asked.controls)
    columns = [
        PlannedColumn(split, method, refusal(method=method, split=split, user_limit=asked.user_limit) or "")
        for split in splits.values()
        for method in methods
    ]
    columns = _found(asked, columns, {}, adapter_dtype)
    if not any(column.method.retriever == BEST for column in columns):
        return columns
    chosen, reasons = _best(asked, columns)
    columns = [
        replace(column, refusal=reasons.get(column.split.task, ""))
        if column.method.retriever == BEST and not column.refusal
        else column
        for column in columns
    ]
    return _found(asked, columns, chosen, adapter_dtype)


def _found(
    asked: Asked, columns: Sequence[PlannedColumn], best: Mapping[str, RetrievingMeans], adapter_dtype: str
) -> list[PlannedColumn]:
    """The columns, each with its identity and the run that stands for it, where what it retrieves with is known.

    Where that has not been trained, with the reason why it cannot run.
    """
    named: list[PlannedColumn] = []
    for column in columns:
        try:
            inputs = _inputs(asked, column, best, adapter_dtype)
        except MeansMissing as missing:
            named.append(replace(column, refusal=str(missing)))
        else:
            named.append(column if inputs is None else _named(column, inputs))
    identities = [column.identity for column in named if column.identity is not None]
    standing = {
        run.identity: run
        for run in Run.objects.filter(workspace=asked.workspace, identity__in=identities)
        .select_related("encoder", "selector")
        .only("identity", "state", "question_count", "retriever", "metrics", "encoder", "selector")
    }
    return [
        column if column.identity is None else replace(column, standing=standing.get(column.identity))
        for column in named
    ]


def _named(column: PlannedColumn, inputs: RunInputs) -> PlannedColumn:
    pool = inputs.selector.pool if inputs.selector is not None else None
    return replace(column, identity=inputs.identity, outputs=outputs_a_question(inputs.method.retriever, pool))


def _inputs(
    asked: Asked, column: PlannedColumn, best: Mapping[str, RetrievingMeans], adapter_dtype: str
) -> RunInputs | None:
    """Raises `MeansMissing`."""
    method = column.method
    if column.refusal:
        return None
    if method.retriever == BEST:
        means = best.get(column.split.task)
    else:
        means = retrieving_means(method=method, split=column.split, base_model=asked.base_model, encoder=asked.encoder)
    if means is None:
        return None
    return run_inputs(
        split=column.split,
        method=replace(method, retriever=means.retriever),
        base_model=asked.base_model,
        encoder=means.encoder,
        selector=means.selector,
        documents_wanted=asked.documents_wanted,
        hyperparameters=asked.hyperparameters,
        parameters=asked.parameters,
        adapter_dtype=adapter_dtype,
        seed=asked.seed,
        user_limit=asked.user_limit,
    )


def _best(asked: Asked, columns: Sequence[PlannedColumn]) -> tuple[dict[str, RetrievingMeans], dict[str, str]]:
    """By task, what “best” stands for; and where there is none, why. A task of which it is not known yet has neither.

    It is chosen as the experiment will choose it, by columns that are not stored.
    """
    experiment = Experiment(
        workspace=asked.workspace,
        dataset=asked.dataset,
        split=asked.split,
        configuration={
            "base_model_id": asked.base_model.pk,
            "encoder_id": asked.encoder.pk if asked.encoder else None,
            "documents_wanted": asked.documents_wanted,
            "parameters": dict(asked.parameters),
        },
    )
    rows = [
        ExperimentRun(
            task=column.split.task,
            method=column.method.key,
            refusal=column.refusal,
            # One that failed will go on, so what it comes to is not known.
            run=column.standing if column.standing and column.standing.state not in _GO_ON else None,
        )
        for column in columns
    ]
    chosen: dict[str, RetrievingMeans] = {}
    reasons: dict[str, str] = {}
    for column in columns:
        task = column.split.task
        if column.method.retriever != BEST or column.method.control is not None or task in chosen or task in reasons:
            continue
        means, reason = best_means(experiment, task, column.method, rows, column.split)
        if means is not None:
            chosen[task] = means
        elif reason:
            reasons[task] = reason
    return chosen, reasons


def _with_work(columns: Sequence[PlannedColumn]) -> list[PlannedColumn]:
    """The columns with something left to do, of those that share a run the first.

    A RAG column of the best retriever is one of the retrievers that are compared, where any is.
    """
    compared = {
        column.split.task
        for column in columns
        if column.method.family is Family.RAG and column.method.retriever != BEST and not column.refusal
    }
    seen: set[str] = set()
    found = []
    for column in columns:
        if column.refusal or (column.standing is not None and column.standing.state == Run.State.DONE):
            continue
        if column.identity is None:
            is_compared = column.method.family is Family.RAG and column.split.task in compared
            if is_compared and column.method.control is None:
                continue
        elif column.identity in seen:
            continue
        else:
            seen.add(column.identity)
        found.append(column)
    return found


@dataclass(frozen=True)
class _Counted:
    """How many users and questions; the users themselves where they are not all of the split's."""

    users: int
    questions: int
    only: Sequence[int] | None = None


def _counted(split: DatasetSplit, user_limit: int | None) -> _Counted:
    if user_limit is None or user_limit >= split.end_user_count:
        return _Counted(split.end_user_count, split.question_count)
    first = (
        Question.objects.filter(split=split)
        .order_by()
        .values_list("end_user_id")
        .annotate(first=Min("position"), count=Count("pk"))
        .order_by("first")[:user_limit]
    )
    counts = {end_user_id: count for end_user_id, _, count in first}
    return _Counted(len(counts), sum(counts.values()), list(counts))


def _answers(columns: Sequence[PlannedColumn], counted: Mapping[str, _Counted]) -> list[Answers]:
    standing = [column.standing.pk for column in columns if column.standing is not None]
    answered = dict(Prediction.objects.filter(run__in=standing).order_by().values_list("run").annotate(Count("pk")))
    found = []
    for column in columns:
        done = 0 if column.standing is None else answered.get(column.standing.pk, 0)
        left = max(0, counted[column.split.task].questions - done)
        found.append(Answers(column.split.task, column.method, left, column.outputs))
    return found


def _adapters(
    asked: Asked, columns: Iterable[PlannedColumn], counted: Mapping[str, _Counted], adapter_dtype: str
) -> list[AdaptersNeeded]:
    """An adapter of a rank serves PEFT, PEFT-RAG and their controls alike."""
    wanted = {(column.split.task, column.method.rank): column.split for column in columns if column.method.rank}
    by_task: dict[str, tuple[DatasetSplit, set[int]]] = {}
    for (task, rank), split in wanted.items():
        assert rank is not None
        by_task.setdefault(task, (split, set()))[1].add(rank)
    standing = dict(_standing(asked, by_task, counted, adapter_dtype))
    return [
        AdaptersNeeded(task, rank, counted[task].users, standing.get((task, rank), 0))
        for task, (_, ranks) in by_task.items()
        for rank in sorted(ranks)
    ]


def _standing(
    asked: Asked,
    by_task: Mapping[str, tuple[DatasetSplit, set[int]]],
    counted: Mapping[str, _Counted],
    adapter_dtype: str,
) -> Iterator[tuple[tuple[str, int], int]]:
    """((task, rank), users who have such an adapter), in one statement."""
    parts: list[QuerySet[Adapter, Any]] = []
    for task, (split, ranks) in by_task.items():
        only = counted[task].only
        everyone = Question.objects.filter(split=split).order_by().values("end_user")
        users: Any = everyone if only is None else only
        settings = Q()
        for rank in ranks:
            settings |= Q(rank=rank, hyperparameters={**asked.hyperparameters, "rank": rank})
        parts.append(
            Adapter.objects.filter(
                settings,
                end_user__workspace=asked.workspace,
                end_user__in=users,
                task=task,
                task_version=get_task(task).version,
                base_model=asked.base_model,
                dtype=asked.parameters["dtype"],
                exact=asked.parameters["exact"],
                stored_dtype=adapter_dtype,
                seed=asked.seed,
                engine_version=ENGINE_VERSION,
                withdrawn_at__isnull=True,
            )
            .order_by()
            .values_list("task", "rank")
            .annotate(Count("end_user", distinct=True))
        )
    if parts:
        for task, rank, count in parts[0].union(*parts[1:], all=True):
            yield (task, rank), count
