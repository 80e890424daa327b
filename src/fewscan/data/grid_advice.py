"""What to do about two images of one case that do not share a grid: the same words wherever that is found.

The check, preparation and registration all meet this fault; whoever reads the advice of one after the other must not be
told opposite things.
"""

import itertools

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.orientation import orientation_of

ANTIPARALLEL = -0.9
"""Direction cosine below which two axes count as running opposite ways."""

AXIS_NAMES = "xyz"


def grid_advice(reference: Geometry, other: Geometry, *, what: str = "label") -> str:
    """Return how to mend two grids that differ.

    Parameters
    ----------
    reference, other : Geometry
        Of the case's first image, and of the other file.
    what : str
        What the other one is: "label" is resampled with nearest neighbour, "channel" with linear interpolation.
    """
    same_size = reference.size == other.size
    turned = axes_text(reference, other) or (same_size and flipped_axes(reference, other))
    reordered = turned and covers_same_box(reference, other)
    if not (same_size or reordered):
        return "pair the right files, or resample it onto the image's grid"
    resample = (
        "resample it onto the image's grid with nearest neighbour"
        " (SimpleITK.Resample(label, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)), then look at it"
        if what == "label"
        else "resample it onto the image's grid (SimpleITK.Resample(channel, image)), then look at it"
    )
    if reordered:
        return resample
    return f"look at both in a viewer; if the voxels match, copy the image's header, else {resample}"


def axes_text(reference: Geometry, other: Geometry) -> str:
    """Return the end of a message that tells how the axes of either grid run; empty where they run alike."""
    first, second = orientation_of(reference), orientation_of(other)
    if first is None or second is None or first == second:
        return ""
    return f"; by the headers its axes run {second}, those of the image {first}"


def flipped_axes(reference: Geometry, other: Geometry) -> tuple[int, ...]:
    """Return the array axes that run opposite ways in the two grids."""
    n = reference.dimensions
    first, second = (np.asarray(g.direction).reshape(n, n) for g in (reference, other))
    cosines = (first * second).sum(axis=0)
    return tuple(int(axis) for axis in np.flatnonzero(cosines < ANTIPARALLEL))


def flipped_names(reference: Geometry, other: Geometry) -> str:
    """Return the names of the axes that run opposite ways, such as "x, y"; empty where none do."""
    return ", ".join(AXIS_NAMES[axis] for axis in flipped_axes(reference, other))


def covers_same_box(reference: Geometry, other: Geometry) -> bool:
    """Tell whether the two grids have the same corners, in any order."""
    first, second = _corners_mm(reference), _corners_mm(other)
    apart_mm = np.linalg.norm(first[:, None] - second[None], axis=2)
    return bool(apart_mm.min(axis=1).max() < 0.5 * min(reference.spacing_mm))


def _corners_mm(geometry: Geometry) -> npt.NDArray[np.float64]:
    ends = [(0, size - 1) for size in geometry.size]
    corners = np.array([(*index, 1) for index in itertools.product(*ends)], dtype=float)
    return np.asarray((corners @ geometry.affine().T)[:, :-1])
