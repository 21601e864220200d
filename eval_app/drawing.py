"""Drawing with matplotlib, which is loaded when the first figure is asked for: most processes never draw.

A figure is drawn on its own canvas, with no state that figures share; the same figure gives the same bytes.
"""

import io
import threading
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Form = Literal["png", "svg", "pdf"]
_DOTS_PER_INCH: Final = 160
# Without them a file says when and by which version it was drawn.
_SILENT: Final[dict[Form, dict[str, None]]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
# Its font caches are shared by all figures.
drawing: Final = threading.Lock()
"""Held while a figure is drawn."""


def new_figure(*, width: float, height: float) -> "Figure":
    """An empty figure of so many inches. Hold `drawing` from here to `written`."""
    import matplotlib
    from matplotlib.figure import Figure

    # The ids in an SVG are random without it.
    matplotlib.rcParams["svg.hashsalt"] = "lamppost"
    return Figure(figsize=(width, height), facecolor="white")


def written(figure: "Figure", *, form: Form) -> bytes:
    """The figure as a file."""
    out = io.BytesIO()
    figure.savefig(out, format=form, dpi=_DOTS_PER_INCH, metadata=_SILENT[form])
    return out.getvalue()
