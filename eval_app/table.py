"""The comparison table: tasks × metrics in rows, methods in columns, as in Table 1 of the paper.

It is built from what runs left behind (`Measured`, which a database can keep) and asks for no prediction again. A
column that answered other questions than its row's baseline keeps its own number and n, says so, and takes part in no
comparison: intersecting silently would compare numbers that nobody reported.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from eval_app.bootstrap import Interval
from eval_app.choosing import Choosing, choosing_as_json, choosing_of
from eval_app.comparison import Comparison, compare
from eval_app.improvement import SAME, DifferentQuestions, relative_gain
from eval_app.methods import NONE, SWAPPED, Family, Method
from eval_app.published import COLUMNS, SOURCE, TABLE_1
from eval_app.relative import PERSONALIZED, AverageGain, ValueRow, average_relative_improvement
from eval_app.scoring import RunScores
from eval_app.selection_bounds import Bounds
from eval_app.significance import DRAWS, holm
from lamp.tasks import Metric, Task


@dataclass(frozen=True, slots=True)
class Measured:
    """What a finished run left for the table. Raises ValueError where a value is not finite.

    `question_set` is `RunScores.question_set`; `comparison` is with the table's baseline, of a control with its own
    column, None for the baseline itself and where the two cannot be paired. `oracle` is what the oracle scores on the
    same questions, None where there is none.
    """

    values: Mapping[str, float]
    n: int
    users: int
    question_set: str
    intervals: Mapping[str, Interval]
    comparison: Comparison | None = None
    retriever: str | None = None
    """What the method's `best` was; None where the method names its retriever or has none."""
    oracle: Mapping[str, float] | None = None
    erased: int = 0
    """How many users were erased of those whom it is about; the values are of them too."""
    bounds: Bounds | None = None
    """Where it chose among retrievers, what choosing could have gained; it is kept beside the rest, not in it."""

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.values.values()):
            raise ValueError("a metric is not finite")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a JSON column; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Measured":
        intervals = {name: Interval(*ends) for name, ends in data["intervals"].items()}
        comparison = Comparison.from_dict(data["comparison"]) if data["comparison"] else None
        return cls(**{**data, "intervals": intervals, "comparison": comparison})


