"""Surfaces of the classes of a few 3-D scans: the truth beside the prediction of every method.

A prediction's surface is coloured by its distance to the true one, signed: red lies inside the truth (missed), blue
outside (added). What it leaves of the truth uncovered is seen behind it in grey.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isnan, log10
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy import ndimage
from scipy.spatial import cKDTree

from fewscan.files import write_atomically
from fewscan.metrics.overlap import Mask, count_overlap
from fewscan.pictures.compared import ComparedCase, wrapped
from fewscan.pictures.orientation import upright
from fewscan.pictures.overlay import CLASS_COLOURS
from fewscan.pictures.surfaces import (
    AZIMUTH,
    ELEVATION,
    Faces,
    Points,
    Surface,
    bounds_mm,
    draw_surfaces,
    surface,
    view_axes,
)

INK, FAINT, GHOST = "#222222", "#8A8A8A", "#C9CDD2"
COLOURS_OF_DISTANCE = "coolwarm_r"
"""K. Moreland (ISVC 2009): made for shaded surfaces, and distinct under the common kinds of colour blindness."""
ROW_INCHES, COLUMN_INCHES = 2.0, 2.2
LABEL_INCHES, HEAD_INCHES, FOOT_INCHES, NOTE_INCHES = 1.45, 0.55, 0.9, 0.2
NOTE = "distance to the true surface in mm: negative inside (missed), positive outside (added); grey: truth behind"
MOST_ROWS = 9
DPI = 150


@dataclass(frozen=True)
class _Mesh:
    """A surface, and for a prediction the distance of each vertex to the truth in mm, positive outside."""

    vertices_mm: Points
    faces: Faces
    distance_mm: Points
    dice: float = float("nan")


@dataclass(frozen=True)
class _Row:
    """One class of one case."""

    caption: str
    name: str
    colour: str
    truth: _Mesh
    predictions: Sequence[_Mesh]


def save_surfaces(
    path: Path, cases: Sequence[ComparedCase], *, class_names: Mapping[int, str], title: str = ""
) -> None:
    """Write the picture as PNG: one row for each case and class, of at most `MOST_ROWS`.

    Parameters
    ----------
    path : Path
        Written atomically.
    cases : sequence of ComparedCase
        3-D, from top to bottom; at least one. Where all would give too many rows, the first and last are shown, or the
        middle one alone.
    class_names : mapping of int to str
        Name of each foreground label value, in the order of their colours.
    title : str
        Above the picture.
    """
    shown = dict(list(class_names.items())[:MOST_ROWS])
    rows = [row for case in _few(cases, MOST_ROWS // len(shown)) for row in _rows(case, shown)]
    methods = list(cases[0].predictions)
    width = LABEL_INCHES + (1 + len(methods)) * COLUMN_INCHES
    title = wrapped(title, inches=width, points=11)
    head = HEAD_INCHES + 0.2 * title.count("\n")
    # right of the arrows that show the directions
    left = 1.2
    note = wrapped(NOTE, inches=width - left, points=8)
    foot = FOOT_INCHES + 0.15 * note.count("\n")
    height = head + len(rows) * (ROW_INCHES + NOTE_INCHES) + foot
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.subplots(len(rows), 1 + len(methods), squeeze=False)
    figure.subplots_adjust(LABEL_INCHES / width, foot / height, 0.997, 1 - head / height, wspace=0.02, hspace=0.1)
    for axis, name in zip(axes[0], ("truth", *methods), strict=True):
        axis.set_title(name, color=INK, fontsize=10)
    scale = Normalize(*_limits(rows))
    halves = [_draw_row(line, row, scale) for line, row in zip(axes, rows, strict=True)]
    length_mm = bar_length(0.5 * min(halves))
    for line in axes:
        _draw_scale(line[0], length_mm)
    if title:
        figure.suptitle(title, color=INK, fontsize=11, y=1 - 0.08 / height, va="top")
    bar = figure.add_axes((left / width, (foot - 0.4) / height, (width - left - 0.4) / width, 0.11 / height))
    mappable = ScalarMappable(scale, COLOURS_OF_DISTANCE)
    figure.colorbar(mappable, cax=bar, orientation="horizontal", extend="both").set_label(note, fontsize=8)
    bar.tick_params(labelsize=8, colors=INK)
    _draw_directions(figure, (0.05 / width, 0.08 / height, 0.75 / width, 0.75 / height))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    write_atomically(path, buffer.getvalue())


def signed_distance_mm(points_mm: Points, truth: Mask, truth_mm: Points, spacing_mm: Sequence[float]) -> Points:
    """Return the distance of points to the nearest vertex of the true surface, negative inside; infinite without any.

    Parameters
    ----------
    points_mm : ndarray (n, 3)
        Along the axes of ``truth``, from the centre of its first voxel.
    truth : bool array (x, y, z)
        Decides between inside and outside.
    truth_mm : ndarray (m, 3)
        Vertices of its surface.
    spacing_mm : sequence of float
        Side of a voxel along each axis.
    """
    if not len(truth_mm):
        return np.full(len(points_mm), np.inf)
    distance, _ = cKDTree(truth_mm).query(points_mm)
    places = (points_mm / np.asarray(spacing_mm)).T
    inside = ndimage.map_coordinates(truth.astype(np.float32), places, order=1, mode="constant") > 0.5
    return np.asarray(np.where(inside, -distance, distance))


def _few(cases: Sequence[ComparedCase], most: int) -> Sequence[ComparedCase]:
    if most >= len(cases):
        return cases
    return [cases[0], cases[-1]] if most > 1 else [cases[len(cases) // 2]]


def _rows(case: ComparedCase, class_names: Mapping[int, str]) -> list[_Row]:
    near = case.zoomed()
    labels, spacing_mm = upright(near.truth, near.geometry)
    predicted = [upright(prediction, near.geometry)[0] for prediction in near.predictions.values()]
    rows = []
    for k, (value, name) in enumerate(class_names.items()):
        truth = labels == value
        vertices_mm, faces = surface(truth, spacing_mm)
        true = _Mesh(vertices_mm, faces, np.zeros(len(vertices_mm)))
        meshes = [_predicted_mesh(prediction == value, truth, true, spacing_mm) for prediction in predicted]
        rows.append(_Row(case.caption if k == 0 else "", name, CLASS_COLOURS[k % len(CLASS_COLOURS)], true, meshes))
    return rows


def _predicted_mesh(mask: Mask, truth: Mask, true: _Mesh, spacing_mm: Sequence[float]) -> _Mesh:
    vertices_mm, faces = surface(mask, spacing_mm)
    distance_mm = signed_distance_mm(vertices_mm, truth, true.vertices_mm, spacing_mm)
    return _Mesh(vertices_mm, faces, distance_mm, count_overlap(mask, truth).dice)


def _limits(rows: Sequence[_Row]) -> tuple[float, float]:
    """Return symmetric limits that nearly all distances lie within, at a round number of mm."""
    found = np.abs(np.concatenate([np.zeros(0), *(mesh.distance_mm for row in rows for mesh in row.predictions)]))
    found = found[np.isfinite(found)]
    most = round_length(float(np.percentile(found, 95))) if found.size and found.any() else 1.0
    return -most, most


def round_length(length: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below ``length``, which is positive."""
    power = 10.0 ** floor(log10(length))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= length * (1 - 1e-9))


