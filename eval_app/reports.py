"""From recorded predictions to scores, improvement records and the comparison table."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from django.db import connection, transaction
from django.db.models import Avg, Count, Sum
from django.db.models.functions import Now
from psycopg.types.json import Jsonb

from eval_app.comparison import Comparison
from eval_app.figure_1 import figure_1
from eval_app.improvement import user_improvements
from eval_app.methods import BEST, NONE, Method, parse_method
from eval_app.models import DatasetSplit, Experiment, ExperimentRun, Prediction, Question, Run, UserImprovement
from eval_app.regression import mean_profile_size
from eval_app.scoring import RunScores, Sample, ScoredSample, score_sample
from eval_app.selection_bounds import Bounds, SampleValues
from eval_app.selections import bounds_of, selections_of
from eval_app.table import Measured, NotRun, Outcome, Table, build_table, measure
from lamp.catalogue import Task, get_task
from training_app.models import Adapter

# The baseline, a column and its control: more of a task's scores need not be held at once.
_RUNS_HELD = 3
NO_GOLDS = "predicted, not scored: the split has no golds"
NOBODY_LEFT = "everyone whose questions it answered was erased"
_CHUNK = 1000

Comparisons = Mapping[str, Mapping[str, Comparison]]
"""What columns are against a baseline, by task and method key."""


def score_run(*, run: Run) -> None:
    """Score each prediction of `run`, and the run: metrics of the split and what it cost. Repeating changes nothing."""
    task = get_task(run.split.task)
    if run.split.has_golds:
        _score_predictions(run, task)
        # Everyone may have been erased since the answers came: then there is nothing to measure.
        scored = Prediction.objects.filter(run=run, scores__isnull=False).exists()
        run.metrics = run_scores(run=run).values if scored else {}
    run.costs = _costs(run)
    run.state = Run.State.DONE
    run.finished_at = Now()
    run.save(update_fields=["metrics", "costs", "state", "finished_at"])


def _score_predictions(run: Run, task: Task) -> None:
    unscored = (
        Prediction.objects.filter(run=run, scores__isnull=True)
        .values_list("pk", "question__external_id", "end_user_id", "output", "question__gold")
        .order_by("pk")
    )
    chunk: list[tuple[int, dict[str, float]]] = []
    for pk, question_id, end_user_id, output, gold in unscored.iterator(_CHUNK):
        # A split has a gold for every question or for none.
        sample = Sample(question_id=question_id, end_user=end_user_id, prediction=output, gold=gold or "")
        chunk.append((pk, dict(score_sample(task, sample).scores)))
        if len(chunk) == _CHUNK:
            _write_scores(chunk)
            chunk = []
    _write_scores(chunk)


def _write_scores(chunk: Iterable[tuple[int, dict[str, float]]]) -> None:
    rows = list(chunk)
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Prediction._meta.db_table} AS prediction SET scores = scored.scores "  # noqa: S608
            "FROM unnest(%s::bigint[], %s::jsonb[]) AS scored(id, scores) WHERE prediction.id = scored.id",
            [[pk for pk, _ in rows], [Jsonb(scores) for _, scores in rows]],
        )


def run_scores(*, run: Run) -> RunScores:
    """The recorded scores of a run, by sample, user and split. Raises ValueError for a run without scores."""
    rows = (
        Prediction.objects.filter(run=run, run__workspace=run.workspace_id, scores__isnull=False)
        .values_list("question__external_id", "end_user_id", "output", "question__gold", "scores")
        .iterator(5000)
    )
    return RunScores.of(
        get_task(run.split.task),
        [
            ScoredSample(Sample(question_id=question, end_user=user, prediction=output, gold=gold or ""), scores or {})
            for question, user, output, gold, scores in rows
        ],
    )


def _costs(run: Run) -> dict[str, float | int | None]:
    """What answering cost: tokens and mean milliseconds a question, and the adapters' training seconds and bytes."""
    predictions = Prediction.objects.filter(run=run)
    costs: dict[str, Any] = predictions.aggregate(
        input_tokens=Sum("input_tokens"),
        output_tokens=Sum("output_tokens"),
        retrieval_ms=Avg("retrieval_ms"),
        adapter_ms=Avg("adapter_ms"),
        model_ms=Avg("model_ms"),
    )
    adapters = Adapter.objects.filter(pk__in=predictions.exclude(adapter=None).values("adapter"))
    costs |= adapters.aggregate(
        adapters=Count("pk"), training_seconds=Sum("training_seconds"), adapter_bytes=Sum("size_bytes")
    )
    return costs


