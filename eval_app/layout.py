"""What every written form of the table says in the same words: numbers, marks, titles and notes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eval_app.methods import Family, retriever_title
from eval_app.published import SOURCE, PublishedRow
from eval_app.table import Cell, Row, Table, published_reference

SIGNIFICANCE = ((0.001, "***"), (0.01, "**"), (0.05, "*"))

TASK_TITLE = "Task"
METRIC_TITLE = "Metric"
N_TITLE = "n"


def number(value: float) -> str:
    """A metric's value as the paper prints it, to three decimals."""
    return f"{value:.3f}"


def value_text(cell: Cell) -> str:
    """A cell's value, with several seeds their mean and standard deviation; a dash where it did not run."""
    if cell.value is None:
        return "–"
    if cell.spread is not None:
        return f"{number(cell.spread.mean)} ± {number(cell.spread.deviation)}"
    return number(cell.value)


def is_best(cell: Cell) -> bool:
    """Whether nothing in the row is better, with several seeds by their means."""
    return cell.best if cell.spread is None else cell.spread.best


def stars(cell: Cell) -> str:
    """The mark of a difference from the baseline that stands after Holm's correction; none for a mean of seeds."""
    if cell.p_holm is None or cell.spread is not None:
        return ""
    return next((mark for below, mark in SIGNIFICANCE if cell.p_holm < below), "")


def percent(value: float | None) -> str:
    """A gain in percent with its sign; a dash where it is not defined."""
    return "–" if value is None else f"{value:+.1f}%"


def cells_of(table: Table, row: Row) -> list[Cell]:
    """A row's cells in the order of the columns."""
    return [row.cells[method.key] for method in table.columns]


def begins_task(table: Table, at: int) -> bool:
    """Whether the row at this position is the first of its task."""
    return at == 0 or table.rows[at - 1].task.key != table.rows[at].task.key


@dataclass(frozen=True, slots=True)
class Notes:
    """The remarks on cells that did not run or cannot be compared, each once, numbered from 1 in reading order."""

    texts: tuple[str, ...]

    def number_of(self, cell: Cell) -> int | None:
        text = _remark(cell)
        return None if text is None else self.texts.index(text) + 1


def notes_of(table: Table) -> Notes:
    """Collect the table's remarks."""
    return Notes(tuple(dict.fromkeys(_remarks(table))))


def legend(table: Table) -> str:
    """How to read the marks."""
    test = "p < 0.05, 0.01, 0.001 (paired permutation over users, Holm-corrected)"
    text = f"*, **, ***: different from {table.baseline.title} at {test}; n: questions."
    erased = max((cell.erased or 0 for row in table.rows for cell in row.cells.values()), default=0)
    seeds = max((cell.spread.seeds for row in table.rows for cell in row.cells.values() if cell.spread), default=0)
    if seeds:
        text += f" ±: mean and sample standard deviation of {seeds} seeds; differences of means are not tested."
    if erased:
        text += f" {erased} erased: of so many users nothing is left but their part in these figures."
    return text


def average_line(table: Table) -> str | None:
    """The average relative improvement of each family, and over how many of the rows it is taken;

    None where no family ran.
    """
    if not table.average:
        return None
    parts = [
        f"{family.heading} {percent(gain.percent)} ({gain.rows} of {len(table.rows)} rows)"
        for family, gain in table.average.items()
    ]
    return "Average relative improvement over no personalization, best column of each family: " + ", ".join(parts) + "."


def figure_1_line(table: Table) -> str | None:
    """How users' gains go with the sizes of their profiles, over all tasks; None where no line was made."""
    lines = {family: tasks["all"] for family, tasks in (table.figure_1 or {}).items() if tasks.get("all")}
    if not lines:
        return None
    parts = [f"{Family(family).heading} {_slope(line)}" for family, line in lines.items()]
    return (
        "Gain and profile size (Figure 1, all tasks; +1 better, -1 worse, slope per ten documents): "
        + "; ".join(parts)
        + "."
    )


def _slope(line: Mapping[str, Any]) -> str:
    text = f"{10 * line['slope']:+.3f}"
    if line["interval"] is not None:
        low, high = (10 * end for end in line["interval"])
        text += f" [{low:+.3f}, {high:+.3f}]"
    return f"{text}, {line['n']} users"


def chosen_line(table: Table) -> str | None:
    """Which retriever was the best one of each task, None where no method asked for it."""
    parts = []
    for method in table.columns:
        chosen = [
            f"{row.task.key} {retriever_title(cell.retriever)}"
            for at, row in enumerate(table.rows)
            if begins_task(table, at) and (cell := row.cells[method.key]).retriever is not None
        ]
        if chosen:
            parts.append(f"{method.title}: {', '.join(chosen)}")
    return "The best retriever. " + "; ".join(parts) + "." if parts else None


def unbounded_line(table: Table) -> str | None:
    """Which methods that choose among retrievers cannot be held against their pool, and why; None where all can."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in table.rows:
        for method in table.columns:
            choosing = row.cells[method.key].choosing
            if choosing is None or choosing.bounds is not None or row.metric != row.task.primary_metric:
                continue
            found.setdefault((method.title, choosing.reason or ""), []).append(row.task.key)
    parts = [f"{title} in {', '.join(tasks)}: {reason}" for (title, reason), tasks in found.items()]
    return "Not held against what choosing can gain. " + "; ".join(parts) + "." if parts else None


def reference_title() -> str:
    """The head of the published table: it must never be taken for one's own results."""
    return SOURCE


def reference_average_line() -> str:
    """The average relative improvement of the published numbers as rounded, which is not to the digit what the paper
    prints.
    """
    average = published_reference()["average_relative_improvement"]
    parts = [f"{Family(family).heading} {percent(value)}" for family, value in average.items()]
    return "Average relative improvement of these rounded numbers: " + ", ".join(parts) + "."


def published_cells(line: PublishedRow) -> list[tuple[float, bool]]:
    """A published row's values, and whether each is the row's best."""
    best = max(line.values) if line.higher_is_better else min(line.values)
    return [(value, value == best) for value in line.values]


def _remark(cell: Cell) -> str | None:
    if cell.value is None:
        return f"did not run: {cell.reason}"
    if cell.note is not None:
        return f"not compared: {cell.note}"
    return f"not averaged: {cell.unaveraged}" if cell.unaveraged is not None else None


def _remarks(table: Table) -> Iterator[str]:
    for row in table.rows:
        for cell in cells_of(table, row):
            text = _remark(cell)
            if text is not None:
                yield text
