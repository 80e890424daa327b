"""Where a NIfTI file says that its voxels lie.

A header may hold two transforms from voxel to world: the qform, a rotation kept as a quaternion in float32 that takes
its voxel sizes from ``pixdim``, and the sform, any affine matrix. The rule of nibabel, ITK-SNAP and 3D Slicer is: the
sform counts if its code is above 0, else the qform. ITK's reader departs from it: it takes the qform where the code of
the sform is 2 or more, and the voxel sizes always from ``pixdim``. So the grid that ITK gives is compared with the
sform, and replaced by it where the two differ.

Source: the NIfTI-1 standard (https://nifti.nimh.nih.gov/nifti-1). NIfTI's world is RAS, that of `Geometry` is LPS.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.grids import TOLERANCE_VOX, grid_distance_vox
from fewscan.errors import DataError

ORTHONORMAL_TOLERANCE = 1e-4
"""Largest deviation of a product of direction cosines from 0 or 1 that SimpleITK still accepts (measured)."""

_RAS_TO_LPS = np.array([[-1.0], [-1.0], [1.0]])


def grid_by_sform(path: Path, sform: npt.NDArray[np.float64], geometry: Geometry) -> Geometry:
    """Return the grid of the sform: ``geometry`` itself where it is that grid to within a thousandth of a voxel.

    Parameters
    ----------
    path : Path
        The file, for the message.
    sform : (3, 4) array
        From voxel index to world (RAS, mm), not singular; its code is above 0.
    geometry : Geometry
        What ITK made of the header.

    Raises
    ------
    DataError
        If the axes of the sform are not at right angles, which `Geometry` cannot express.
    """
    n = geometry.dimensions
    if n == 2 and sform[2, :2].any():
        return geometry  # the plane is tilted in the 3-D world, and a 2-D grid has no place for that
    if orthonormal_deviation(sform[:, :n]) > ORTHONORMAL_TOLERANCE:
        raise not_orthonormal(path)
    affine = (_RAS_TO_LPS * sform)[:n]
    spacing_mm = np.linalg.norm(affine[:, :n], axis=0)
    direction = affine[:, :n] / spacing_mm
    grid = Geometry(geometry.size, _floats(spacing_mm), _floats(affine[:, 3]), _floats(direction.ravel()))
    return geometry if grid_distance_vox(grid, geometry) <= TOLERANCE_VOX else grid


def orthonormal_deviation(matrix: npt.NDArray[Any]) -> float:
    """Return by how much the axes, the columns of ``matrix``, are off right angles: the largest cosine between two."""
    cosines = matrix / np.linalg.norm(matrix, axis=0)
    return float(np.abs(cosines.T @ cosines - np.eye(matrix.shape[1])).max())


def not_orthonormal(path: Path) -> DataError:
    """Return the error for axes that are not at right angles."""
    return DataError(
        f"{path}: its axes are not at right angles to each other (non-orthonormal direction cosines)",
        mend="run `fewscan check DATA --fix-geometry`, or convert the file again",
    )


def _floats(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