def _draw_row(axes: Sequence[Axes], row: _Row, scale: Normalize) -> float:
    """Draw a row; return half the width of its panels in mm."""
    palette = mpl.colormaps[COLOURS_OF_DISTANCE]
    truth = Surface(row.truth.vertices_mm, row.truth.faces, row.colour)
    drawn = [truth, *(Surface(mesh.vertices_mm, mesh.faces, INK) for mesh in row.predictions)]
    low, high = bounds_mm(drawn)
    panel = np.array([COLUMN_INCHES, ROW_INCHES])
    middle, half = (low + high) / 2, 0.52 * panel * max(float(((high - low) / panel).max()), 1e-3)
    for axis in axes:
        axis.set(xlim=(middle[0] - half[0], middle[0] + half[0]), ylim=(middle[1] - half[1], middle[1] + half[1]))
    draw_surfaces(axes[0], [truth])
    if not len(row.truth.faces):
        _say(axes[0], "absent")
    for axis, mesh in zip(axes[1:], row.predictions, strict=True):
        draw_surfaces(axis, [Surface(truth.vertices_mm, truth.faces, GHOST)], shaded=False, zorder=0.5)
        colours: npt.NDArray[Any] = palette(scale(mesh.distance_mm))[:, :3]
        draw_surfaces(axis, [Surface(mesh.vertices_mm, mesh.faces, colours)])
        if not len(mesh.faces):
            _say(axis, "nothing predicted" if len(row.truth.faces) else "absent, as in truth")
        if not isnan(mesh.dice):
            text = f"Dice {mesh.dice:.3f}"
            axis.text(0.5, 0, text, transform=axis.transAxes, color=INK, fontsize=8, ha="center", va="top")
    text = f"{row.caption}\n\n{row.name}" if row.caption else row.name
    axes[0].text(-0.02, 0.5, text, transform=axes[0].transAxes, ha="right", va="center", color=INK, fontsize=8.5)
    return float(half[0])


def _say(axis: Axes, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=INK, fontsize=8.5)


def bar_length(most_mm: float) -> float:
    """Return the longest round length that is at most ``most_mm``; one for all rows, so that sizes can be compared."""
    return max(v for v in (round_length(most_mm) / f for f in (1.0, 2.0, 2.5, 5.0)) if v <= most_mm)


def _draw_scale(axis: Axes, length: float) -> None:
    """Draw a bar of ``length`` mm below the truth."""
    left, right = axis.get_xlim()
    middle, (bottom, _) = (left + right) / 2, axis.get_ylim()
    axis.plot([middle - length / 2, middle + length / 2], [bottom, bottom], color=INK, linewidth=1.5, clip_on=False)
    offset: dict[str, Any] = {"xytext": (0, -3), "textcoords": "offset points", "annotation_clip": False}
    axis.annotate(f"{length:g} mm", (middle, bottom), color=INK, fontsize=7.5, ha="center", va="top", **offset)


def _draw_directions(figure: Figure, place: tuple[float, float, float, float]) -> None:
    """Draw where the patient's left, front and head are."""
    axis = figure.add_axes(place)
    axis.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
    axis.set_axis_off()
    view = view_axes(AZIMUTH, ELEVATION)
    for name, direction in (("L", (1.0, 0.0, 0.0)), ("A", (0.0, -1.0, 0.0)), ("H", (0.0, 0.0, 1.0))):
        end = view[:2] @ np.array(direction)
        axis.annotate("", end, (0, 0), arrowprops={"arrowstyle": "->", "color": FAINT, "shrinkA": 0, "shrinkB": 0})
        axis.text(1.25 * float(end[0]), 1.25 * float(end[1]), name, color=INK, fontsize=7, ha="center", va="center")