def record_improvements(*, run: Run, baseline: Run, scores: RunScores, baseline_scores: RunScores) -> None:
    """Keep what `run` did for each end user against `baseline`. Repeating changes nothing."""
    sizes = _profile_sizes(run)
    UserImprovement.objects.bulk_create(
        [
            UserImprovement(
                run=run,
                baseline=baseline,
                end_user_id=one.end_user,
                metric=scores.task.metrics[0].name,
                profile_size=sizes[int(one.end_user)],
                question_count=one.questions,
                score=one.personalized,
                baseline_score=one.baseline,
                direction=int(one.direction),
            )
            for one in user_improvements(baseline_scores, scores)
        ],
        ignore_conflicts=True,
        batch_size=_CHUNK,
    )


def _profile_sizes(run: Run) -> dict[int, float]:
    """End user id → mean number of profile entries over the user's snapshots in the split."""
    sizes: dict[int, list[int]] = defaultdict(list)
    snapshots = Question.objects.filter(split=run.split_id, predictions__run=run).values_list(
        "end_user_id", "document_ids__len"
    )
    for end_user_id, size in snapshots.iterator(5000):
        sizes[end_user_id].append(size)
    return {end_user_id: mean_profile_size(own) for end_user_id, own in sizes.items()}


@transaction.atomic
def build_report(*, experiment: Experiment) -> dict[str, Any]:
    """Measure each column against the non-personalized run, keep the improvements, and return what the table needs.

    A control is measured against its own column instead, and keeps no improvements: it is nobody's personalization.
    """
    columns = experiment.columns.select_related(
        "run__split", "run__workspace", "run__selector", "run__encoder"
    ).order_by("task", "id")
    by_task: dict[str, list[ExperimentRun]] = defaultdict(list)
    for column in columns:
        by_task[column.task].append(column)
    measured = {task: _measured_task(found, seed=experiment.configuration["seed"]) for task, found in by_task.items()}
    return {
        "measured": measured,
        "truth": sorted(_tasks_with_truth(experiment)),
        "figure_1": figure_1(workspace=experiment.workspace, measured=measured),
    }


def truth_has_come(*, experiment: Experiment) -> bool:
    """Whether a split of an experiment that has its report got its truth since the report was made."""
    known = (experiment.report or {}).get("truth", [])
    return not _tasks_with_truth(experiment) <= set(known)


def _tasks_with_truth(experiment: Experiment) -> set[str]:
    splits = DatasetSplit.objects.filter(pk__in=experiment.configuration["splits"].values(), has_oracle=True)
    return set(splits.values_list("task", flat=True))


def _measured_task(columns: Sequence[ExperimentRun], *, seed: int) -> dict[str, Any]:
    """Of each column of one task, by its key, what the table needs of it or why there is nothing."""
    runs = {column.method: column.run for column in columns if column.run is not None and _is_scored(column.run)}
    scores = lru_cache(maxsize=_RUNS_HELD)(lambda run: run_scores(run=run))
    oracle = lru_cache(_Oracle)
    # One run may stand in several columns, as rag:bm25 and rag:best; it is measured once.
    kept: dict[tuple[Run, Run | None], dict[str, Any]] = {}
    selections = selections_of(runs)
    wanted = {run for selection in selections.values() for run in selection.runs}
    values: dict[Run, SampleValues] = {}
    measured: dict[str, Any] = {}
    for column in columns:
        run = runs.get(column.method)
        if run is None:
            measured[column.method] = {"reason": column.refusal or _why_not(column.run)}
            continue
        method = parse_method(column.method)
        against = runs.get((NONE if method.control is None else method.own).key)
        if (run, against) not in kept:
            found = measure(
                scores(run),
                baseline=scores(against) if against is not None and against != run else None,
                oracle=oracle(run.split).values_on(scores(run)),
                seed=seed,
            )
            if method.control is None and against is not None and found.comparison is not None:
                record_improvements(run=run, baseline=against, scores=scores(run), baseline_scores=scores(against))
            kept[run, against] = found.as_dict()
        if run in wanted and run not in values:
            values[run] = SampleValues.of(scores(run))
        measured[column.method] = {"measured": kept[run, against], "run": run.pk, "retriever": run.retriever}
    for key, selection in selections.items():
        measured[key]["bounds"] = bounds_of(selection, values, seed=seed).as_dict()
    return measured


