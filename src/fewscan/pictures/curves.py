"""Learning curves of a run as a picture: every term of the loss and, where there is validation, its Dice."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewscan.files import write_atomically
from fewscan.pictures.overlay import CLASS_COLOURS

FloatArray = npt.NDArray[np.float64]

SMOOTH_OVER = 0.05
"""Width of the smoothing window as a share of the run."""
TOTAL_COLOUR = "#222222"
ADVERSARY = "adversary"
"""What step records call the terms of a second step, beside ``terms``: those that train a discriminator."""


def save_learning_curves(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write the learning curves as PNG.

    Parameters
    ----------
    path : Path
        Written atomically.
    records : iterable of mapping
        The lines of a run's ``log.jsonl``: ``step`` records (``step``, ``loss`` and ``terms``, each with its
        ``product`` of weight and value; those of an ``adversary`` likewise) and ``validation`` records (``step``,
        ``dice`` per class, ``mean_dice``). Any number of either, none included; what is not finite leaves a gap.
    """
    # steps count from 1, as people count them, and from 0 in the log
    records = [{**record, "step": record["step"] + 1} for record in records if "step" in record]
    steps = [record for record in records if record["kind"] == "step"]
    validations = [record for record in records if record["kind"] == "validation"]
    contested = [record for record in steps if ADVERSARY in record]
    panels = 1 + bool(contested) + bool(validations)
    figure = Figure(figsize=(4.5 * panels, 3.4), layout="constrained", facecolor="white")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _draw_terms(axes[0], steps)
    if contested:
        _draw_terms(axes[1], contested, group=ADVERSARY)
    if validations:
        _draw_validation(axes[-1], validations)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())


def moving_mean(values: FloatArray, width: int) -> FloatArray:
    """Return the mean over a centred window of ``width`` entries, cut off at both ends; entries not finite are skipped.

    Where the window holds no finite value the result is NaN.
    """
    finite = np.isfinite(values)
    window = np.ones(2 * (width // 2) + 1)
    half = width // 2
    total = np.convolve(np.where(finite, values, 0.0), window)[half : half + len(values)]
    count = np.convolve(finite.astype(float), window)[half : half + len(values)]
    return np.asarray(np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5))


def as_arrays(points: Sequence[tuple[int, float | None]]) -> tuple[FloatArray, FloatArray]:
    """Return steps and values; what is missing or not finite (JSON holds no NaN) is NaN."""
    table = np.array([(step, np.nan if value is None else value) for step, value in points], float).reshape(-1, 2)
    table[~np.isfinite(table[:, 1]), 1] = np.nan
    return table[:, 0], table[:, 1]


def _draw_terms(axis: Axes, records: Sequence[Mapping[str, Any]], *, group: str = "terms") -> None:
    own = group == "terms"
    axis.set(title="training loss" if own else "the adversary's loss", xlabel="step")
    names = list(dict.fromkeys(name for record in records for name in record[group]))
    curves = {name: [(r["step"], r[group][name]["product"]) for r in records if name in r[group]] for name in names}
    for k, (name, points) in enumerate(curves.items()):
        _draw_curve(axis, points, label=name, colour=CLASS_COLOURS[k % len(CLASS_COLOURS)])
    if records and own and len(names) != 1:
        _draw_curve(axis, [(record["step"], record["loss"]) for record in records], label="total", colour=TOTAL_COLOUR)
    if records:
        axis.legend(frameon=False, fontsize=8)
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    else:
        axis.text(0.5, 0.5, "nothing recorded", transform=axis.transAxes, ha="center", va="center")
    _finish(axis)


def _draw_validation(axis: Axes, records: Sequence[Mapping[str, Any]]) -> None:
    axis.set(title="validation Dice", xlabel="step", ylim=(0, 1))
    names = list(dict.fromkeys(name for record in records for name in record["dice"]))
    for k, name in enumerate(names):
        points = [(record["step"], record["dice"].get(name)) for record in records]
        _draw_points(axis, points, label=name, colour=CLASS_COLOURS[k % len(CLASS_COLOURS)], width=1.2)
    if len(names) != 1:
        means = [(record["step"], record["mean_dice"]) for record in records]
        _draw_points(axis, means, label="mean", colour=TOTAL_COLOUR, width=2.0)
    axis.legend(frameon=False, fontsize=8, ncols=2)
    _finish(axis)


def _draw_curve(axis: Axes, points: Sequence[tuple[int, float | None]], *, label: str, colour: str) -> None:
    """Draw the raw values faintly and their moving mean above them."""
    step, value = as_arrays(points)
    axis.plot(step, value, color=colour, alpha=0.25, linewidth=0.8)
    marker = "o" if len(step) == 1 else None
    smooth = moving_mean(value, max(1, round(SMOOTH_OVER * len(value))))
    axis.plot(step, smooth, color=colour, linewidth=1.8, label=label, marker=marker)


def _draw_points(
    axis: Axes, points: Sequence[tuple[int, float | None]], *, label: str, colour: str, width: float
) -> None:
    step, value = as_arrays(points)
    axis.plot(step, value, color=colour, linewidth=width, label=label, marker="o", markersize=3)


def _finish(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
