"""Whether two images of one case lie on the same grid: label and image, or two channels.

Grids are compared by `grid_distance_vox`, with the tolerance that preparation has: what is an error here is refused
there, and nothing else is.
"""

import numpy as np

from fewscan.data.check.problem import Problem, Source, plain
from fewscan.data.geometry import Geometry
from fewscan.data.grid_advice import axes_text, covers_same_box, flipped_names, grid_advice
from fewscan.data.grids import TOLERANCE_VOX, grid_distance_vox

ROUNDING_VOX = 1e-4
"""A corner off by less is the rounding of float32 headers: 512 voxels times 6e-8, plus an origin far from zero."""


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
        message += axes_text(reference, other)
        return [source.error(f"{what}-shape", message, mend=grid_advice(reference, other, what=what))]
    apart_vox = grid_distance_vox(reference, other)
    if apart_vox <= ROUNDING_VOX:
        return []
    if flipped_names(reference, other):
        return [_flip_problem(reference, other, source, what)]
    differing = _differences(reference, other)
    message = f"{what} and image differ in {differing}; corners are {plain(apart_vox)} voxels apart"
    message += axes_text(reference, other)
    if apart_vox > TOLERANCE_VOX:
        return [source.error(f"{what}-geometry", message, mend=grid_advice(reference, other, what=what))]
    return [source.warning(f"{what}-geometry", message, mend="copy the image's header to make them equal")]


def _flip_problem(reference: Geometry, other: Geometry, source: Source, what: str) -> Problem:
    axes = flipped_names(reference, other)
    message = f"{what} and image run opposite ways along {axes} by their headers, "
    if covers_same_box(reference, other):
        message += "over the same region of space: only the order of the voxels differs"
    else:
        message += "and lie over different regions of space: one header is probably wrong"
    return source.error(f"{what}-flipped", message, mend=grid_advice(reference, other, what=what))


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