def measure(
    run: RunScores,
    *,
    baseline: RunScores | None = None,
    oracle: Mapping[str, float] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Measured:
    """What the table needs of a run, compared with the baseline's run where both answered the same questions.

    `oracle`: what the oracle scores on the run's questions, by metric.
    """
    comparison = None
    if baseline is not None:
        try:
            comparison = compare(baseline, run, seed=seed, draws=draws)
        except DifferentQuestions:
            comparison = None
    return Measured(
        values=run.values,
        n=run.n,
        users=len(run.end_users),
        question_set=run.question_set,
        intervals={metric.name: run.interval(metric.name, seed=seed) for metric in run.task.metrics},
        comparison=comparison,
        oracle=oracle,
    )


@dataclass(frozen=True, slots=True)
class NotRun:
    """A column that has no result for a task, and why, in words for the reader."""

    reason: str


Outcome = Measured | NotRun
NOT_ASKED_FOR = NotRun("not run")
OTHER_QUESTIONS = "answered other questions than its own column"


NO_GAIN = "the oracle is no better than no personalization, so nothing is to be gained"
NO_BASELINE = "no personalization was not run on these questions"


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the possible gain that was reached: (value − none) / (oracle − none), on the same questions.

    0 is no personalization, 1 the oracle. None where there is none, and `reason` says why.
    """

    value: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """What the control of a method scored in a metric, and the test of the method itself against it.

    `value` is None where it did not run (`reason` says why); `p_value` is None where the two cannot be paired (`reason`
    says so). `p_holm` is corrected over all controls of the table.
    """

    value: float | None
    n: int
    p_value: float | None = None
    p_holm: float | None = None
    share: Share | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """A cell over `seeds` experiments that differ in their seed alone: mean, sample standard deviation, mean gains.

    The gains over the baseline are by the metric's direction, positive where better; None where some seed has none.
    `best` is set where no mean of the row is better.
    """

    mean: float
    deviation: float
    seeds: int
    gain: float | None = None
    relative_gain: float | None = None
    best: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A method's result in a metric.

    `value` is None where it did not run (`reason` says why). `note` says why a value cannot be compared with the row's
    others. `p_value`, `delta`, `relative_gain` are against the baseline; wins, ties and losses stand in the row of the
    task's primary metric. `retriever` is what the method's `best` was. `share` is known where the row has an oracle,
    `control` where controls were asked for, `choosing` where the method chooses among retrievers, `erased` where users
    were erased of those whom the value is about, `spread` where other seeds were averaged with this one, `unaveraged`
    says why a cell of such a table was not: it has no part in comparisons then. `question_set` is
    `RunScores.question_set`.
    """

    value: float | None
    n: int
    users: int
    interval: Interval | None = None
    delta: float | None = None
    relative_gain: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    best: bool = False
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None
    retriever: str | None = None
    reason: str | None = None
    note: str | None = None
    share: Share | None = None
    control: Control | None = None
    choosing: Choosing | None = None
    erased: int | None = None
    spread: Spread | None = None
    unaveraged: str | None = None
    question_set: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A metric of a task.

    `n` is the number of questions that its comparable cells answered; cells come by the method's key. `oracle` is what
    the oracle scores on these questions, None where there is none.
    """

    task: Task
    metric: Metric
    n: int
    cells: Mapping[str, Cell]
    oracle: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The whole comparison. `reference` asks for the paper's published numbers beside it; `figure_1` are its lines, by
    family and then by task and "all" (`eval_app.figure_1`), None where they were not made.
    """

    columns: Sequence[Method]
    baseline: Method
    rows: Sequence[Row]
    average: Mapping[Family, AverageGain]
    reference: bool
    figure_1: Mapping[str, Mapping[str, Any]] | None = None


def build_table(
    *,
    tasks: Sequence[Task],
    columns: Sequence[Method],
    outcomes: Mapping[tuple[str, str], Outcome],
    baseline: Method = NONE,
    figure_1: Mapping[str, Mapping[str, Any]] | None = None,
    reference: bool = False,
) -> Table:
    """Lay out the outcomes, found by (task key, method key); those of controls stand in their own columns' cells.

    What is missing has not run. Holm's correction is over the whole table, over all controls apart, and over all tests
    of choosing against the best single retriever apart.
    """
    rows = [row for task in tasks for row in _task_rows(task, columns, outcomes, baseline)]
    rows = _corrected(rows, columns)
    gains = average_relative_improvement(_value_row(row, columns) for row in rows)
    average = {family: gains.get(family, AverageGain(None, 0)) for family in _families(columns)}
    return Table(columns=columns, baseline=baseline, rows=rows, average=average, reference=reference, figure_1=figure_1)


def part_of_table(table: Table, *, rows: Sequence[Row], columns: Sequence[Method]) -> Table:
    """These rows and columns of a table, in this order, as a table of its own.

    The best of a row and the average improvement are then of what is shown. What was tested stays as it was: Holm's
    correction is over the whole table, so that no choice of a part makes a difference significant.
    """
    averaged = [*columns, *(method for method in (NONE,) if method not in columns and method in table.columns)]
    gains = average_relative_improvement(_value_row(row, averaged) for row in rows)
    shown = [
        replace(row, cells=_marked({method.key: row.cells[method.key] for method in columns}, row.metric))
        for row in rows
    ]
    average = {family: gains.get(family, AverageGain(None, 0)) for family in _families(columns)}
    return replace(table, rows=shown, columns=columns, average=average)


def table_as_json(table: Table) -> dict[str, Any]:
    """The report's form: `{"rows": [...], "average_relative_improvement": {family: percent}, "figure_1": {family: {task
    or "all": line}} or null, "reference": ... or null}`.

    A cell has `value` and `n` always, and of the rest what is known. `{"baseline": method}` comes first where it is
    another than no personalization.
    """
    return {
        **({} if table.baseline == NONE else {"baseline": table.baseline.key}),
        "rows": [_row_as_json(row) for row in table.rows],
        "average_relative_improvement": {family.value: gain.percent for family, gain in table.average.items()},
        "figure_1": table.figure_1,
        "reference": published_reference() if table.reference else None,
    }


def published_reference() -> dict[str, Any]:
    """Table 1 of the paper in the report's form, marked as published. The average is taken on the rounded numbers."""
    values = [ValueRow(row.higher_is_better, dict(zip(COLUMNS, row.values, strict=True))) for row in TABLE_1]
    gains = average_relative_improvement(values)
    return {
        "published": True,
        "source": SOURCE,
        "rows": [
            {
                "task": row.task,
                "metric": row.metric,
                "higher_is_better": row.higher_is_better,
                "cells": {method.key: {"value": value} for method, value in zip(COLUMNS, row.values, strict=True)},
            }
            for row in TABLE_1
        ],
        "average_relative_improvement": {family.value: gain.percent for family, gain in gains.items()},
    }


def _task_rows(
    task: Task, columns: Sequence[Method], outcomes: Mapping[tuple[str, str], Outcome], baseline: Method
) -> list[Row]:
    found = {method: outcomes.get((task.key, method.key), NOT_ASKED_FOR) for method in columns}
    measured = {method: outcome for method, outcome in found.items() if isinstance(outcome, Measured)}
    lead = measured.get(baseline) or max(measured.values(), key=lambda one: one.n, default=None)
    base, none = measured.get(baseline), measured.get(NONE)
    rows = []
    for at, metric in enumerate(task.metrics):
        cells = {}
        for method, outcome in found.items():
            cell = _cell(outcome, metric, lead=lead, base=base, none=none, primary=at == 0)
            control = _control(task, method, outcomes, metric, own=outcome, none=none)
            cells[method.key] = replace(cell, control=control)
        oracle = lead.oracle[metric.name] if lead is not None and lead.oracle is not None else None
        rows.append(Row(task=task, metric=metric, n=lead.n if lead else 0, cells=_marked(cells, metric), oracle=oracle))
    return rows


def _control(
    task: Task,
    method: Method,
    outcomes: Mapping[tuple[str, str], Outcome],
    metric: Metric,
    *,
    own: Outcome,
    none: Measured | None,
) -> Control | None:
    """How the swapped control of `method` did; None where nobody asked for it."""
    if not method.family.personalizes:
        return None
    outcome = outcomes.get((task.key, method.controlled(SWAPPED).key))
    if outcome is None:
        return None
    if isinstance(outcome, NotRun):
        return Control(value=None, n=0, reason=outcome.reason)
    control = Control(value=outcome.values[metric.name], n=outcome.n, share=_share(outcome, metric, none))
    if outcome.comparison is not None:
        return replace(control, p_value=outcome.comparison.metrics[metric.name].p_value)
    own_ran = isinstance(own, Measured)
    return replace(control, reason=OTHER_QUESTIONS if own_ran else "its own column did not run")


def _share(outcome: Measured, metric: Metric, none: Measured | None) -> Share | None:
    """The share of the possible gain; None where there is no oracle."""
    if outcome.oracle is None:
        return None
    if none is None or none.question_set != outcome.question_set:
        return Share(None, NO_BASELINE)
    value, least, oracle = outcome.values[metric.name], none.values[metric.name], outcome.oracle[metric.name]
    possible, reached = oracle - least, value - least
    if not metric.higher_is_better:
        possible, reached = least - oracle, least - value
    return Share(reached / possible) if possible > SAME else Share(None, NO_GAIN)


def _cell(
    outcome: Outcome,
    metric: Metric,
    *,
    lead: Measured | None,
    base: Measured | None,
    none: Measured | None,
    primary: bool,
) -> Cell:
    if isinstance(outcome, NotRun):
        return Cell(value=None, n=0, users=0, reason=outcome.reason)
    value = outcome.values[metric.name]
    cell = Cell(
        value=value,
        n=outcome.n,
        users=outcome.users,
        interval=outcome.intervals.get(metric.name),
        retriever=outcome.retriever,
        share=_share(outcome, metric, none),
        erased=outcome.erased or None,
        question_set=outcome.question_set,
        choosing=choosing_of(outcome.bounds, metric),
    )
    if lead is not None and outcome.question_set != lead.question_set:
        if outcome.n != lead.n:
            return replace(cell, note=f"answered {outcome.n} questions, the row's others {lead.n}")
        return replace(cell, note="answered other questions than the row's others")
    if base is None or outcome is base:
        return cell
    cell = replace(
        cell,
        delta=value - base.values[metric.name],
        relative_gain=relative_gain(value, base.values[metric.name], higher_is_better=metric.higher_is_better),
    )
    if outcome.comparison is None:
        return cell
    cell = replace(cell, p_value=outcome.comparison.metrics[metric.name].p_value)
    if not primary:
        return cell
    return replace(cell, wins=outcome.comparison.wins, ties=outcome.comparison.ties, losses=outcome.comparison.losses)


def _marked(cells: Mapping[str, Cell], metric: Metric) -> dict[str, Cell]:
    """Mark the best of the comparable cells, all of them where several are equal."""
    values = [cell.value for cell in cells.values() if cell.value is not None and cell.note is None]
    if not values:
        return dict(cells)
    best = max(values) if metric.higher_is_better else min(values)
    return {
        key: replace(cell, best=cell.note is None and cell.value is not None and abs(cell.value - best) <= SAME)
        for key, cell in cells.items()
    }


def _corrected(rows: Sequence[Row], columns: Sequence[Method]) -> list[Row]:
    cells = [row.cells[method.key] for row in rows for method in columns]
    p_values = iter(holm([cell.p_value for cell in cells]))
    of_controls = iter(holm([cell.control.p_value if cell.control else None for cell in cells]))
    of_choosing = iter(holm([_p_of_choosing(cell) for cell in cells]))

    def corrected(cell: Cell) -> Cell:
        p_holm, control, choosing = next(p_values), next(of_controls), next(of_choosing)
        return replace(
            cell,
            p_holm=p_holm,
            control=replace(cell.control, p_holm=control) if cell.control else None,
            choosing=replace(cell.choosing, p_holm=choosing) if cell.choosing else None,
        )

    return [replace(row, cells={method.key: corrected(row.cells[method.key]) for method in columns}) for row in rows]


def _p_of_choosing(cell: Cell) -> float | None:
    return cell.choosing.bounds.p_value if cell.choosing is not None and cell.choosing.bounds is not None else None


def _value_row(row: Row, columns: Sequence[Method]) -> ValueRow:
    cells = {method: row.cells[method.key] for method in columns}
    values = {method: cell.value for method, cell in cells.items() if cell.value is not None and cell.note is None}
    return ValueRow(row.metric.higher_is_better, values)


def _families(columns: Sequence[Method]) -> list[Family]:
    return [family for family in PERSONALIZED if any(method.family is family for method in columns)]


def _row_as_json(row: Row) -> dict[str, Any]:
    return {
        "task": row.task.key,
        "metric": row.metric.name,
        "higher_is_better": row.metric.higher_is_better,
        **({} if row.oracle is None else {"oracle": {"value": row.oracle}}),
        "cells": {key: _cell_as_json(cell) for key, cell in row.cells.items()},
    }


def _cell_as_json(cell: Cell) -> dict[str, Any]:
    control = {} if cell.control is None else {"control": _control_as_json(cell.control)}
    choosing = {} if cell.choosing is None else {"choosing": choosing_as_json(cell.choosing)}
    if cell.value is None:
        return {"value": None, "n": 0, "reason": cell.reason, **control}
    known = _known(replace(cell, share=None, control=None, choosing=None, question_set=None))
    if cell.interval is not None:
        known["interval"] = list(cell.interval)
    if cell.delta is not None:
        # Defined only where the baseline is not zero; the reader is told that it is not.
        known.setdefault("relative_gain", None)
    return {**known, **_share_as_json(cell.share), **control, **choosing}


def _control_as_json(control: Control) -> dict[str, Any]:
    return {"value": control.value, **_known(replace(control, share=None)), **_share_as_json(control.share)}


def _share_as_json(share: Share | None) -> dict[str, Any]:
    if share is None:
        return {}
    return {"share_of_possible": share.value, **({} if share.reason is None else {"share_reason": share.reason})}


def _known(of: Cell | Control) -> dict[str, Any]:
    return {name: value for name, value in asdict(of).items() if value is not None}
