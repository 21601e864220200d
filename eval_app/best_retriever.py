"""What “best” stands for: the retriever that was best on the task's dev split, as that run had it."""

from collections import defaultdict
from collections.abc import Sequence

from django.db.models import Q

from eval_app.methods import BEST, RETRIEVERS, Family, Method, parse_method
from eval_app.models import DatasetSplit, Experiment, ExperimentRun, Run
from eval_app.retrieving_means import RetrievingMeans, means_of_run, with_usable_means
from eval_app.runs import TERMINAL
from lamp.catalogue import get_task
from retrieval_app.retrievers import FINE_TUNED


def own_column(task: str, method: Method, columns: Sequence[ExperimentRun]) -> ExperimentRun | None:
    """The column that `method` is the control of; None where it is none."""
    if method.control is None:
        return None
    [own] = [column for column in columns if column.task == task and column.method == method.own.key]
    return own


def best_means(
    experiment: Experiment, task: str, method: Method, columns: Sequence[ExperimentRun], split: DatasetSplit
) -> tuple[RetrievingMeans | None, str]:
    """What `best` stands for, as `_best_of_dev` says it; for a control, what it stood for in its own column."""
    own = own_column(task, method, columns)
    if own is None:
        return _best_of_dev(experiment, task, columns, split)
    return (means_of_run(own.run) if own.run is not None else None), own.refusal


def _best_of_dev(
    experiment: Experiment, task: str, columns: Sequence[ExperimentRun], split: DatasetSplit
) -> tuple[RetrievingMeans | None, str]:
    """(what was best on the task's dev split, "") or (None, why there is none, "" while one may come).

    It is the very encoder or selector of the run that was best, not one that was trained since.
    """
    own = [column for column in columns if column.task == task and _is_fixed_rag(column.method)]
    if split.split == DatasetSplit.Split.DEV and own:
        if any(column.run is None and not column.refusal for column in own):
            return None, ""
        runs = [column.run for column in own if column.run is not None]
        if any(run.state not in TERMINAL for run in runs):
            return None, ""
    else:
        runs = _comparable_on_dev(experiment, task)
    metric = get_task(task).metrics[0]
    # Of several of one retriever, with selectors or encoders that were trained one after the other: the newest.
    scored = {run.retriever: run for run in runs if run.state == Run.State.DONE and run.metrics}
    if not scored:
        return None, (
            "“best” is the retriever that was best on the dev split, and no RAG run of that split is done: "
            "add rag:bm25 and its like to the methods of a dev experiment first."
        )
    # Equal scores: the first in the registry's order, so that the choice can be repeated.
    order = [name for name in RETRIEVERS if name in scored]
    sign = 1 if metric.higher_is_better else -1
    best = max(order, key=lambda name: (sign * _score(scored[name], metric.name), -order.index(name)))
    return means_of_run(scored[best]), ""


def _score(run: Run, metric: str) -> float:
    assert run.metrics is not None
    return float(run.metrics[metric])


def _comparable_on_dev(experiment: Experiment, task: str) -> list[Run]:
    """The RAG runs over one set of dev questions: of the newest version with the most retrievers, then questions.

    None whose selector or fine-tuned encoder was withdrawn since: nothing can be answered with it any more.
    """
    found = Run.objects.filter(
        _same_settings(experiment),
        with_usable_means(workspace=experiment.workspace),
        workspace=experiment.workspace_id,
        split__dataset=experiment.dataset_id,
        split__task=task,
        split__split=DatasetSplit.Split.DEV,
        family=Family.RAG.value,
        control="",
        state=Run.State.DONE,
    )
    by_questions: dict[tuple[int, int | None], list[Run]] = defaultdict(list)
    for run in found.select_related("split", "encoder", "selector").order_by("id"):
        by_questions[run.split_id, run.user_limit].append(run)
    return max(
        by_questions.values(),
        key=lambda runs: (runs[0].split.version, len({run.retriever for run in runs}), runs[0].question_count),
        default=[],
    )


def _is_fixed_rag(key: str) -> bool:
    method = parse_method(key)
    return method.family == Family.RAG and method.retriever != BEST and method.control is None


def _same_settings(experiment: Experiment) -> Q:
    stored = experiment.configuration
    return Q(
        base_model=stored["base_model_id"],
        documents_wanted=stored["documents_wanted"],
        parameters=stored["parameters"],
    ) & (Q(encoder=stored["encoder_id"]) | Q(encoder__isnull=True) | Q(retriever__in=FINE_TUNED))
