"""Planes of a few scans, one column for the truth and one for every method, as the figures of papers show them.

The truth is painted over the scan. A method's column shows the outline of its classes and, filled, every voxel where it
differs from the truth; the colours are those of `fewscan.pictures.overlay`. Planes go through the centre of the true
labels and are upright as in `fewscan.pictures.orientation`.
"""

import io
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewscan.files import write_atomically
from fewscan.pictures.compared import ComparedCase, wrapped
from fewscan.pictures.overlay import (
    CLASS_COLOURS,
    INK,
    PAPER,
    Example,
    Plane,
    dice_per_class,
    draw_legend,
    errors_among,
    paint_errors,
    paint_labels,
    planes_of,
    write_scores,
)

ROW_INCHES, COLUMN_INCHES = 2.0, 2.2
"""Largest height of a row and largest width of a column."""
LABEL_INCHES, LINE_INCHES, GAP_INCHES, EDGE_INCHES = 1.45, 0.24, 0.22, 0.06
NOTE_2D = "numbers: Dice of the whole scan, by class"
NOTE_3D = f"{NOTE_2D}; axial and coronal: the patient's left is on the right; sagittal: the front is on the left"
PLANE_NAMES = ("axial", "coronal", "sagittal")
DPI = 150
DIMMED = 0.6
"""Brightness of the scan below errors."""


def save_planes(path: Path, cases: Sequence[ComparedCase], *, class_names: Mapping[int, str], title: str = "") -> None:
    """Write the picture as PNG: for every case one row in 2-D, three in 3-D.

    Parameters
    ----------
    path : Path
        Written atomically.
    cases : sequence of ComparedCase
        From top to bottom; at least one.
    class_names : mapping of int to str
        Name of each foreground label value, in the order of their colours.
    title : str
        Above the picture.
    """
    colours = {value: CLASS_COLOURS[k % len(CLASS_COLOURS)] for k, value in enumerate(class_names)}
    methods = list(cases[0].predictions)
    cuts = [_cut(case) for case in cases]
    rows = [row for cut in cuts for row in cut]
    column = min(COLUMN_INCHES, ROW_INCHES * max(row[0].width for row in rows))
    heights = [min(ROW_INCHES, column / row[0].width) + GAP_INCHES for row in rows]
    width = LABEL_INCHES + (1 + len(methods)) * column + EDGE_INCHES
    legend = {class_names[value]: colour for value, colour in colours.items()} | errors_among(class_names)
    per_line = max(1, int(width / 1.5))
    title = wrapped(title, inches=width, points=11)
    note = wrapped(NOTE_3D if len(rows) > len(cases) else NOTE_2D, inches=width, points=7.5)
    head = LINE_INCHES * (1 + title.count("\n") + (1.4 if title else 0.2))
    of_legend = LINE_INCHES * (ceil(len(legend) / per_line) + 0.2)
    foot = of_legend + 0.14 * (1 + note.count("\n")) + 0.05
    height = head + sum(heights) + foot
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    axes = _axes(figure, heights, column, head, 1 + len(methods))
    for axis, name in zip(axes[0], ("truth", *methods), strict=True):
        axis.set_title(name, color=INK, fontsize=10)
    lines = iter(axes)
    for case, cut in zip(cases, cuts, strict=True):
        for k, row in enumerate(cut):
            line = next(lines)
            _draw_line(line, row, colours)
            _write(line[0], case.caption if k == 0 else "", PLANE_NAMES[k] if len(cut) > 1 else "")
            if k == 0:
                for axis, prediction in zip(line[1:], case.predictions.values(), strict=True):
                    example = Example("", case.image, case.truth, prediction, case.geometry)
                    write_scores(axis, dice_per_class(example, class_names), colours)
    if title:
        figure.suptitle(title, color=INK, fontsize=11, y=1 - 0.08 / height, va="top")
    draw_legend(figure, legend, per_line)
    figure.text(0.5, of_legend / height, note, color=INK, fontsize=7.5, ha="center", va="bottom")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=PAPER)
    write_atomically(path, buffer.getvalue())


def _axes(figure: Figure, heights: Sequence[float], column: float, head: float, columns: int) -> list[list[Axes]]:
    """Place all panels; heights of rows include the gap below them."""
    width, height = figure.get_size_inches()
    lines, top = [], height - head
    for row in heights:
        top -= row
        places = [(LABEL_INCHES + k * column, top + GAP_INCHES) for k in range(columns)]
        panel = ((column - EDGE_INCHES) / width, (row - GAP_INCHES) / height)
        lines.append([figure.add_axes((left / width, low / height, *panel)) for left, low in places])
    return lines


def _cut(case: ComparedCase) -> list[list[Plane]]:
    """Return for each plane what its columns of methods show; the image and truth are the same in all of them."""
    near = case.zoomed()
    by_method = [
        planes_of(Example("", near.image, near.truth, prediction, near.geometry), crop=False)
        for prediction in near.predictions.values()
    ]
    return [list(planes) for planes in zip(*by_method, strict=True)]


def _draw_line(axes: Sequence[Axes], planes: Sequence[Plane], colours: Mapping[int, str]) -> None:
    height, width = planes[0].image.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    for k, axis in enumerate(axes):
        plane = planes[max(k - 1, 0)]
        low, high = plane.window
        top = high if k == 0 else low + (high - low) / DIMMED
        axis.set_axis_off()
        axis.imshow(plane.image, cmap="gray", vmin=low, vmax=top, interpolation="bicubic", extent=extent)
        if k == 0:
            axis.imshow(paint_labels(plane.truth, colours), interpolation="nearest", extent=extent)
        else:
            errors = paint_errors(plane.truth, plane.prediction, list(colours))
            axis.imshow(errors, interpolation="nearest", extent=extent)
            _draw_outlines(axis, plane, colours)
        axis.set_aspect(plane.aspect)
        axis.set(xlim=extent[:2], ylim=extent[2:])


def _draw_outlines(axis: Axes, plane: Plane, colours: Mapping[int, str]) -> None:
    for value, colour in colours.items():
        mask = plane.prediction == value
        if mask.any() and not mask.all() and min(mask.shape) > 1:
            axis.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=1.1)


def _write(axis: Axes, caption: str, plane: str) -> None:
    """Write the case to the left of its first plane, and the plane's name below it."""
    text = f"{caption}\n\n{plane}" if caption and plane else caption or plane
    axis.text(-0.04, 0.5, text, transform=axis.transAxes, ha="right", va="center", color=INK, fontsize=8.5)
