"""Whether two images of one case lie on the same grid: label and image, or two channels.

Grids are compared by `grid_distance_vox`, with the tolerance that preparation has: what is an error here is refused
there, and nothing else is.
"""

import itertools

import numpy as np
import numpy.typing as npt

from fewscan.data.check.problem import Problem, Source, plain
from fewscan.data.geometry import Geometry
from fewscan.data.grids import TOLERANCE_VOX, grid_distance_vox

ROUNDING_VOX = 1e-4
"""A corner off by less is the rounding of float32 headers: 512 voxels times 6e-8, plus an origin far from zero."""

ANTIPARALLEL = -0.9
"""Direction cosine below which two axes count as running opposite ways."""

AXIS_NAMES = "xyz"

_RESAMPLE = (
    "resample it onto the image's grid with nearest neighbour"
    " (SimpleITK.Resample(label, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)), then look at it"
)


def check_pair(reference: Geometry, other: Geometry, source: Source, *, what: str = "label") -> list[Problem]:
    """Compare the grid of a label map or a further channel with that of the case's first image.

    Parameters
    ----------
    reference, other : Geometry
        Of the first image, and of the other one.
    source : Source
        The case and the other file.
    what : str
        What the other one is, for codes and messages: "label" or "channel".
    """
    if reference.size != other.size:
        message = f"{what} of {_size(other)} voxels on an image of {_size(reference)}"
        mend = "pair the right files, or resample it onto the image's grid"
        return [source.error(f"{what}-shape", message, mend=mend)]
    apart_vox = grid_distance_vox(reference, other)
    if apart_vox <= ROUNDING_VOX:
        return []
    flipped = flipped_axes(reference, other)
    if flipped:
        return [_flip_problem(reference, other, flipped, source, what)]
    differing = _differences(reference, other)
    message = f"{what} and image differ in {differing}; corners are {plain(apart_vox)} voxels apart"
    if apart_vox > TOLERANCE_VOX:
        mend = f"if its header is right, {_RESAMPLE}; if only the header is wrong, copy the image's header"
        return [source.error(f"{what}-geometry", message, mend=mend)]
    return [source.warning(f"{what}-geometry", message, mend="copy the image's header to make them equal")]


def flipped_axes(reference: Geometry, other: Geometry) -> tuple[int, ...]:
    """Return the array axes that run opposite ways in the two grids."""
    n = reference.dimensions
    first, second = (np.asarray(g.direction).reshape(n, n) for g in (reference, other))
    cosines = (first * second).sum(axis=0)
    return tuple(int(axis) for axis in np.flatnonzero(cosines < ANTIPARALLEL))


def _flip_problem(reference: Geometry, other: Geometry, flipped: tuple[int, ...], source: Source, what: str) -> Problem:
    axes = ", ".join(AXIS_NAMES[axis] for axis in flipped)
    message = f"{what} and image run opposite ways along {axes} by their headers, "
    if _same_box(reference, other):
        message += "over the same region of space: only the order of the voxels differs"
        return source.error(f"{what}-flipped", message, mend=_RESAMPLE)
    message += "and lie over different regions of space: one header is probably wrong"
    mend = "look at both in a viewer; if the voxels match, copy the image's header, else resample"
    return source.error(f"{what}-flipped", message, mend=mend)


def _same_box(reference: Geometry, other: Geometry) -> bool:
    """Tell whether the two grids have the same corners, in any order."""
    first, second = _corners_mm(reference), _corners_mm(other)
    apart_mm = np.linalg.norm(first[:, None] - second[None], axis=2)
    return bool(apart_mm.min(axis=1).max() < 0.5 * min(reference.spacing_mm))


def _corners_mm(geometry: Geometry) -> npt.NDArray[np.float64]:
    ends = [(0, size - 1) for size in geometry.size]
    corners = np.array([(*index, 1) for index in itertools.product(*ends)], dtype=float)
    return np.asarray((corners @ geometry.affine().T)[:, :-1])


def _differences(reference: Geometry, other: Geometry) -> str:
    pairs = {
        "spacing": (reference.spacing_mm, other.spacing_mm, " mm"),
        "origin": (reference.origin_mm, other.origin_mm, " mm"),
        "direction": (reference.direction, other.direction, ""),
    }
    parts = []
    for name, (first, second, unit) in pairs.items():
        if not np.allclose(first, second, rtol=0, atol=1e-6):
            parts.append(f"{name} ({_row(second)}, image {_row(first)}{unit})")
    return " and ".join(parts) or "rounding"


def _row(values: tuple[float, ...]) -> str:
    return " ".join(plain(value) for value in values)


def _size(geometry: Geometry) -> str:
    return " x ".join(str(n) for n in geometry.size)
