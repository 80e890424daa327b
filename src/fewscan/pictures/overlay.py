"""Pictures of a scan with its true and predicted labels, for people to judge a segmentation by eye.

One row per plane: scan, truth, prediction, errors. Labels are translucent with an outline, in the colours of Okabe and
Ito ("Color universal design", 2008), which stay distinct under the common kinds of colour blindness.
"""

import io
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from math import ceil, isnan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy import ndimage

from fewscan.data.geometry import Geometry
from fewscan.files import write_atomically
from fewscan.metrics.overlap import count_overlap
from fewscan.pictures.orientation import planes, upright

Array = npt.NDArray[Any]

CLASS_COLOURS = ("#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#D55E00", "#0072B2")
"""Foreground classes in order, again from the start after the last."""
MISSED, ADDED, CONFUSED = "#FF4B4B", "#FFFFFF", "#F0E442"
ERRORS = {"missed": MISSED, "added": ADDED, "other class": CONFUSED}

PAPER, INK = "#000000", "#E6EAEE"
COLUMNS = ("scan", "truth", "prediction", "errors")
ROW_INCHES, COLUMN_INCHES = 2.6, 3.3
"""Largest height of a row and largest width of a column."""
LABEL_INCHES, HEAD_INCHES, LEGEND_INCHES = 1.3, 0.35, 0.3
SHARPEN = 4
"""Label maps are drawn with this many pixels per voxel and side, with straight edges between voxel centres."""


@dataclass(frozen=True)
class Example:
    """One scan with its labels.

    Attributes
    ----------
    caption : str
        Shown on the left.
    image : ndarray, shape (*size)
        One channel of the scan.
    truth, prediction : ndarray, shape (*size)
        Label maps; values without a name are background.
    geometry : Geometry
        Grid of all three.
    """

    caption: str
    image: Array
    truth: Array
    prediction: Array
    geometry: Geometry


def save_overlay(path: Path, example: Example, *, class_names: Mapping[int, str], title: str = "") -> None:
    """Write one scan as PNG: a row in 2-D, the axial, coronal and sagittal plane through the true labels in 3-D.

    Parameters
    ----------
    path : Path
        Written atomically.
    example : Example
        What is shown.
    class_names : mapping of int to str
        Name of each foreground label value, in the order of their colours.
    title : str
        Above the picture.
    """
    rows = [(example.caption if k == 0 else "", row) for k, row in enumerate(planes_of(example))]
    _save(path, rows, [dice_per_class(example, class_names)] + [{}] * (len(rows) - 1), class_names, title)


def save_gallery(path: Path, examples: Sequence[Example], *, class_names: Mapping[int, str], title: str = "") -> None:
    """Write several scans below one another as PNG, one plane of each (the axial one in 3-D); see `save_overlay`."""
    rows = [(example.caption, planes_of(example)[0]) for example in examples]
    _save(path, rows, [dice_per_class(example, class_names) for example in examples], class_names, title)


@dataclass(frozen=True)
class Plane:
    """One plane of a scan and its labels, row 0 at the top."""

    image: Array
    truth: Array
    prediction: Array
    aspect: float  # height of a pixel over its width
    window: tuple[float, float]  # intensities shown as black and white

    @property
    def width(self) -> float:
        """Width of the picture over its height."""
        rows, columns = self.image.shape
        return float(columns / (rows * self.aspect))


def planes_of(example: Example, *, crop: bool = True) -> list[Plane]:
    """Return the planes to show: a 2-D scan itself; the axial, coronal and sagittal one through the true labels.

    With ``crop`` the empty margins of the scan are cut off, and labels with them.
    """
    image, spacing_mm = upright(np.asarray(example.image, np.float32), example.geometry)
    truth, _ = upright(example.truth, example.geometry)
    prediction, _ = upright(example.prediction, example.geometry)
    seen = image[image != image.min()]
    low, high = np.percentile(seen, (0.5, 99.5)) if seen.size else (0.0, 1.0)
    window = (min(0.0, float(low)), max(float(high), float(low) + 1e-6))
    if seen.size and crop:
        margin = 2
        [box] = ndimage.find_objects((image != image.min()).astype(np.uint8))
        box = tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in box)
        image, truth, prediction = image[box], truth[box], prediction[box]
    marked = np.argwhere(truth if truth.any() else np.ones_like(truth))
    centre = tuple(int(v) for v in np.round(marked.mean(axis=0)))
    cuts = [planes(array, spacing_mm, centre) for array in (image, truth, prediction)]
    return [
        Plane(shown, true, predicted, aspect, window)
        for (shown, aspect), (true, _), (predicted, _) in zip(*cuts, strict=True)
    ]


def dice_per_class(example: Example, class_names: Mapping[int, str]) -> dict[int, float]:
    """Return the Dice of the whole scan, not of the plane shown."""
    return {value: count_overlap(example.prediction == value, example.truth == value).dice for value in class_names}


