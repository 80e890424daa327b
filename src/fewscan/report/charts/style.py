"""How all charts of a report look."""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewscan.experiments.curve import COLOURS, FAINT, GRID, INK

__all__ = ["BETTER", "COLOURS", "FAINT", "INK", "WORSE", "chart"]

BETTER, WORSE = COLOURS[:2]
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
