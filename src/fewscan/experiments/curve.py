"""The picture of a study: Dice against the number of labelled scans, one line per method.

Colours are those of Okabe and Ito, distinct under the common kinds of colour blindness; every line is named at its end,
so that no legend has to be matched. Small dots are single seeds, bands are one standard deviation either way.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from fewscan.files import write_atomically

BASELINE_COLOUR = "#3C3C3C"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
INK, FAINT, GRID = "#222222", "#8A8A8A", "#E4E4E4"
LABEL_GAP_POINTS = 12.0
"""Least distance of two line names, in points."""


@dataclass(frozen=True)
class Curve:
    """One method.

    Attributes
    ----------
    title : str
        Written at the end of the line.
    points : sequence of (labelled count, Dice of each seed)
        Ascending by count.
    is_baseline : bool
        Drawn in grey; the others in colours.
    """

    title: str
    points: Sequence[tuple[int, Sequence[float]]]
    is_baseline: bool = False


class _Name(NamedTuple):
    """What is written beside the end of a line, at the height of ``height`` on the axis."""

    text: str
    height: float
    colour: str
    bold: bool = True


def save_curve(
    path: Path, curves: Sequence[Curve], *, title: str, upper_bound: Sequence[float] = (), upper_title: str = ""
) -> None:
    """Write the picture as PNG.

    Parameters
    ----------
    path : Path
        Written atomically.
    curves : sequence of Curve
        Any number, with any number of points.
    title : str
        Above the picture.
    upper_bound : sequence of float
        Dice of each seed with all labels, drawn as a dashed line; empty for none.
    upper_title : str
        Its name.
    """
    with mpl.rc_context({"font.family": "sans-serif", "font.size": 10, "text.color": INK, "axes.labelcolor": INK}):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained", facecolor="white")
        axis = figure.subplots()
        drawn = [curve for curve in curves if curve.points]
        names = []
        for k, (curve, colour) in enumerate(zip(drawn, line_colours([c.is_baseline for c in drawn]), strict=True)):
            height = _draw_curve(axis, curve, colour, MARKERS[k % len(MARKERS)])
            names.append(_Name(curve.title, height, colour))
        _dress(axis, sorted({count for curve in drawn for count, _ in curve.points}), title)
        if upper_bound:
            names.append(_Name(upper_title, _draw_upper_bound(axis, upper_bound), BASELINE_COLOUR, bold=False))
        if not drawn and not upper_bound:
            axis.text(0.5, 0.5, "no cell is finished yet", transform=axis.transAxes, ha="center", color=FAINT)
        figure.draw_without_rendering()  # the limits are known from here on
        _name_lines(axis, names)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160)
    write_atomically(path, buffer.getvalue())


def line_colours(is_baseline: Sequence[bool]) -> list[str]:
    """Return the colour of each line of a study, the same in all its pictures: grey for the baseline."""
    colours = iter(np.resize(COLOURS, len(is_baseline)).tolist())
    return [BASELINE_COLOUR if baseline else next(colours) for baseline in is_baseline]


def spread_apart(positions: Sequence[float], *, gap: float) -> list[float]:
    """Return positions at least ``gap`` apart, in the same order and as near to the given ones as that allows.

    Neighbours that are too close form a block that is centred on the mean of their wishes; blocks that meet are joined.
    """
    order = np.argsort(np.asarray(positions, dtype=float), kind="stable")
    blocks: list[list[float]] = []  # each holds the wishes of its members, lowest first
    for index in order:
        blocks.append([positions[index]])
        while len(blocks) > 1 and _start(blocks[-1], gap) < _start(blocks[-2], gap) + gap * len(blocks[-2]):
            last = blocks.pop()
            blocks[-1] += last
    placed = [_start(block, gap) + gap * k for block in blocks for k in range(len(block))]
    result = [0.0] * len(placed)
    for index, position in zip(order, placed, strict=True):
        result[index] = position
    return result


def _start(block: Sequence[float], gap: float) -> float:
    return sum(block) / len(block) - gap * (len(block) - 1) / 2


def _draw_curve(axis: Axes, curve: Curve, colour: str, marker: str) -> float:
    """Draw one method and return the height at which its line ends."""
    counts = np.array([count for count, _ in curve.points], dtype=float)
    scores = [100.0 * np.asarray([v for v in values if isfinite(v)]) for _, values in curve.points]
    mean = np.array([values.mean() if values.size else nan for values in scores])
    spread = np.array([values.std(ddof=1) if values.size > 1 else 0.0 for values in scores])
    axis.fill_between(counts, mean - spread, mean + spread, color=colour, alpha=0.13, linewidth=0)
    for count, values in zip(counts, scores, strict=True):
        axis.plot(np.full(values.size, count), values, ".", color=colour, alpha=0.45, markersize=4)
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.9}
    axis.plot(counts, mean, color=colour, linewidth=2.2, marker=marker, markersize=6.5, zorder=3, **edge)
    seen = mean[~np.isnan(mean)]
    return float(seen[-1]) if seen.size else nan


def _draw_upper_bound(axis: Axes, scores: Sequence[float]) -> float:
    mean = 100.0 * float(np.mean(scores))
    axis.axhline(mean, color=BASELINE_COLOUR, linewidth=1.3, linestyle=(0, (5, 3)), zorder=1)
    axis.margins(y=0.08)
    return mean


def _dress(axis: Axes, counts: Sequence[int], title: str) -> None:
    axis.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    axis.set_ylabel("mean Dice on the test scans, %")
    axis.set_xlabel("labelled scans (log scale)")
    if counts:
        axis.set_xscale("log")
        axis.set_xticks(counts, [str(count) for count in counts])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlim(counts[0] / 1.12, counts[-1] * 1.12)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(FAINT)
    axis.tick_params(colors=INK, length=0, pad=6)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)


def _name_lines(axis: Axes, names: Sequence[_Name]) -> None:
    """Write each line's name at the right edge, at the height of its end where there is room."""
    names = [name for name in names if not isnan(name.height)]
    points_per_pixel = 72.0 / axis.figure.dpi
    wishes = [float(axis.transData.transform((1.0, name.height))[1]) * points_per_pixel for name in names]
    for name, wish, place in zip(names, wishes, spread_apart(wishes, gap=LABEL_GAP_POINTS), strict=True):
        axis.annotate(
            f"{name.text}  {name.height:.1f}",
            (1.0, name.height),
            xycoords=("axes fraction", "data"),
            xytext=(4, place - wish),
            textcoords="offset points",
            va="center",
            color=name.colour,
            fontweight="bold" if name.bold else "normal",
            annotation_clip=False,
        )
