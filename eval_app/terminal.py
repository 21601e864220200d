"""The comparison table for a terminal, by `rich`. Nothing is said by colour alone, so a log of it reads the same."""

from collections.abc import Callable, Sequence
from functools import partial

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as Grid
from rich.text import Text

from eval_app.layout import (
    METRIC_TITLE,
    N_TITLE,
    TASK_TITLE,
    Notes,
    average_line,
    begins_task,
    chosen_line,
    figure_1_line,
    legend,
    notes_of,
    number,
    published_cells,
    reference_average_line,
    reference_title,
    stars,
    unbounded_line,
)
from eval_app.methods import Method
from eval_app.published import COLUMNS, TABLE_1
from eval_app.supplements import Supplement, supplements_of
from eval_app.table import Cell, Table

_UNBOUNDED = 100_000


class _Symbols:
    """The marks that the console's encoding can write."""

    def __init__(self, *, plain: bool) -> None:
        self.plain = plain
        self.up, self.down, self.best, self.absent = ("^", "v", ">", "-") if plain else ("↑", "↓", "▸", "–")

    @classmethod
    def of(cls, console: Console) -> "_Symbols":
        return cls(plain=not console.encoding.lower().startswith("utf"))

    def arrow(self, higher_is_better: bool) -> str:
        return self.up if higher_is_better else self.down

    def text(self, words: str) -> str:
        return words.replace("–", "-").encode("ascii", "replace").decode() if self.plain else words


def print_table(table: Table, console: Console) -> None:
    """Print the table, in several blocks of columns where the console is too narrow for all of them."""
    symbols = _Symbols.of(console)
    notes = notes_of(table)

    def say(words: str, style: str = "") -> None:
        console.print(Text(symbols.text(words), style=style))

    _print_grid(console, table.columns, lambda columns: _values(table, columns, notes, symbols))
    say(f"{symbols.best} best of the row.  {legend(table)}", "dim")
    for at, text in enumerate(notes.texts):
        say(f"[{at + 1}] {text}")
    average = average_line(table)
    if average:
        say("\n" + average)
    if chosen := chosen_line(table):
        say("\n" + chosen)
    if unbounded := unbounded_line(table):
        say("\n" + unbounded)
    if any(cell.wins is not None for row in table.rows for cell in row.cells.values()):
        say(f"\nUsers better / same / worse than {table.baseline.title}, by each task's first metric:", "bold")
        others = [method for method in table.columns if method != table.baseline]
        _print_grid(console, others, lambda columns: _wins(table, columns, symbols))
    if line := figure_1_line(table):
        say("\n" + line)
    for one in supplements_of(table):
        say("\n" + one.title, "bold")
        _print_grid(console, one.columns, partial(_supplement, one, symbols))
        for remark in one.remarks:
            say(remark, "dim")
    if table.reference:
        say("\n" + reference_title(), "bold")
        _print_grid(console, COLUMNS, lambda columns: _reference(columns, symbols))
        say(reference_average_line())


def _print_grid(console: Console, columns: Sequence[Method], grid: Callable[[Sequence[Method]], Grid]) -> None:
    """Print a grid of these columns, in the fewest blocks of about equal size that all fit the console."""
    grids: list[Grid] = []
    for blocks in range(1, len(columns) + 1):
        size = -(-len(columns) // blocks)
        grids = [grid(columns[start : start + size]) for start in range(0, len(columns), size)]
        if all(_width(console, one) <= console.width for one in grids):
            break
    for one in grids:
        console.print(one)


def _width(console: Console, grid: Grid) -> int:
    """The columns of text that a grid takes where nothing presses it."""
    return Measurement.get(console, console.options.update(max_width=_UNBOUNDED), grid).maximum


def _grid(*left: str) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1))
    for title in left:
        grid.add_column(title, no_wrap=True, vertical="bottom")
    return grid


def _add_methods(grid: Grid, methods: Sequence[Method]) -> None:
    for method in methods:
        grid.add_column(Text(method.title.replace(" ", "\n", 1)), justify="right", no_wrap=True)


def _values(table: Table, columns: Sequence[Method], notes: Notes, symbols: _Symbols) -> Grid:
    grid = _grid(TASK_TITLE, METRIC_TITLE)
    grid.add_column(N_TITLE, justify="right", no_wrap=True)
    _add_methods(grid, columns)
    # Marks take equal room in every cell of a column, so that the numbers stand below each other.
    room = {method: max(len(stars(row.cells[method.key])) for row in table.rows) for method in columns}
    for at, row in enumerate(table.rows):
        grid.add_row(
            Text(row.task.key if begins_task(table, at) else "", style="bold"),
            Text(f"{row.metric.name} {symbols.arrow(row.metric.higher_is_better)}"),
            Text(str(row.n), style="dim"),
            *(_cell(row.cells[method.key], row.n, room[method], notes, symbols) for method in columns),
            end_section=at + 1 == len(table.rows) or begins_task(table, at + 1),
        )
    return grid


def _cell(cell: Cell, n: int, room: int, notes: Notes, symbols: _Symbols) -> Text:
    note = notes.number_of(cell)
    mark = f" [{note}]" if note is not None else ""
    if cell.value is None:
        return Text(symbols.absent + mark, style="dim")
    text = Text()
    text.append(f"{symbols.best} " if cell.best else "", style="bold green")
    text.append(number(cell.value), style="bold green" if cell.best else "")
    text.append(stars(cell).ljust(room), style="yellow")
    text.append(f" n={cell.n}" if cell.n != n else "", style="dim")
    text.append(mark, style="dim")
    return text


def _wins(table: Table, columns: Sequence[Method], symbols: _Symbols) -> Grid:
    grid = _grid(TASK_TITLE)
    _add_methods(grid, columns)
    for at, row in enumerate(table.rows):
        if begins_task(table, at):
            cells = [row.cells[method.key] for method in columns]
            grid.add_row(Text(row.task.key, style="bold"), *(_counted(cell, symbols) for cell in cells))
    return grid


def _counted(cell: Cell, symbols: _Symbols) -> Text:
    if cell.wins is None:
        return Text(symbols.absent, style="dim")
    return Text(f"{cell.wins} / {cell.ties} / {cell.losses}")


def _supplement(one: Supplement, symbols: _Symbols, columns: Sequence[Method]) -> Grid:
    grid = _grid(TASK_TITLE, METRIC_TITLE)
    for title in one.leads:
        grid.add_column(title, justify="right", no_wrap=True, vertical="bottom")
    _add_methods(grid, columns)
    for line in one.lines:
        grid.add_row(
            Text(line.row.task.key if line.begins_task else "", style="bold"),
            Text(f"{line.row.metric.name} {symbols.arrow(line.row.metric.higher_is_better)}"),
            *line.leads,
            *(Text(symbols.text(line.cells[method.key])) for method in columns),
        )
    return grid


def _reference(columns: Sequence[Method], symbols: _Symbols) -> Grid:
    grid = _grid(TASK_TITLE, METRIC_TITLE)
    _add_methods(grid, columns)
    for line in TABLE_1:
        cells = dict(zip(COLUMNS, published_cells(line), strict=True))
        shown = [
            f"{symbols.best} {number(value)}" if best else number(value)
            for value, best in (cells[method] for method in columns)
        ]
        grid.add_row(line.task, f"{line.metric} {symbols.arrow(line.higher_is_better)}", *shown)
    return grid
