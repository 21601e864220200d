"""The smaller tables under the comparison: what each method gained over its control, and of what was possible.

Every written form lays them out alike: the comparison's own rows and columns, a text a cell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from eval_app.layout import begins_task, number
from eval_app.methods import NONE, Method
from eval_app.table import Cell, Row, Table

CLEARLY = 0.01
"""The p below which a difference from the control is counted."""

ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a supplement; cells come by the method's key."""

    row: Row
    begins_task: bool
    leads: Sequence[str]
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Supplement:
    """One such table; `leads` are the heads of the columns before the methods."""

    title: str
    columns: Sequence[Method]
    leads: Sequence[str]
    lines: Sequence[Line]
    remarks: Sequence[str]


def supplements_of(table: Table) -> list[Supplement]:
    """The supplements that there is anything to say in: none without controls and without an oracle."""
    return [found for found in (_own_against_swapped(table), _share_of_possible(table)) if found is not None]


def _own_against_swapped(table: Table) -> Supplement | None:
    columns = [method for method in table.columns if any(row.cells[method.key].control for row in table.rows)]
    if not columns:
        return None
    cells = [row.cells[method.key] for row in table.rows for method in columns]
    reasons = dict.fromkeys(cell.control.reason for cell in cells if cell.control and cell.control.reason)
    return Supplement(
        title="Own against another user's: own / swapped",
        columns=columns,
        leads=(),
        lines=_lines(table, columns, _against),
        remarks=[
            "Swapped: the same method with another user's profile, adapter or both; p: two-sided, paired permutation "
            "over users, Holm-corrected over these.",
            swapped_line(table),
            *(f"{ABSENT}: {reason}." for reason in reasons),
        ],
    )


def swapped_line(table: Table) -> str:
    """In how many cells the own profile or adapter made a clear difference, and in which direction."""
    tested = better = worse = 0
    for row in table.rows:
        for cell in row.cells.values():
            if cell.control is None or cell.control.p_holm is None or cell.value is None or cell.control.value is None:
                continue
            tested += 1
            if cell.control.p_holm < CLEARLY:
                own_is_better = (cell.value > cell.control.value) == row.metric.higher_is_better
                better, worse = better + own_is_better, worse + (not own_is_better)
    return f"Own is better than swapped in {better} and worse in {worse} of {tested} cells at p < {CLEARLY}."


def _share_of_possible(table: Table) -> Supplement | None:
    rows = [row for row in table.rows if row.oracle is not None]
    columns = [method for method in table.columns if method != NONE]
    if not rows or not columns:
        return None
    shares = [row.cells[method.key].share for row in rows for method in columns]
    reasons = dict.fromkeys(share.reason for share in shares if share is not None and share.reason)
    return Supplement(
        title=f"Share of the possible gain: 0 is {NONE.title}, 1 the oracle, who knows each user",
        columns=columns,
        leads=("Oracle",),
        lines=[
            replace(line, leads=(number(line.row.oracle),))
            for line in _lines(table, columns, _share)
            if line.row.oracle is not None
        ],
        remarks=[f"{ABSENT}: {reason}." for reason in reasons],
    )


def _lines(table: Table, columns: Sequence[Method], text: Callable[[Cell], str]) -> list[Line]:
    return [
        Line(row, begins_task(table, at), (), {method.key: text(row.cells[method.key]) for method in columns})
        for at, row in enumerate(table.rows)
    ]


def _against(cell: Cell) -> str:
    if cell.control is None:
        return ABSENT
    own, swapped = (ABSENT if value is None else number(value) for value in (cell.value, cell.control.value))
    p = cell.control.p_holm
    return f"{own} / {swapped}" + ("" if p is None else f", p {_p(p)}")


def _share(cell: Cell) -> str:
    return ABSENT if cell.share is None or cell.share.value is None else f"{cell.share.value:.2f}"


def _p(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
