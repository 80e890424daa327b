"""One scan as small pictures: scan, truth, prediction, errors and confidence, in each plane.

Planes are those of `fewscan.pictures.orientation`, through the centre of the true labels (of the predicted ones where
there is no truth), zoomed to the labels. Confidence is painted over the scan: nothing where the network was certain,
dark violet to yellow the less probable its chosen label was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fewscan.data.geometry import Geometry
from fewscan.pictures.compared import ComparedCase
from fewscan.pictures.orientation import planes, upright
from fewscan.pictures.overlay import CLASS_COLOURS, Example, Plane, errors_among, paint_errors, paint_labels, planes_of
from fewscan.report.document.content import Panels, Picture
from fewscan.report.document.embed import png_pixels

Array = npt.NDArray[Any]

LONGEST_SIDE = 320
"""Pixels of the longer side of a small picture."""
DIMMED = 0.6
UNSURE = 0.5
"""Probability of the chosen label at which (and below) the confidence overlay has its last colour."""
CONFIDENCE_COLOURS = "plasma"
PLANE_NAMES = ("axial", "coronal", "sagittal")
SCALE = "confidence: certain (no colour), then from 100 % to 50 % and less"


@dataclass(frozen=True)
class PicturedCase:
    """A scan with what is known about it.

    Attributes
    ----------
    case_id : str
        Its name.
    image : ndarray (*size)
        One channel.
    prediction : ndarray (*size)
        Label map.
    truth, confidence : ndarray (*size) or None
        True labels, and the probability of the chosen label.
    geometry : Geometry
        Grid of them all.
    """

    case_id: str
    image: Array
    prediction: Array
    geometry: Geometry
    truth: Array | None = None
    confidence: Array | None = None


def class_colours(names: Mapping[int, str]) -> dict[int, str]:
    """Return the colour of each label value, the same in all pictures."""
    return {value: CLASS_COLOURS[k % len(CLASS_COLOURS)] for k, value in enumerate(names)}


def case_panels(case: PicturedCase, names: Mapping[int, str], *, title: str, facts: str = "") -> Panels:
    """Return the pictures of one case.

    Parameters
    ----------
    case : PicturedCase
        The case.
    names : mapping of int to str
        Classes by label value, in the order of their colours.
    title, facts : str
        Above the pictures.
    """
    colours = class_colours(names)
    seen = _cut(case)
    rows = []
    for k, (plane, confidence) in enumerate(seen):
        name = PLANE_NAMES[k] if len(seen) > 1 else ""
        rows.append((name, tuple(_row(case, plane, confidence, colours, name))))
    legend = [(names[value], colour) for value, colour in colours.items()]
    if case.truth is not None:
        legend += list(errors_among(names).items())
    scale = SCALE if case.confidence is not None else ""
    return Panels(title, facts, tuple(rows), tuple(legend), scale)


def _cut(case: PicturedCase) -> list[tuple[Plane, Array | None]]:
    truth = case.prediction if case.truth is None else case.truth
    whole = ComparedCase("", case.image, truth, {"prediction": case.prediction}, case.geometry)
    near, box = whole.zoomed(), whole.zoom_box()
    example = Example("", near.image, near.truth, near.predictions["prediction"], near.geometry)
    cut = planes_of(example, crop=False)
    if case.confidence is None:
        return [(plane, None) for plane in cut]
    sure, spacing_mm = upright(case.confidence[box], near.geometry)
    marked = np.argwhere(upright(near.truth, near.geometry)[0])
    middle = marked.mean(axis=0) if len(marked) else (np.array(sure.shape) - 1) / 2
    shown = planes(sure, spacing_mm, tuple(int(v) for v in np.round(middle)))
    return [(plane, confidence) for plane, (confidence, _) in zip(cut, shown, strict=True)]


def _row(
    case: PicturedCase, plane: Plane, confidence: Array | None, colours: Mapping[int, str], name: str
) -> Sequence[Picture]:
    size = picture_size(plane.image.shape, plane.aspect)
    low, high = plane.window
    grey = np.clip((resized(plane.image, size, order=3) - low) / (high - low), 0, 1)
    where = f"{name} plane of case {case.case_id}" if name else f"case {case.case_id}"
    truth = None if case.truth is None else plane.truth
    shown: list[tuple[str, Array | None, float, str]] = [("scan", None, 1.0, "grey values alone")]
    if truth is not None:
        shown.append(("truth", paint_labels(truth, colours), 1.0, "true labels in colour over the scan"))
    labels = paint_labels(plane.prediction, colours)
    shown.append(("prediction", labels, 1.0, "predicted labels in colour over the scan"))
    if truth is not None:
        wrong = paint_errors(truth, plane.prediction, list(colours))
        share = int((wrong[..., 3] > 0).sum())
        shown.append(("errors", wrong, DIMMED, f"{share} voxels of this plane differ from the truth, marked in colour"))
    if confidence is not None:
        unsure = int((confidence < 0.8).sum())
        text = f"confidence below 80 % in {unsure} voxels of this plane, brighter where lower"
        shown.append(("confidence", paint_confidence(confidence), DIMMED, text))
    return [
        png_pixels(blend(grey * dim, over, size), alt=f"{where}, {title}: {text}.", caption=title)
        for title, over, dim, text in shown
    ]


def paint_confidence(confidence: Array) -> Array:
    """Return (rows, columns, 4): transparent where the chosen label is certain, coloured where it is not."""
    doubt = np.clip((1 - confidence) / (1 - UNSURE), 0, 1)
    painted = mpl.colormaps[CONFIDENCE_COLOURS](doubt)
    painted[..., 3] = np.clip(2.5 * doubt, 0, 0.9)
    return np.asarray(painted)


def blend(grey: Array, over: Array | None, size: tuple[int, int]) -> Array:
    """Return (rows, columns, 3): colours (rows, columns, 4) of any size laid over grey values of ``size``."""
    base = np.repeat(grey[..., None], 3, axis=2)
    if over is None:
        return base
    laid = resized(over, size, order=0)
    return np.asarray(base * (1 - laid[..., 3:]) + laid[..., :3] * laid[..., 3:])


def picture_size(shape: tuple[int, ...], aspect: float) -> tuple[int, int]:
    """Return rows and columns of a picture in which pixels are square."""
    rows, columns = shape[0] * aspect, float(shape[1])
    factor = LONGEST_SIDE / max(rows, columns)
    return max(1, round(rows * factor)), max(1, round(columns * factor))


def resized(array: Array, size: tuple[int, int], *, order: int) -> Array:
    """Return (rows, columns, ...) with ``size`` rows and columns; outer edges stay where they are."""
    lines = [(np.arange(n) + 0.5) * old / n - 0.5 for n, old in zip(size, array.shape[:2], strict=True)]
    if order == 0:
        rows, columns = (
            np.clip(np.round(line), 0, old - 1).astype(int) for line, old in zip(lines, array.shape[:2], strict=True)
        )
        return np.asarray(array[rows][:, columns])
    points = np.meshgrid(*lines, indexing="ij")
    return np.asarray(ndimage.map_coordinates(array.astype(np.float32), points, order=order, mode="nearest"))
