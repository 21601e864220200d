"""A cost report for a terminal, by `rich`."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from training_app.costs.report import CostReport, CostRow
from training_app.costs.words import bytes_in_words, number_in_words

_TITLES = (
    "Adapters",
    "Steps",
    "Tokens",
    "PFLOP",
    "GPU hours",
    "kWh",
    "kg CO₂e",
    "Storage\nbf16",
    "Storage\nfloat32",
)
# What stands for a character that the console's encoding cannot write.
_PLAIN = str.maketrans({"₂": "2", "×": "x", "“": '"', "”": '"', "–": "-"})


def print_report(report: CostReport, console: Console) -> None:
    """Print a row for each rank and task, totals, a million users, and the formulas beneath."""
    counted = report.counted
    title = f"An adapter for each user of “{counted.dataset}” {counted.split}, beside {report.base_model}"
    _say(console, f"{title}, on {report.assumptions.gpu.title}", style="bold")
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in ("Rank", "Task"):
        grid.add_column(name, no_wrap=True, vertical="bottom")
    for name in _TITLES:
        grid.add_column(_writable(console, name), justify="right", no_wrap=True, vertical="bottom")
    _add_rows(grid, report)
    console.print(grid)
    for line in report.assumptions_in_words():
        _say(console, line)


def _add_rows(grid: Grid, report: CostReport) -> None:
    tasks = list(report.counted.work)
    rows = report.rows()
    for total in report.totals():
        if len(tasks) > 1:
            for row in rows:
                if row.rank == total.rank:
                    grid.add_row(str(row.rank), row.task, *_cells(row))
        rank = "all" if total.rank is None else str(total.rank)
        name = tasks[0] if len(tasks) == 1 else "all tasks"
        grid.add_row(rank, name, *_cells(total), style="bold", end_section=True)
    for row in report.million_users():
        grid.add_row(str(row.rank), "a million such users", *_cells(row))


def _cells(row: CostRow) -> Sequence[str]:
    cost = row.cost
    numbers = (cost.adapters, cost.steps, cost.tokens, cost.pflop, cost.gpu_hours, cost.kwh, cost.co2e_kg)
    return [*map(number_in_words, numbers), bytes_in_words(cost.bfloat16_bytes), bytes_in_words(cost.float32_bytes)]


def _say(console: Console, words: str, *, style: str = "") -> None:
    console.print(Text(_writable(console, words), style=style))


def _writable(console: Console, words: str) -> str:
    if console.encoding.lower().startswith("utf"):
        return words
    return words.translate(_PLAIN).encode("ascii", "replace").decode()
