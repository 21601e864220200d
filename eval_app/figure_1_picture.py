"""Figure 1 of the paper as a picture: improvement against profile size, PEFT and RAG side by side."""

from typing import TYPE_CHECKING, Final

from eval_app.drawing import Form, drawing, new_figure, written
from eval_app.figure_1 import ALL
from eval_app.figure_1_panels import Figure1, Panel
from eval_app.methods import Family

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Final = {Family.PEFT: "#2456c8", Family.RAG: "#b45309"}
_SMALLEST: Final = 18.0
_LARGEST: Final = 260.0


def figure_1_picture(figure: Figure1, *, form: Form) -> bytes:
    """The figure as the paper draws it. Raises ValueError where it has no panel."""
    if not figure.panels:
        raise ValueError("there is neither a PEFT nor a RAG column to draw")
    with drawing:
        import seaborn

        canvas = new_figure(width=4.4 * len(figure.panels), height=3.6)
        axes = canvas.subplots(1, len(figure.panels), sharey=True, squeeze=False)[0]
        for one, panel in zip(axes, figure.panels, strict=True):
            _draw(one, panel, figure)
            seaborn.despine(ax=one)
        axes[0].set_ylabel("improvement")
        axes[0].set_yticks([-1, 0, 1], ["−1 worse", "0 same", "+1 better"])
        canvas.tight_layout()
        return written(canvas, form=form)


def _draw(axes: "Axes", panel: Panel, figure: Figure1) -> None:
    import seaborn

    colour = _COLOURS[panel.family]
    most = max((mark.users for mark in panel.marks), default=1)
    if panel.marks:
        seaborn.scatterplot(
            x=[mark.size for mark in panel.marks],
            y=[mark.direction for mark in panel.marks],
            s=[_SMALLEST + (_LARGEST - _SMALLEST) * mark.users / most for mark in panel.marks],
            ax=axes,
            color=colour,
            alpha=0.45,
            linewidth=0,
            legend=False,
        )
    drawn = figure.drawn_line(panel)
    if drawn is not None:
        sizes, band = drawn
        seaborn.lineplot(x=sizes, y=band.line, ax=axes, color=colour, linewidth=2, errorbar=None)
        axes.fill_between(sizes, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
    axes.set_ylim(-1.35, 1.35)
    axes.grid(axis="both", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("profile size (documents)")
    title = f"{panel.family.heading}, {'all tasks' if figure.task == ALL else figure.task}"
    axes.set_title(title, fontsize=11, parse_math=False)
    axes.text(0.02, 0.97, said_of(panel), transform=axes.transAxes, va="top", fontsize=8, parse_math=False)


def said_of(panel: Panel) -> str:
    """Slope, correlation and n in a line."""
    line = panel.stored
    if line is None:
        return "no line: too few users changed"
    correlation = "–" if line["correlation"] is None else f"{line['correlation']:+.2f}"
    return f"slope {10 * line['slope']:+.3f} per ten documents, r = {correlation}, n = {line['n']:,}"
