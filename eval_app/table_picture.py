"""The comparison table as a picture."""

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from eval_app.drawing import drawing, new_figure, written
from eval_app.layout import METRIC_TITLE, N_TITLE, TASK_TITLE, begins_task, cells_of, is_best, legend, stars, value_text
from eval_app.methods import Method
from eval_app.table import Cell, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In inches.
_LEFT: Final = (0.1, 1.15, 2.6)
_FIRST_COLUMN: Final = 2.75
_COLUMN: Final = 1.05
_WIDE_COLUMN: Final = 1.45
_ROW: Final = 0.27
_HEAD: Final = 0.75
_FOOT: Final = 0.75
# More would be a picture that nobody can open.
_ROWS_MOST: Final = 200
_COLUMNS_MOST: Final = 60


def table_png(table: Table) -> bytes:
    """Values with their marks, the best of each row bold; the first rows and columns of a table that is very large."""
    columns, rows = list(table.columns)[:_COLUMNS_MOST], list(table.rows)[:_ROWS_MOST]
    wide = any(cell.spread is not None for row in rows for cell in row.cells.values())
    step = _WIDE_COLUMN if wide else _COLUMN
    width = max(_FIRST_COLUMN + step * len(columns) + 0.1, 7.0)
    height = _HEAD + _ROW * len(rows) + _FOOT
    with drawing:
        figure = new_figure(width=width, height=height)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.axis("off")
        _draw_heads(axes, columns, step=step, width=width)
        for at, row in enumerate(rows):
            y = _HEAD + _ROW * (at + 0.5)
            if at and begins_task(table, at):
                axes.axhline(y - _ROW / 2, 0.1 / width, 1 - 0.1 / width, color="#999999", linewidth=0.4)
            _draw_row(axes, table, row, columns, y=y, step=step, names_task=begins_task(table, at))
        bottom = _HEAD + _ROW * len(rows)
        axes.axhline(bottom, 0.1 / width, 1 - 0.1 / width, color="black", linewidth=1)
        foot = f"Bold: best of the row. –: did not run. †: not compared with the others. {legend(table)}"
        for at, line in enumerate(_wrapped(foot, characters=int(width * 15))):
            _write(axes, 0.1, bottom + 0.17 + 0.16 * at, line, size=7)
        return written(figure, form="png")


def _draw_heads(axes: "Axes", columns: list[Method], *, step: float, width: float) -> None:
    at = 0
    for family, found in groupby(columns, key=lambda method: method.family):
        span = len(list(found))
        left, right = _FIRST_COLUMN + step * at, _FIRST_COLUMN + step * (at + span)
        _write(axes, (left + right) / 2, 0.2, family.heading, align="center", bold=True)
        axes.plot([left + 0.08, right - 0.02], [0.33, 0.33], color="black", linewidth=0.5)
        at += span
    for place, (title, align) in enumerate(((TASK_TITLE, "left"), (METRIC_TITLE, "left"), (N_TITLE, "right"))):
        _write(axes, _LEFT[place], 0.53, title, align=align)
    for place, method in enumerate(columns):
        title = method.title.removeprefix(method.family.heading).strip() or method.title
        _write(axes, _FIRST_COLUMN + step * (place + 1) - 0.05, 0.53, _cut(title), align="right", size=8)
    axes.axhline(_HEAD - 0.06, 0.1 / width, 1 - 0.1 / width, color="black", linewidth=1)


def _draw_row(
    axes: "Axes", table: Table, row: Row, columns: list[Method], *, y: float, step: float, names_task: bool
) -> None:
    if names_task:
        _write(axes, _LEFT[0], y, _cut(row.task.key))
    _write(axes, _LEFT[1], y, f"{row.metric.name} {'↑' if row.metric.higher_is_better else '↓'}")
    _write(axes, _LEFT[2], y, f"{row.n:,}", align="right")
    for place, cell in enumerate(cells_of(table, row)[: len(columns)]):
        _write(axes, _FIRST_COLUMN + step * (place + 1) - 0.05, y, _text(cell), align="right", bold=is_best(cell))


def _text(cell: Cell) -> str:
    return value_text(cell) + stars(cell) + ("†" if cell.value is not None and (cell.note or cell.unaveraged) else "")


def _write(
    axes: "Axes", x: float, y: float, text: str, *, align: str = "left", bold: bool = False, size: float = 9
) -> None:
    more: dict[str, Any] = {"fontweight": "bold"} if bold else {}
    # A name may hold a dollar, which would begin a formula.
    axes.text(x, y, text, ha=align, va="center", fontsize=size, parse_math=False, **more)


def _cut(text: str) -> str:
    return text if len(text) <= 16 else text[:15] + "…"


def _wrapped(text: str, *, characters: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, characters)[:3]