class _Oracle:
    """What the oracle of a split scores, on whichever of its questions a run has answered."""

    def __init__(self, split: DatasetSplit) -> None:
        self._task = get_task(split.task)
        self._answers: dict[str, str] = {}
        if split.has_oracle:
            answers = Question.objects.filter(split=split).values_list("external_id", "oracle_answer")
            self._answers = {question: answer for question, answer in answers if answer is not None}
        self._values: dict[str, Mapping[str, float] | None] = {}

    def values_on(self, scores: RunScores) -> Mapping[str, float] | None:
        """Its metrics on the questions that `scores` are of; None where it does not answer all of them."""
        if scores.question_set not in self._values:
            self._values[scores.question_set] = self._score(scores)
        return self._values[scores.question_set]

    def _score(self, scores: RunScores) -> Mapping[str, float] | None:
        samples = [one.sample for one in scores.samples]
        if not all(sample.question_id in self._answers for sample in samples):
            return None
        answered = [replace(sample, prediction=self._answers[sample.question_id]) for sample in samples]
        return RunScores.of(self._task, [score_sample(self._task, sample) for sample in answered]).values


def _is_scored(run: Run | None) -> bool:
    return run is not None and run.state == Run.State.DONE and run.metrics is not None and _has_answers(run)


def _has_answers(run: Run) -> bool:
    return Prediction.objects.filter(run=run).exists()


def _why_not(run: Run | None) -> str:
    if run is None:
        return "not run"
    if run.state == Run.State.DONE:
        return NO_GOLDS if run.metrics is None else NOBODY_LEFT
    return f"{run.state}: {run.error}" if run.error else run.state


def experiment_table(
    *, experiment: Experiment, baseline: Method = NONE, comparisons: Comparisons | None = None
) -> Table:
    """The comparison table of an experiment that has ended; raises ValueError for one that has not.

    The report compares with no personalization. For another baseline, `comparisons` holds by task and method key what
    was found against it (`eval_app.baselines`); controls are compared with their own columns whatever the baseline.
    """
    if experiment.report is None:
        raise ValueError(f"Experiment “{experiment.name}” has not ended: there is no table yet.")
    if (baseline == NONE) != (comparisons is None):
        raise ValueError("another baseline than no personalization comes with its comparisons, and only that")
    measured: Mapping[str, Mapping[str, Any]] = experiment.report["measured"]
    outcomes: dict[tuple[str, str], Outcome] = {}
    erased = dict(Run.objects.filter(columns__experiment=experiment).values_list("pk", "erased_end_users"))
    for task, cells in measured.items():
        for key, cell in cells.items():
            if "reason" in cell:
                outcomes[task, key] = NotRun(cell["reason"])
                continue
            method = parse_method(key)
            chosen = cell["retriever"] if method.retriever == BEST else None
            found = replace(Measured.from_dict(cell["measured"]), retriever=chosen, erased=erased.get(cell["run"], 0))
            if "bounds" in cell:
                found = replace(found, bounds=Bounds.from_dict(cell["bounds"]))
            if comparisons is not None and method.control is None:
                found = replace(found, comparison=comparisons.get(task, {}).get(key))
            outcomes[task, key] = found
    return build_table(
        tasks=[get_task(task) for task in sorted(measured)],
        columns=_columns(experiment),
        outcomes=outcomes,
        baseline=baseline,
        figure_1=experiment.report.get("figure_1"),
        reference=experiment.configuration["reference"],
    )


def _columns(experiment: Experiment) -> list[Method]:
    """The columns of the table itself: controls stand in the cells of their own columns."""
    keys = experiment.columns.order_by("id").values_list("method", flat=True)
    return [method for method in map(parse_method, dict.fromkeys(keys)) if method.control is None]
