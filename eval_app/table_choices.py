"""What of a table is looked at, and in which order: what the query string of its page and its exports says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from urllib.parse import urlencode

from eval_app.methods import NONE, Method, MethodError, parse_method
from eval_app.table import Cell, Row, Table, part_of_table

DETAILS: Final[Mapping[str, str]] = {
    "gain": "gain over the baseline",
    "interval": "95 % interval",
    "p": "p, with Holm's correction",
    "users": "users who win, tie, lose",
    "n": "n",
}
"""What may stand under a cell's value, by its name in the query string."""

SHOWN_FIRST: Final = ("gain", "users")
"""What stands there where the query string does not say."""

_FALLING: Final = "-"
_IDS_MOST: Final = 20


class Query(Protocol):
    """A query string, as Django reads it."""

    def getlist(self, key: str, /) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChoices:
    """Which baseline, rows and columns, in which order, with what beside their values. What is empty is everything.

    `rows_by` is a column's key: rows are ordered by its gain, the greatest first, with "-" before it the smallest.
    `columns_by` is a row's name (`row_name`): columns are ordered by its values, the best first, with "-" the worst.
    `seeds` are experiments of the same settings with other seeds, which are averaged with this one.
    """

    baseline: Method = NONE
    tasks: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows_by: str = ""
    columns_by: str = ""
    details: tuple[str, ...] = SHOWN_FIRST
    reference: bool = False
    seeds: tuple[int, ...] = ()

    @classmethod
    def of(cls, query: Query, *, baselines: Sequence[Method]) -> "TableChoices":
        """Read a query string. What it says that makes no sense is as if it were not there."""
        details = query.getlist("show")
        return cls(
            baseline=_baseline(_last(query, "baseline"), baselines),
            tasks=_each(query, "task"),
            metrics=_each(query, "metric"),
            columns=_each(query, "column"),
            rows_by=_last(query, "rows"),
            columns_by=_last(query, "columns"),
            details=tuple(one for one in DETAILS if one in details) if details else SHOWN_FIRST,
            reference=_last(query, "reference") == "1",
            seeds=tuple(int(one) for one in _each(query, "seed") if one.isdecimal() and len(one) < 19)[:_IDS_MOST],
        )

    def parameters(self) -> list[tuple[str, str]]:
        """The query string that says the same, as pairs; empty where nothing was chosen."""
        pairs = [] if self.baseline == NONE else [("baseline", self.baseline.key)]
        pairs += [("task", one) for one in self.tasks]
        pairs += [("metric", one) for one in self.metrics]
        pairs += [("column", one) for one in self.columns]
        pairs += [("rows", self.rows_by)] if self.rows_by else []
        pairs += [("columns", self.columns_by)] if self.columns_by else []
        if self.details != SHOWN_FIRST:
            # Nothing at all is chosen too: an empty one says so.
            pairs += [("show", one) for one in self.details or ("",)]
        pairs += [("reference", "1")] if self.reference else []
        pairs += [("seed", str(one)) for one in self.seeds]
        return pairs

    def query_string(self) -> str:
        """With its question mark, or nothing."""
        pairs = self.parameters()
        return f"?{urlencode(pairs)}" if pairs else "?"

    def shown(self, table: Table) -> Table:
        """The part of `table` that was chosen, in the chosen order. A choice that leaves nothing is not made."""
        rows = [
            row for row in table.rows if _chosen(row.task.key, self.tasks) and _chosen(row.metric.name, self.metrics)
        ]
        columns = [method for method in table.columns if _chosen(method.key, self.columns)]
        rows, columns = rows or list(table.rows), columns or list(table.columns)
        rows, columns = self._order_rows(rows, table), self._order_columns(columns, table)
        part = part_of_table(table, rows=rows, columns=columns)
        return replace(part, reference=part.reference or self.reference)

    def _order_rows(self, rows: list[Row], table: Table) -> list[Row]:
        key, sign = _signed(self.rows_by)
        if key not in {method.key for method in table.columns}:
            return rows
        gains = [gain_of(row, key) for row in rows]
        known = [(gain, at) for at, gain in enumerate(gains) if gain is not None]
        order = [at for _, at in sorted(known, key=lambda one: (-sign * one[0], one[1]))]
        return [rows[at] for at in [*order, *(at for at, gain in enumerate(gains) if gain is None)]]

    def _order_columns(self, columns: list[Method], table: Table) -> list[Method]:
        name, sign = _signed(self.columns_by)
        row = next((row for row in table.rows if row_name(row) == name), None)
        if row is None:
            return columns
        if not row.metric.higher_is_better:
            sign = -sign
        values = {method: _value_of(row.cells[method.key]) for method in columns}
        known = [method for method in columns if values[method] is not None]
        known.sort(key=lambda method: -sign * (values[method] or 0.0))
        return [*known, *(method for method in columns if values[method] is None)]


def row_name(row: Row) -> str:
    """What a row is called in a query string: "LaMP-3:MAE"."""
    return f"{row.task.key}:{row.metric.name}"


def gain_of(row: Row, key: str) -> float | None:
    """A column's relative gain over the table's baseline in a row, positive where better; None where there is none.

    With several seeds it is the mean one.
    """
    cell = row.cells[key]
    return cell.relative_gain if cell.spread is None else cell.spread.relative_gain


def turned(now: str, name: str) -> str:
    """What an order by `name` becomes when it is asked for once more: best first, then worst first, then no order."""
    if now == name:
        return _FALLING + name
    return "" if now == _FALLING + name else name


def _value_of(cell: Cell) -> float | None:
    return cell.value if cell.spread is None else cell.spread.mean


def _signed(text: str) -> tuple[str, int]:
    return (text[1:], -1) if text.startswith(_FALLING) else (text, 1)


def _chosen(name: str, among: Sequence[str]) -> bool:
    return not among or name in among


def _each(query: Query, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in query.getlist(name) if one))


def _last(query: Query, name: str) -> str:
    found = query.getlist(name)
    return found[-1] if found else ""


def _baseline(text: str, baselines: Sequence[Method]) -> Method:
    try:
        method = parse_method(text)
    except MethodError:
        return NONE
    return method if method in baselines else NONE
