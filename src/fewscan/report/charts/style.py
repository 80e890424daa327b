"""How all charts of a report look."""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FAINT, GRID = "#222222", "#8A8A8A", "#E4E4E4"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, distinct under the common kinds of colour blindness."""
WORSE, BETTER = "#D55E00", "#0072B2"
SIZE = (4.3, 3.0)
"""Inches: as wide as a phone's screen, where letters keep their size."""


@contextmanager
def chart(*, title: str = "", size: tuple[float, float] = SIZE) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure with one axis."""
    style = {"font.family": "sans-serif", "font.size": 9, "text.color": INK, "axes.labelcolor": INK}
    with mpl.rc_context(style):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        axis = figure.subplots()
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(FAINT)
        axis.tick_params(which="both", colors=INK, length=0, pad=4)
        axis.grid(color=GRID, linewidth=0.7)
        axis.set_axisbelow(True)
        if title:
            axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
        yield figure, axis
