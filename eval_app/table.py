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
from eval_app.comparison import Comparison, compare
from eval_app.improvement import SAME, DifferentQuestions, relative_gain
from eval_app.methods import NONE, Family, Method
from eval_app.published import COLUMNS, SOURCE, TABLE_1
from eval_app.relative import PERSONALIZED, AverageGain, ValueRow, average_relative_improvement
from eval_app.scoring import RunScores
from eval_app.significance import DRAWS, holm
from lamp.tasks import Metric, Task


@dataclass(frozen=True, slots=True)
class Measured:
    """What a finished run left for the table. Raises ValueError where a value is not finite.

    `question_set` is `RunScores.question_set`; `comparison` is with the table's baseline, None for the baseline itself
    and where the two cannot be paired.
    """

    values: Mapping[str, float]
    n: int
    users: int
    question_set: str
    intervals: Mapping[str, Interval]
    comparison: Comparison | None = None
    retriever: str | None = None
    """What the method's `best` was; None where the method names its retriever or has none."""

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


def measure(run: RunScores, *, baseline: RunScores | None = None, seed: int = 0, draws: int = DRAWS) -> Measured:
    """What the table needs of a run, compared with the baseline's run where both answered the same questions."""
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
    )


@dataclass(frozen=True, slots=True)
class NotRun:
    """A column that has no result for a task, and why, in words for the reader."""

    reason: str


Outcome = Measured | NotRun
NOT_ASKED_FOR = NotRun("not run")


@dataclass(frozen=True, slots=True)
class Cell:
    """A method's result in a metric.

    `value` is None where it did not run (`reason` says why). `note` says why a value cannot be compared with the row's
    others. `p_value`, `delta`, `relative_gain` are against the baseline; wins, ties and losses stand in the row of the
    task's primary metric. `retriever` is what the method's `best` was.
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


@dataclass(frozen=True, slots=True)
class Row:
    """A metric of a task.

    `n` is the number of questions that its comparable cells answered; cells come by the method's key.
    """

    task: Task
    metric: Metric
    n: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """The whole comparison. `reference` asks for the paper's published numbers beside it."""

    columns: Sequence[Method]
    baseline: Method
    rows: Sequence[Row]
    average: Mapping[Family, AverageGain]
    reference: bool


def build_table(
    *,
    tasks: Sequence[Task],
    columns: Sequence[Method],
    outcomes: Mapping[tuple[str, str], Outcome],
    baseline: Method = NONE,
    reference: bool = False,
) -> Table:
    """Lay out the outcomes, found by (task key, method key).

    What is missing has not run. Holm's correction is over the whole table.
    """
    rows = [row for task in tasks for row in _task_rows(task, columns, outcomes, baseline)]
    rows = _corrected(rows, columns)
    gains = average_relative_improvement(_value_row(row, columns) for row in rows)
    average = {family: gains.get(family, AverageGain(None, 0)) for family in _families(columns)}
    return Table(columns=columns, baseline=baseline, rows=rows, average=average, reference=reference)


def table_as_json(table: Table) -> dict[str, Any]:
    """The report's form: `{"rows": [...], "average_relative_improvement": {family: percent}, "reference": ... or
    null}`.

    A cell has `value` and `n` always, and of the rest what is known.
    """
    return {
        "rows": [_row_as_json(row) for row in table.rows],
        "average_relative_improvement": {family.value: gain.percent for family, gain in table.average.items()},
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
    base = measured.get(baseline)
    rows = []
    for at, metric in enumerate(task.metrics):
        cells = {
            method.key: _cell(outcome, metric, lead=lead, base=base, primary=at == 0)
            for method, outcome in found.items()
        }
        rows.append(Row(task=task, metric=metric, n=lead.n if lead else 0, cells=_marked(cells, metric)))
    return rows


def _cell(outcome: Outcome, metric: Metric, *, lead: Measured | None, base: Measured | None, primary: bool) -> Cell:
    if isinstance(outcome, NotRun):
        return Cell(value=None, n=0, users=0, reason=outcome.reason)
    value = outcome.values[metric.name]
    cell = Cell(
        value=value,
        n=outcome.n,
        users=outcome.users,
        interval=outcome.intervals.get(metric.name),
        retriever=outcome.retriever,
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
    corrected = iter(holm([row.cells[method.key].p_value for row in rows for method in columns]))
    return [
        replace(row, cells={method.key: replace(row.cells[method.key], p_holm=next(corrected)) for method in columns})
        for row in rows
    ]


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
        "cells": {key: _cell_as_json(cell) for key, cell in row.cells.items()},
    }


def _cell_as_json(cell: Cell) -> dict[str, Any]:
    known = {name: value for name, value in asdict(cell).items() if value is not None}
    if cell.interval is not None:
        known["interval"] = list(cell.interval)
    if cell.value is None:
        return {"value": None, "n": 0, "reason": cell.reason}
    if cell.delta is not None:
        # Defined only where the baseline is not zero; the reader is told that it is not.
        known.setdefault("relative_gain", None)
    return known