def _save(
    path: Path,
    rows: Sequence[tuple[str, Plane]],
    dice: Sequence[Mapping[int, float]],
    class_names: Mapping[int, str],
    title: str,
) -> None:
    colours = {value: CLASS_COLOURS[k % len(CLASS_COLOURS)] for k, value in enumerate(class_names)}
    legend = {class_names[value]: colour for value, colour in colours.items()} | errors_among(class_names)
    column = min(COLUMN_INCHES, ROW_INCHES * max(row.width for _, row in rows))
    heights = [min(ROW_INCHES, column / row.width) for _, row in rows]
    width = LABEL_INCHES + len(COLUMNS) * column
    per_line = max(1, int(width / 1.4))
    head, foot = HEAD_INCHES * (2 if title else 1), LEGEND_INCHES * (ceil(len(legend) / per_line) + 0.4)
    height = head + sum(heights) + foot
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    axes = figure.subplots(len(rows), len(COLUMNS), squeeze=False, height_ratios=heights)
    figure.subplots_adjust(LABEL_INCHES / width, foot / height, 0.995, 1 - head / height, wspace=0.02, hspace=0.07)
    for line, (caption, row), scores in zip(axes, rows, dice, strict=True):
        _draw_row(line, row, colours)
        line[0].text(-0.05, 0.5, caption, transform=line[0].transAxes, ha="right", va="center", color=INK, fontsize=9)
        write_scores(line[2], scores, colours)
    for axis, name in zip(axes[0], COLUMNS, strict=True):
        axis.set_title(name, color=INK, fontsize=10)
    if title:
        figure.suptitle(title, color=INK, fontsize=12, y=1 - 0.12 / height, va="top")
    draw_legend(figure, legend, per_line)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, facecolor=PAPER)
    write_atomically(path, buffer.getvalue())


def _draw_row(axes: Sequence[Axes], row: Plane, colours: Mapping[int, str]) -> None:
    height, width = row.image.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    low, high = row.window
    for axis, shade in zip(axes, (1.0, 1.0, 1.0, 0.55), strict=True):
        axis.set_axis_off()
        top = low + (high - low) / shade
        axis.imshow(row.image, cmap="gray", vmin=low, vmax=top, interpolation="bicubic", extent=extent)
    for axis, labels in ((axes[1], row.truth), (axes[2], row.prediction)):
        axis.imshow(paint_labels(labels, colours), interpolation="nearest", extent=extent)
    axes[3].imshow(paint_errors(row.truth, row.prediction, list(colours)), interpolation="nearest", extent=extent)
    for axis in axes:
        axis.set_aspect(row.aspect)


def paint_labels(labels: Array, colours: Mapping[int, str]) -> Array:
    """Return (rows * SHARPEN, columns * SHARPEN, 4): translucent classes with an opaque outline."""
    shares = [np.isin(labels, list(colours), invert=True), *(labels == value for value in colours)]
    index = np.stack([_enlarged(share) for share in shares]).argmax(axis=0)
    palette = np.array([(0.0, 0.0, 0.0), *(to_rgb(colour) for colour in colours.values())])
    outline = ndimage.grey_dilation(index, size=2) != ndimage.grey_erosion(index, size=2)
    alpha = np.where(index == 0, 0.0, np.where(outline, 0.9, 0.45))
    return np.dstack([palette[index], alpha])


def _enlarged(mask: Array) -> Array:
    # each voxel becomes SHARPEN x SHARPEN pixels whose centres lie inside it
    offset = (np.arange(SHARPEN) + 0.5) / SHARPEN - 0.5
    rows, columns = ((np.arange(n)[:, None] + offset).ravel() for n in mask.shape)
    points = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(mask.astype(np.float32), points, order=1, mode="nearest"))


def paint_errors(truth: Array, prediction: Array, values: Sequence[int]) -> Array:
    """Return (rows, columns, 4): opaque where the labels differ, in the colours of `ERRORS`."""
    truth, prediction = (np.where(np.isin(labels, values), labels, 0) for labels in (truth, prediction))
    wrong = truth != prediction
    result = np.zeros((*truth.shape, 4))
    for colour, where in (
        (MISSED, wrong & (prediction == 0)),
        (ADDED, wrong & (truth == 0)),
        (CONFUSED, wrong & (truth != 0) & (prediction != 0)),
    ):
        result[where] = (*to_rgb(colour), 0.9)
    return result


def errors_among(classes: Sized) -> dict[str, str]:
    """Return the kinds of error and their colours for a legend; a class alone is confused with no other."""
    return {name: colour for name, colour in ERRORS.items() if len(classes) > 1 or colour != CONFUSED}


def write_scores(axis: Axes, dice: Mapping[int, float], colours: Mapping[int, str]) -> None:
    """Write the Dice of each class in its colour along the lower edge of the prediction."""
    for k, (value, score) in enumerate(dice.items()):
        text = "-" if isnan(score) else f"{score:.2f}"
        place = (k + 0.5) / len(dice)
        axis.text(place, 0, text, transform=axis.transAxes, color=colours[value], fontsize=8, ha="center", va="top")


def draw_legend(figure: Figure, entries: Mapping[str, str], per_line: int) -> None:
    """Draw names and their colours along the lower edge of a dark picture."""
    patches = [Patch(color=colour, label=name) for name, colour in entries.items()]
    figure.legend(
        handles=patches,
        loc="lower center",
        ncols=min(per_line, len(patches)),
        frameon=False,
        labelcolor=INK,
        fontsize=8.5,
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.3,
    )
