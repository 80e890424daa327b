"""From displacements on prepared grids to physical displacements on the fixed scan's own grid.

With F the matrix from index to world of the fixed scan's own grid, K the affine map from its indices to those of the
prepared grid (crop and resampling), u the displacement in prepared voxels and M = ``Match.to_moving``, the displacement
of the voxel with index i is

    d(i) = M (K i + u(K i)) - F i = (M K - F) i + M_linear u(K i),

so the affine part is exact and small numbers are not differences of large ones. Between prepared voxels u is
interpolated linearly; beyond them, where preparation has cropped emptiness away, it continues with its border values.
"""

import numpy as np
import numpy.typing as npt
import torch

from fewscan.data.geometry import Geometry
from fewscan.data.scan_meta import ScanMeta
from fewscan.inference.restore import grid_positions, interpolate
from fewscan.registration.registrar import Match, Matrix

FloatArray = npt.NDArray[np.float32]


def physical_displacement(match: Match, fixed: ScanMeta) -> FloatArray:
    """Return the displacement in mm on the fixed scan's own grid.

    Parameters
    ----------
    match : Match
        On the grid ``fixed.prepared``.
    fixed : ScanMeta
        Grids of the fixed scan.

    Returns
    -------
    (dimensions, *fixed.original.size) float32 array
        Component k along world axis k (LPS): moving point = fixed point + displacement.

    Raises
    ------
    ValueError
        If the displacement does not fit the prepared grid.
    """
    n = fixed.original.dimensions
    if match.displacement_vox.shape != (n, *fixed.prepared.size):
        msg = f"a displacement {match.displacement_vox.shape} does not fit the grid {fixed.prepared.size}"
        raise ValueError(msg)
    positions = grid_positions(fixed.prepared, fixed.turn.geometry(fixed.original))
    turned = [interpolate(torch.from_numpy(np.ascontiguousarray(u)), positions).numpy() for u in match.displacement_vox]
    # only the layout is turned back: components still count prepared voxels
    local = fixed.turn.back.array(np.stack(turned))
    to_prepared = np.linalg.solve(fixed.prepared.affine(), fixed.original.affine())
    rest = match.to_moving @ to_prepared - fixed.original.affine()
    field = affine_field(rest, fixed.original.size)
    for axis in range(n):
        for component in range(n):
            factor = match.to_moving[axis, component]
            if factor != 0:
                field[axis] += np.float32(factor) * local[component]
    return field


def affine_displacement_mm(start: Matrix, fixed: Geometry) -> FloatArray:
    """Return the displacement in mm that a world-to-world matrix means on a grid."""
    affine = fixed.affine()
    return affine_field(start @ affine - affine, fixed.size)


def displacement_in_voxels(displacement_mm: FloatArray, geometry: Geometry) -> FloatArray:
    """Return a physical displacement in voxels of its own grid, component k along array axis k.

    Its Jacobian determinant in voxels is the physical one.
    """
    n = geometry.dimensions
    inverse = np.linalg.inv(geometry.affine()[:n, :n]).astype(np.float32)
    return np.ascontiguousarray(np.einsum("ij,j...->i...", inverse, displacement_mm))


def affine_field(matrix: Matrix, size: tuple[int, ...]) -> FloatArray:
    """Return the first rows of ``matrix`` applied to every index of a grid: (dimensions, *size) float32."""
    n = len(size)
    field = np.empty((n, *size), np.float32)
    for axis in range(n):
        values = np.full((1,) * n, matrix[axis, n])
        for other in range(n):
            line = matrix[axis, other] * np.arange(size[other])
            values = values + line.reshape([-1 if k == other else 1 for k in range(n)])
        field[axis] = values
    return field
