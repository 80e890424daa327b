"""Comparison of grids, and the grid a scan is resampled to. Pure arithmetic on `Geometry`."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.grid_advice import axes_text, flipped_names, grid_advice
from fewscan.errors import DataError

TOLERANCE_VOX = 1e-3


def grid_distance_vox(first: Geometry, second: Geometry) -> float:
    """Return how far the corners of two grids of equal size lie apart, in voxels of the first; inf for unequal sizes.

    The largest distance over all corners bounds that of every voxel, because both grids are affine.
    """
    if first.size != second.size:
        return math.inf
    corners = np.array([(*c, 1.0) for c in itertools.product(*((0.0, n - 1.0) for n in first.size))])
    there = np.linalg.solve(first.affine(), second.affine() @ corners.T).T
    return float(np.abs(there - corners).max())


def require_same_grid(geometry: Geometry, reference: Geometry, *, what: str, mend: str = "") -> None:
    """Raise `DataError` unless the two grids agree to within a thousandth of a voxel.

    Parameters
    ----------
    geometry, reference : Geometry
        The grid under test and the one it should have.
    what : str
        Case and file, at the start of the message.
    mend : str
        What the user can do; the advice that `fewscan check` gives about a label (`grid_advice`) unless told.
    """
    distance = grid_distance_vox(reference, geometry)
    if distance <= TOLERANCE_VOX:
        return
    if geometry.size != reference.size:
        msg = f"{what} has size {geometry.size}, its image has {reference.size}{axes_text(reference, geometry)}"
    elif not np.allclose(geometry.spacing_mm, reference.spacing_mm, rtol=1e-4):
        msg = f"{what} has spacing {geometry.spacing_mm} mm, its image has {reference.spacing_mm} mm"
    else:
        msg = f"{what} lies elsewhere in space than its image: voxels are up to {distance:.3g} voxels apart"
        if axes := flipped_names(reference, geometry):
            msg += f", and the headers run opposite ways along {axes}"
        else:
            msg += axes_text(reference, geometry)
    raise DataError(msg, mend=mend or grid_advice(reference, geometry))


def target_grid(geometry: Geometry, spacing_mm: Sequence[float | None] | None) -> Geometry:
    """Return the grid to resample to: ``geometry`` itself where nothing changes.

    An entry of None, or one within 0.01 % of the scan's own spacing, keeps that axis as it is.
    """
    if spacing_mm is None:
        return geometry
    pairs = zip(geometry.spacing_mm, spacing_mm, strict=True)
    wanted = tuple(own if wish is None or math.isclose(own, wish, rel_tol=1e-4) else wish for own, wish in pairs)
    return geometry if wanted == geometry.spacing_mm else geometry.resampled(wanted)


def centre_mm(geometry: Geometry) -> npt.NDArray[np.float64]:
    """Return the world position of the centre of a grid."""
    middle = np.append((np.asarray(geometry.size) - 1) / 2, 1.0)
    return np.asarray((geometry.affine() @ middle)[:-1])
