"""Quality against cost: what each column of a comparison is worth, beside what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eval_app.methods import Method
from eval_app.pareto import Compromise, pareto_front
from eval_app.spending import Spending, mean_spending
from eval_app.table import Cell, Row, Table
from lamp.tasks import Task

AVERAGE: Final = "average"
"""Stands for all tasks together."""


@dataclass(frozen=True)
class Standing:
    """A column, its quality and its costs.

    `quality` is None where it did not run. `reason` says why it takes no part in the front, None where it does.
    """

    method: Method
    quality: float | None
    spending: Spending
    reason: str | None = None


def standings_on_task(*, table: Table, task: Task, spending: Mapping[tuple[str, str], Spending]) -> list[Standing]:
    """By a task's first metric; `spending` is found by (task key, method key)."""
    row = next(row for row in table.rows if row.task.key == task.key and row.metric.name == task.primary_metric.name)
    return [
        _standing(method, row.cells[method.key], spending.get((task.key, method.key), Spending()))
        for method in table.columns
    ]


def standings_on_average(*, table: Table, spending: Mapping[tuple[str, str], Spending]) -> list[Standing]:
    """By the mean over the table's rows of the relative gain over the baseline, in percent; costs are means over tasks.

    Those that lack a row which others have are not compared with them.
    """
    found = {method: _gains(table, method) for method in table.columns}
    most = max((len(gains) for gains in found.values()), default=0)
    standings = []
    for method, gains in found.items():
        tasks = dict.fromkeys(row.task.key for row in table.rows if row.cells[method.key].value is not None)
        costs = mean_spending(spending.get((task, method.key), Spending()) for task in tasks)
        quality = 100 * sum(gains) / len(gains) if gains else None
        reason = None
        if not gains:
            reason = "has no row to be compared in"
        elif len(gains) < most:
            reason = f"was compared in {len(gains)} of {most} rows"
        standings.append(Standing(method, quality, costs, reason))
    return standings


def front_of(standings: Sequence[Standing], *, cost: str, higher_is_better: bool = True) -> list[str]:
    """The keys of the columns that no other beats in quality and `cost` (a field of `Spending`), the cheapest first."""
    sign = 1 if higher_is_better else -1
    points = {
        one.method.key: Compromise(value, sign * one.quality)
        for one in standings
        if one.reason is None and one.quality is not None and (value := getattr(one.spending, cost)) is not None
    }
    return pareto_front(points)


def _standing(method: Method, cell: Cell, costs: Spending) -> Standing:
    if cell.value is None:
        return Standing(method, None, costs, cell.reason or "did not run")
    return Standing(method, cell.value, costs, cell.note)


def _gains(table: Table, method: Method) -> list[float]:
    """The relative gains of a column in the rows where it can be compared; nothing gained by the baseline itself."""
    return [gain for row in table.rows if (gain := _gain(row, method, table.baseline)) is not None]


def _gain(row: Row, method: Method, baseline: Method) -> float | None:
    base = row.cells.get(baseline.key)
    if base is None or not base.value:
        return None
    return 0.0 if method == baseline else row.cells[method.key].relative_gain
