"""The comparison table as its page shows it: heads in groups, a cell's words and marks, links that change the order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from eval_app.improvement import SAME
from eval_app.layout import is_best, number, percent, published_cells, stars, value_text
from eval_app.methods import Family, Method, retriever_title
from eval_app.published import COLUMNS, TABLE_1
from eval_app.table import Cell, Row, Table
from eval_app.table_choices import TableChoices, row_name, turned

Runs = Mapping[tuple[str, str], int]
"""The run behind a column, by task and method key."""


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring columns of one family."""

    title: str
    span: int


@dataclass(frozen=True, slots=True)
class Head:
    """A column's head; `order` is the query string that orders the rows by it, `sort` its order now in ARIA's words."""

    method: Method
    title: str
    order: str
    sort: str
    is_baseline: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell in words. `direction` is 1 where it is better than the baseline, -1 where worse."""

    value: str
    best: bool = False
    stars: str = ""
    run_id: int | None = None
    direction: int = 0
    gain: str = ""
    relative: str = ""
    interval: str = ""
    p: str = ""
    users: str = ""
    n: str = ""
    reason: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A row: a metric of a task and its cells, in the order of the heads."""

    row: Row
    name: str
    order: str
    is_order: bool
    cells: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class TaskLines:
    """Neighbouring rows of one task."""

    key: str
    title: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Laid:
    """The whole table, ready for its template."""

    groups: Sequence[Group]
    heads: Sequence[Head]
    tasks: Sequence[TaskLines]


def lay_out(table: Table, *, choices: TableChoices, runs: Runs) -> Laid:
    """Lay out the chosen part of a table."""
    families = [(family, len(list(found))) for family, found in groupby(table.columns, key=lambda one: one.family)]
    tasks = []
    for key, rows in groupby(table.rows, key=lambda row: row.task.key):
        lines = [_line(row, table, choices, runs) for row in rows]
        tasks.append(TaskLines(key, lines[0].row.task.title, lines))
    return Laid(
        groups=[Group(family.heading, span) for family, span in families],
        heads=[_head(method, table, choices) for method in table.columns],
        tasks=tasks,
    )


def runs_of(report: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """The run behind each column of a report that has one."""
    measured = report["measured"]
    return {
        (task, key): cell["run"] for task, cells in measured.items() for key, cell in cells.items() if "run" in cell
    }


def published_lines(tasks: Sequence[str]) -> list[dict[str, Any]]:
    """The paper's rows of these tasks; of all where it has none of them."""
    lines = [line for line in TABLE_1 if line.task in tasks] or TABLE_1
    return [
        {
            "task": line.task,
            "metric": line.metric,
            "higher_is_better": line.higher_is_better,
            "cells": [{"value": number(value), "best": best} for value, best in published_cells(line)],
        }
        for line in lines
    ]


def published_heads() -> list[str]:
    """The heads of the paper's columns."""
    return [method.title for method in COLUMNS]


def _head(method: Method, table: Table, choices: TableChoices) -> Head:
    now = choices.rows_by
    sort = {method.key: "descending", f"-{method.key}": "ascending"}.get(now, "")
    order = replace(choices, rows_by=turned(now, method.key)).query_string()
    title = method.title if method.family in (Family.NONE, Family.IMPORTED) else _without_family(method)
    return Head(method, title, order, sort, method == table.baseline)


def _without_family(method: Method) -> str:
    return method.title.removeprefix(method.family.heading).strip()


def _line(row: Row, table: Table, choices: TableChoices, runs: Runs) -> Line:
    name = row_name(row)
    cells = []
    for method in table.columns:
        run_id = runs.get((row.task.key, method.key))
        cells.append(_shown(row.cells[method.key], row, run_id, is_baseline=method == table.baseline))
    order = replace(choices, columns_by=turned(choices.columns_by, name)).query_string()
    return Line(row, name, order, choices.columns_by.removeprefix("-") == name, cells)


def _shown(cell: Cell, row: Row, run_id: int | None, *, is_baseline: bool) -> Shown:
    if cell.value is None:
        return Shown(value="–", reason=f"did not run: {cell.reason}")
    spread = cell.spread
    remarks = [f"not compared: {cell.note}"] if cell.note else []
    remarks += [f"not averaged: {cell.unaveraged}"] if cell.unaveraged else []
    if cell.retriever:
        remarks.append(f"best was {retriever_title(cell.retriever)}")
    if cell.erased:
        remarks.append(f"{cell.erased} of its users erased since")
    shown = Shown(
        value=value_text(cell),
        best=is_best(cell),
        run_id=run_id,
        n=f"n = {cell.n:,}" if cell.n == cell.users else f"n = {cell.n:,} of {cell.users:,} users",
        remarks=tuple(remarks),
    )
    if spread is not None:
        if is_baseline or spread.gain is None:
            return shown
        return replace(
            shown, direction=_sign(spread.gain), gain=_signed(spread.gain), relative=_relative(spread.relative_gain)
        )
    if cell.interval is not None:
        shown = replace(shown, interval=f"{number(cell.interval.low)} to {number(cell.interval.high)}")
    if cell.delta is None:
        return shown
    gain = cell.delta if row.metric.higher_is_better else -cell.delta
    return replace(
        shown,
        stars=stars(cell),
        direction=_sign(gain),
        gain=_signed(gain),
        relative=_relative(cell.relative_gain),
        p="" if cell.p_value is None else f"p {_p(cell.p_value)}, corrected {_p(cell.p_holm)}",
        users="" if cell.wins is None else f"{cell.wins:,} / {cell.ties:,} / {cell.losses:,}",
    )


def _sign(gain: float) -> int:
    return 0 if abs(gain) <= SAME else (1 if gain > 0 else -1)


def _signed(gain: float) -> str:
    return "0.000" if abs(gain) <= SAME else f"{gain:+.3f}"


def _relative(gain: float | None) -> str:
    return "" if gain is None else percent(100 * gain)


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
