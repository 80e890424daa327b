r"""Free-form deformation: rotation, scaling and elastic deformation as one sampling grid.

A grid of control points carries the whole map, which cubic B-splines bring to every voxel (Rueckert et al. 1999):

.. math:: g(x) = \sum_k \beta_3(x - k) \, A (p_k + d_k)

with :math:`p_k` the place of control point k, :math:`d_k` its displacement and :math:`A` the linear part. Cubic
B-splines reproduce linear functions exactly, so without displacements :math:`g(x) = A x`. The map goes from the voxels
of the result to where their value is read.

Coordinates follow ``torch.nn.functional.grid_sample`` with ``align_corners=False``: -1 and 1 are the outer faces of the
patch, in the order of the array axes until the last step, which reverses them as ``grid_sample`` wants. All of it is
computed in float32, also under autocast: with bfloat16 voxels would move.
"""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from fewscan.separable import apply_along_axes


def linear_part(angles_degrees: Tensor, factors: Tensor, extent: Sequence[float]) -> Tensor:
    """Return the matrices that read a rotated and scaled patch.

    Parameters
    ----------
    angles_degrees : Tensor (B, planes)
        One angle per plane of axes: (0, 1) in 2-D; (0, 1), (0, 2), (1, 2) in 3-D. Positive turns like ``torch.rot90``.
    factors : Tensor (B,)
        By which things grow.
    extent : sequence of float
        Sides of the patch in one common unit (mm, or voxels where spacing is equal): a rotation stays a rotation of the
        anatomy on patches with unequal sides and on voxels with unequal spacing.

    Returns
    -------
    Tensor (B, D, D)
        Acting on coordinates in [-1, 1].
    """
    dimensions = len(extent)
    angles = torch.deg2rad(angles_degrees)
    matrix = torch.eye(dimensions).expand(len(angles), -1, -1)
    for column, (first, second) in enumerate(combinations(range(dimensions), 2)):
        cosine, sine = torch.cos(angles[:, column]), torch.sin(angles[:, column])
        rotation = torch.eye(dimensions).repeat(len(angles), 1, 1)
        rotation[:, first, first] = rotation[:, second, second] = cosine
        rotation[:, first, second], rotation[:, second, first] = sine, -sine
        with torch.autocast("cpu", enabled=False):
            matrix = rotation @ matrix
    sides = torch.tensor(extent, dtype=matrix.dtype)
    return matrix * (sides[None, :] / sides[:, None]) / factors[:, None, None]


def free_form_grid(linear: Tensor, displacement_cells: Tensor, size: Sequence[int]) -> Tensor:
    """Return the sampling grid for ``grid_sample``.

    Parameters
    ----------
    linear : Tensor (B, D, D)
        From `linear_part`.
    displacement_cells : Tensor (B, D, *points)
        Displacement of the control points, in units of their distance; ``points`` is three more than the cells.
    size : sequence of int
        Of the patch, in voxels.

    Returns
    -------
    Tensor (B, *size, D)
        Coordinates in [-1, 1], last axis reversed as ``grid_sample`` wants. On the device of the displacement.
    """
    device = displacement_cells.device
    cells = torch.tensor(displacement_cells.shape[2:]) - 3
    # The first control point lies one cell before the patch, the last one cell behind it.
    axes = [(torch.arange(count + 3, device=device) - 1) * (2.0 / count) - 1 for count in cells.tolist()]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    to_coordinates = (2.0 / cells).to(device).reshape(-1, *[1] * len(size))
    control = place + displacement_cells * to_coordinates
    with torch.autocast(device.type, enabled=False):
        moved = (linear.to(device) @ control.flatten(2)).reshape(control.shape)
    splines = [spline_matrix(voxels, count).to(device) for voxels, count in zip(size, cells.tolist(), strict=True)]
    return apply_along_axes(moved.flip(1), splines).movedim(1, -1)


def spline_matrix(voxels: int, cells: int) -> Tensor:
    """Return the cubic B-spline weights (voxels, cells + 3) of the control points at the voxels' centres."""
    position = (torch.arange(voxels) + 0.5) * (cells / voxels)
    cell = position.floor().clamp(max=cells - 1).long()
    t = position - cell
    weights = torch.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], dim=1).div(6)
    matrix = torch.zeros(voxels, cells + 3)
    return matrix.scatter_(1, cell[:, None] + torch.arange(4), weights)
