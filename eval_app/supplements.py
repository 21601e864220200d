"""The smaller tables under the comparison: what each method gained over its control, of what was possible, and by
choosing among retrievers.

Every written form lays them out alike: the comparison's own rows and columns, a text a cell.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from eval_app.improvement import SAME
from eval_app.layout import begins_task, number
from eval_app.methods import NONE, Method
from eval_app.table import Cell, Row, Table
from retrieval_app.retrievers import POOL_TITLES

CLEARLY = 0.01
"""The p below which a difference from the control is counted."""

ABSENT = "–"
NOTHING_TO_CHOOSE = "no choice among the pool is better than the best single retriever, so nothing is to be gained"


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
    """The supplements that there is anything to say in: none without controls, an oracle and methods that choose."""
    found = (_own_against_swapped(table), _share_of_possible(table), *_choosing(table))
    return [one for one in found if one is not None]


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


_Pool = tuple[int | None, tuple[str, ...]]
"""What methods that stand in one table of choosing share: their adapters' rank, if any, and their pool."""


def _choosing(table: Table) -> Iterator[Supplement]:
    """Two tables for every pool: what choosing gained between its bounds, and how often each member was chosen."""
    pools = dict.fromkeys(
        pool
        for row in table.rows
        for method in table.columns
        if _bounded(row.cells[method.key]) and (pool := _pool(method, row.cells[method.key])) is not None
    )
    for pool in pools:
        columns = [method for method in table.columns if any(_is_of(pool, method, row) for row in table.rows)]
        yield _between_bounds(table, pool, columns)
        yield _times_chosen(table, pool, columns)


def _between_bounds(table: Table, pool: _Pool, columns: Sequence[Method]) -> Supplement:
    def leads(row: Row) -> tuple[str, str]:
        cells = [row.cells[method.key].choosing for method in columns if _is_of(pool, method, row)]
        # One pool of one family has the same members' columns, so whichever was held against it knows its bounds.
        found = next(one.bounds for one in cells if one is not None and one.bounds is not None)
        return f"{number(found.best_value)} {_member(found.best)}", number(found.oracle)

    lines = [
        replace(line, leads=leads(line.row), cells={method.key: _gap(pool, method, line.row) for method in columns})
        for line in _lines_of(table, pool, columns)
        if any(_bounded(line.row.cells[method.key]) for method in columns if _is_of(pool, method, line.row))
    ]
    return Supplement(
        title="Choosing the retriever: value, and share of what choosing can gain",
        columns=columns,
        leads=("Best single", "Pool's oracle"),
        lines=_apart(lines),
        remarks=[
            "The share is 0 for the best single retriever, picked on these same questions, which favours it; 1 for the "
            "pool's oracle, which knows the right answers and takes each question's best of the pool. p: against the "
            "best single one, two-sided, paired permutation over users, Holm-corrected over these. Macro F1, which no "
            "single answer has, is left out.",
            *([f"{ABSENT}: {NOTHING_TO_CHOOSE}."] if _nothing_to_choose(lines, columns) else []),
            *(line for method in columns if (line := choosing_line(table, method)) is not None),
        ],
    )


def _times_chosen(table: Table, pool: _Pool, columns: Sequence[Method]) -> Supplement:
    def counts(method: Method, row: Row) -> str:
        choosing = row.cells[method.key].choosing
        if choosing is None or not _is_of(pool, method, row):
            return ABSENT
        return " / ".join(str(count) for count in choosing.chosen.values())

    first_of_task: dict[str, Line] = {}
    for line in _lines_of(table, pool, columns):
        first_of_task.setdefault(line.row.task.key, line)
    return Supplement(
        title="How often each was chosen: " + " / ".join(_member(name) for name in pool[1]),
        columns=columns,
        leads=(),
        lines=_apart(
            replace(line, cells={method.key: counts(method, line.row) for method in columns})
            for line in first_of_task.values()
        ),
        remarks=[],
    )


def choosing_line(table: Table, method: Method) -> str | None:
    """In how many tasks a method that chooses beats the best single retriever, and the mean share of the gap;

    None where no task's first metric has bounds.
    """
    found = [
        (row, choosing, choosing.bounds)
        for row in table.rows
        if row.metric == row.task.primary_metric
        and (choosing := row.cells[method.key].choosing) is not None
        and choosing.bounds is not None
    ]
    if not found:
        return None
    gains = [
        (bounds.value - bounds.best_value) * (1 if row.metric.higher_is_better else -1) for row, _, bounds in found
    ]
    tests = [choosing.p_holm for _, choosing, _ in found]
    better = [p for gain, p in zip(gains, tests, strict=True) if gain > SAME]
    worse = [p for gain, p in zip(gains, tests, strict=True) if gain < -SAME]
    shares = [bounds.share for _, _, bounds in found if bounds.share is not None]
    mean = f"; mean share {fmean(shares):.2f}" if shares else ""
    return (
        f"{method.title}, by each task's first metric: better than the best single retriever in {len(better)} of "
        f"{len(found)} tasks ({_clear(better)} at p < {CLEARLY}), worse in {len(worse)} ({_clear(worse)}){mean}."
    )


def _clear(p_values: Sequence[float | None]) -> int:
    return sum(p is not None and p < CLEARLY for p in p_values)


def _nothing_to_choose(lines: Sequence[Line], columns: Sequence[Method]) -> bool:
    cells = [line.row.cells[method.key].choosing for line in lines for method in columns]
    return any(cell is not None and cell.bounds is not None and cell.bounds.share is None for cell in cells)


def _lines_of(table: Table, pool: _Pool, columns: Sequence[Method]) -> list[Line]:
    """The rows of a table in which one of `columns` chose among `pool`."""
    lines = _lines(table, columns, lambda _: ABSENT)
    return [line for line in lines if any(_is_of(pool, method, line.row) for method in columns)]


def _apart(lines: Iterable[Line]) -> list[Line]:
    """These lines as a table of their own: whether one begins a task is by the line before it here."""
    apart: list[Line] = []
    for line in lines:
        begins = not apart or apart[-1].row.task.key != line.row.task.key
        apart.append(replace(line, begins_task=begins))
    return apart


def _gap(pool: _Pool, method: Method, row: Row) -> str:
    choosing = row.cells[method.key].choosing
    if choosing is None or choosing.bounds is None or not _is_of(pool, method, row):
        return ABSENT
    share, p = choosing.bounds.share, choosing.p_holm
    text = f"{number(choosing.bounds.value)}, {ABSENT if share is None else f'{share:.2f}'}"
    return text + ("" if p is None else f", p {_p(p)}")


def _bounded(cell: Cell) -> bool:
    return cell.choosing is not None and cell.choosing.bounds is not None


def _is_of(pool: _Pool, method: Method, row: Row) -> bool:
    return _pool(method, row.cells[method.key]) == pool


def _pool(method: Method, cell: Cell) -> _Pool | None:
    return None if cell.choosing is None else (method.rank, tuple(cell.choosing.chosen))


def _member(name: str) -> str:
    return POOL_TITLES.get(name, name)


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
