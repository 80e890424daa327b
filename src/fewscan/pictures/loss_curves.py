"""Training-loss curves of several methods: a column per labelled count, a row for the total and for each weighted term.

Smoothing: each seed's values are replaced by their mean over a centred window of `SMOOTH_OVER` of the run, cut off at
both ends. The line is the mean over the seeds, the band reaches from the lowest to the highest of them. Raw values are
not drawn: a patch of one step says little, and those of several methods would hide each other.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from fewscan.files import write_atomically
from fewscan.pictures.curves import SMOOTH_OVER, moving_mean

FloatArray = npt.NDArray[np.float64]
Record = Mapping[str, Any]
Read = Callable[[Record], float | None]

INK, FAINT = "#222222", "#8A8A8A"
MOST_TERMS = 3
"""Rows of terms; beyond them, the rarer terms of each method are summed in the last row."""
LOG_FROM = 10.0
"""Largest over smallest value from which an axis of positive values is logarithmic."""
DPI = 160
PANEL_INCHES = (3.3, 2.2)
EDGE_INCHES, HEAD_INCHES, FOOT_INCHES = 0.9, 0.35, 0.75


@dataclass(frozen=True)
class LossCurve:
    """One method with one number of labelled scans.

    Attributes
    ----------
    title : str
        The method, for the legend.
    column : str
        The labelled count, above its panels.
    colour : str
        Of the line and its band.
    seeds : sequence of sequence of mapping
        The lines of each seed's ``log.jsonl``; other than ``step`` records are passed over.
    """

    title: str
    column: str
    colour: str
    seeds: Sequence[Sequence[Record]]


@dataclass(frozen=True)
class Band:
    """A curve over the seeds.

    Attributes
    ----------
    step : ndarray (n,)
        Those that all seeds have logged.
    mean, low, high : ndarray (n,)
        Over the seeds, of the smoothed values; NaN where no seed has a finite value.
    """

    step: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def save_loss_curves(path: Path, curves: Sequence[LossCurve], *, title: str = "") -> None:
    """Write the picture as PNG.

    Parameters
    ----------
    path : Path
        Written atomically.
    curves : sequence of LossCurve
        Any number; columns appear in the order in which their first curve is given.
    title : str
        Above the picture.
    """
    columns = list(dict.fromkeys(curve.column for curve in curves)) or [""]
    rows = panel_rows(curves)
    width = EDGE_INCHES + PANEL_INCHES[0] * max(len(columns), 2)
    height = HEAD_INCHES * (2 if title else 1) + PANEL_INCHES[1] * len(rows) + FOOT_INCHES
    layout = ConstrainedLayoutEngine(rect=(0, FOOT_INCHES / height, 1, 1 - FOOT_INCHES / height))
    with mpl.rc_context({"font.family": "sans-serif", "font.size": 9, "text.color": INK, "axes.labelcolor": INK}):
        figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
        axes = figure.subplots(len(rows), len(columns), squeeze=False, sharex="col", sharey="row")
        for line, (name, read) in zip(axes, rows.items(), strict=True):
            for axis, column in zip(line, columns, strict=True):
                _draw_panel(axis, [curve for curve in curves if curve.column == column], read)
            _scale(line)
            line[0].set_ylabel(name)
        for axis, column in zip(axes[0], columns, strict=True):
            axis.set_title(column, fontsize=10)
        for axis in axes[-1]:
            axis.set_xlabel("training step")
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        _explain(figure, {curve.title: curve.colour for curve in curves}, height)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
    write_atomically(path, buffer.getvalue())


def panel_rows(curves: Sequence[LossCurve]) -> dict[str, Read]:
    """Return what each row shows: its name, and how to read it from a log record (None where it is not there).

    A method's only term is its total, so there are no rows of terms where no method has two.
    """
    used: Counter[str] = Counter()
    several = False
    for curve in curves:
        names = _terms(curve)
        several |= len(names) > 1
        used.update(names)
    rows: dict[str, Read] = {"total loss": lambda record: record["loss"]}
    names = [name for name, _ in used.most_common()] if several else []
    alone = names if len(names) <= MOST_TERMS else names[: MOST_TERMS - 1]
    for name in alone:
        rows[f"{name} (weighted)"] = _reader([name])
    if rest := names[len(alone) :]:
        rows["other terms (weighted, summed)"] = _reader(rest)
    return rows


def over_seeds(seeds: Iterable[Sequence[Record]], read: Read) -> Band | None:
    """Smooth each seed's values and put the seeds together; None where nothing is there."""
    found = []
    for records in seeds:
        steps = [record for record in records if record["kind"] == "step"]
        # JSON has no NaN and no infinity: such a value may have been written as null
        points = {record["step"] + 1: read(record) for record in steps}
        value = np.array([np.nan if v is None else v for v in points.values()], float)
        if np.isfinite(value).any():
            width = max(1, round(SMOOTH_OVER * len(value)))
            found.append((np.array(list(points), float), moving_mean(value, width)))
    if not found:
        return None
    common = reduce(np.intersect1d, [step for step, _ in found])
    values = np.stack([value[np.isin(step, common)] for step, value in found])
    seen = np.isfinite(values).any(axis=0)
    filled = values[:, seen]
    band = np.full((3, len(common)), np.nan)
    band[:, seen] = np.nanmean(filled, axis=0), np.nanmin(filled, axis=0), np.nanmax(filled, axis=0)
    return Band(common, *band)


def _terms(curve: LossCurve) -> list[str]:
    """Return the names of a curve's terms."""
    steps = [record for records in curve.seeds for record in records if record["kind"] == "step"]
    return list(dict.fromkeys(name for record in steps for name in record["terms"]))


def _reader(names: Sequence[str]) -> Read:
    def read(record: Record) -> float | None:
        products = [record["terms"][name]["product"] for name in names if name in record["terms"]]
        return None if not products or None in products else float(sum(products))

    return read


def _draw_panel(axis: Axes, curves: Sequence[LossCurve], read: Read) -> None:
    for curve in curves:
        band = over_seeds(curve.seeds, read)
        if band is None:
            continue
        if len(curve.seeds) > 1:
            axis.fill_between(band.step, band.low, band.high, color=curve.colour, alpha=0.15, linewidth=0)
        marker = "o" if len(band.step) == 1 else None
        axis.plot(band.step, band.mean, color=curve.colour, linewidth=1.6, marker=marker, markersize=4)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(FAINT)
    axis.tick_params(which="both", colors=INK, length=0, pad=4)
    axis.grid(color="#E4E4E4", linewidth=0.7)
    axis.set_axisbelow(True)


def _scale(line: Sequence[Axes]) -> None:
    """Make the height axis of a row logarithmic where its values are positive and far apart."""
    values = np.concatenate([np.zeros(0), *(np.asarray(drawn.get_ydata(), float) for a in line for drawn in a.lines)])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > LOG_FROM * values.min():
        line[0].set_yscale("log")
    elif values.size:
        line[0].set_ylim(bottom=min(0.0, line[0].get_ylim()[0]))
    for axis in line:
        if not axis.lines:
            axis.text(0.5, 0.5, "nothing logged", transform=axis.transAxes, ha="center", va="center", color=FAINT)


def _explain(figure: Figure, colours: Mapping[str, str], height: float) -> None:
    note = (
        f"each seed smoothed by its mean over a centred window of {100 * SMOOTH_OVER:g} % of the run; "
        "line: mean of the seeds, band: lowest to highest"
    )
    figure.text(0.5, 0.1 / height, note, ha="center", va="bottom", fontsize=7.5, color=INK)
    if colours:
        handles = [Line2D([], [], color=colour, linewidth=2.2, label=name) for name, colour in colours.items()]
        figure.legend(
            handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.28 / height), ncols=min(6, len(handles)),
            frameon=False, fontsize=9,
        )  # fmt: skip
