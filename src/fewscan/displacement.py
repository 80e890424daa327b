r"""Displacement fields: warp, compose, invert, exponentiate, resize. 2-D and 3-D from one code.

A field ``displacement_vox`` is ``(batch, dimensions, *spatial)``: component k is the displacement along array axis k,
in voxels of the field's own grid. It lives on the grid of the fixed image and says where the moving image is read
(pull-back):

.. math:: warped(p) = moving(p + u(p))

Grids of different sizes that show the same field of view are aligned at the centres of their corner voxels
(``align_corners=True``): voxel j of m lies where voxel j (n - 1) / (m - 1) of n lies. Images and fields follow this one
rule, so that a field means the same deformation at every size.

Everything is computed in float32 (float64 if either tensor is that), also under autocast: with bfloat16 voxels would
move.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32, one_hot
from fewscan.separable import apply_along_axes

Padding = Literal["border", "zeros"]
Interpolation = Literal["linear", "nearest"]


def warp(
    image: Tensor, displacement_vox: Tensor, *, padding: Padding = "border", mode: Interpolation = "linear"
) -> Tensor:
    """Return ``image(p + u(p))`` for every voxel p.

    Parameters
    ----------
    image : Tensor
        ``(batch, channels, *spatial)``, the moving image.
    displacement_vox : Tensor
        ``(batch, dimensions, *spatial)``, of the image's size.
    padding : "border" or "zeros"
        What is read outside the image: its nearest border voxel, or 0.
    mode : "linear" or "nearest"
        Interpolation.

    Returns
    -------
    Tensor
        ``(batch, channels, *spatial)`` in at least float32; NaN where the displacement is not finite. Linear
        interpolation passes gradients to both arguments, nearest only to the image.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    check_field(displacement_vox)
    if image.ndim != displacement_vox.ndim or image.shape[2:] != displacement_vox.shape[2:]:
        msg = f"image {tuple(image.shape)} and displacement {tuple(displacement_vox.shape)} are not of one size"
        raise ValueError(msg)
    image, displacement_vox = at_least_float32(image), at_least_float32(displacement_vox)
    dtype = torch.promote_types(image.dtype, displacement_vox.dtype)
    grid = _sampling_grid(displacement_vox.to(dtype))
    # grid_sample's backward reads and writes outside its memory where it is sent to NaN, which ends the process
    nowhere = ~torch.isfinite(grid.sum(-1))
    warped = F.grid_sample(
        image.to(dtype),
        grid.masked_fill(nowhere.unsqueeze(-1), 0.0),
        mode="nearest" if mode == "nearest" else "bilinear",
        padding_mode=padding,
        align_corners=True,
    )
    return warped.masked_fill(nowhere.unsqueeze(1), torch.nan)


def warp_labels(labels: Tensor, displacement_vox: Tensor, *, classes: int) -> Tensor:
    """Return the class probabilities of warped label maps: linear interpolation of the one-hot labels.

    Parameters
    ----------
    labels : Tensor
        Integer label maps ``(batch, *spatial)``.
    displacement_vox : Tensor
        ``(batch, dimensions, *spatial)``.
    classes : int
        Background included.

    Returns
    -------
    Tensor
        ``(batch, classes, *spatial)``, sums to 1; the largest entry is the warped label.
    """
    return warp(one_hot(labels, classes), displacement_vox)


def compose(first: Tensor, second: Tensor) -> Tensor:
    """Return the field that does ``first``, then ``second``.

    result(p) = second(p) + first(p + second(p)): warping with the result equals ``warp(warp(x, first), second)`` up to
    interpolation. Outside its grid ``first`` continues with its border values.

    Parameters
    ----------
    first, second : Tensor
        Displacements ``(batch, dimensions, *spatial)``, of one shape.
    """
    return second + warp(first, second)


def invert(displacement_vox: Tensor, *, iterations: int = 20) -> Tensor:
    """Return v with v(p) = -u(p + v(p)), so that ``compose(u, v)`` vanishes, by fixed-point iteration.

    It converges where u changes by less than a voxel per voxel, by that factor in every iteration (Chen et al. 2008).

    Parameters
    ----------
    displacement_vox : Tensor
        u, ``(batch, dimensions, *spatial)``.
    iterations : int
        At least 1; the first starts from v = -u.
    """
    check_field(displacement_vox)
    inverse = -displacement_vox
    for _ in range(iterations):
        inverse = -warp(displacement_vox, inverse)
    return inverse


def exponentiate(velocity_vox: Tensor, *, steps: int) -> Tensor:
    """Return the displacement at time 1 of the flow of a stationary velocity, by scaling and squaring.

    u = v / 2^steps, then ``steps`` times u <- compose(u, u) (Arsigny et al. 2006). Of a smooth velocity it is
    invertible, with ``exponentiate(-v)`` as its inverse.

    Parameters
    ----------
    velocity_vox : Tensor
        ``(batch, dimensions, *spatial)``, in voxels per unit of time.
    steps : int
        Squarings; as many as leave v / 2^steps well below a voxel (7 for displacements of tens of voxels).
    """
    check_field(velocity_vox)
    displacement = at_least_float32(velocity_vox) * 0.5**steps
    for _ in range(steps):
        displacement = compose(displacement, displacement)
    return displacement


def resize_displacement(displacement_vox: Tensor, size: Sequence[int]) -> Tensor:
    """Return the same deformation on a grid of another size, by linear interpolation.

    Component k is scaled by (new - 1) / (old - 1), the ratio of the voxels along axis k, so that it counts voxels of
    its own grid again. (Doubling a size n therefore scales by (2n - 1) / (n - 1), a little more than the 2 of
    MrRegNet's public code, with which a field means a smaller deformation from level to level.)

    Parameters
    ----------
    displacement_vox : Tensor
        ``(batch, dimensions, *spatial)``.
    size : sequence of int
        New spatial size.
    """
    check_field(displacement_vox)
    old, new = displacement_vox.shape[2:], tuple(size)
    if old == new:
        return at_least_float32(displacement_vox)
    # an axis of one voxel has no length to scale
    ratios = [(to - 1) / (of - 1) if of > 1 and to > 1 else 1.0 for of, to in zip(old, new, strict=True)]
    return _interpolate(displacement_vox, new) * _per_component(ratios, displacement_vox)


def resize_image(image: Tensor, size: Sequence[int]) -> Tensor:
    """Return an image or mask on a grid of another size, aligned with `resize_displacement`.

    Before each halving an average over 3 voxels along each axis keeps fine detail from turning into false coarse
    detail.

    Parameters
    ----------
    image : Tensor
        ``(batch, channels, *spatial)``; soft or one-hot labels too.
    size : sequence of int
        New spatial size.

    Returns
    -------
    Tensor
        ``(batch, channels, *size)`` in at least float32.
    """
    image = at_least_float32(image)
    sides = zip(image.shape[2:], size, strict=True)
    return apply_along_axes(image, [_resizing(side, target).to(image) for side, target in sides])


@cache
def _resizing(side: int, target: int) -> Tensor:
    """Return the matrix ``(target, side)`` of `resize_image` along one axis."""
    matrix = torch.eye(side, dtype=torch.float64)
    while side != target:
        to = max(target, math.ceil(side / 2))
        voxels = torch.arange(side, dtype=torch.float64)
        if 2 * to <= side + 1 and side > 1:
            near = ((voxels[:, None] - voxels).abs() <= 1).double()
            matrix = near / near.sum(1, keepdim=True) @ matrix
        places = torch.arange(to, dtype=torch.float64) * ((side - 1) / max(to - 1, 1))
        matrix = (1 - (places[:, None] - voxels).abs()).clamp_min(0) @ matrix  # linear between two voxels
        side = to
    return matrix


def check_field(displacement_vox: Tensor) -> None:
    """Raise ValueError unless the tensor is ``(batch, dimensions, *spatial)`` with 2 or 3 dimensions."""
    dimensions = displacement_vox.ndim - 2
    if dimensions not in (2, 3) or displacement_vox.shape[1] != dimensions:
        msg = f"expected a field (batch, dimensions, *spatial) in 2-D or 3-D, got {tuple(displacement_vox.shape)}"
        raise ValueError(msg)


def _sampling_grid(displacement_vox: Tensor) -> Tensor:
    """Return p + u(p) in the coordinates of ``grid_sample``: -1 to 1, last axis first."""
    size = displacement_vox.shape[2:]
    coordinates = []
    for axis, side in enumerate(size):
        # a single voxel is read wherever one looks
        shift = displacement_vox[:, axis] * (2 / (side - 1) if side > 1 else 0)
        line = torch.linspace(-1, 1, side, device=shift.device, dtype=shift.dtype) if side > 1 else shift.new_zeros(1)
        coordinates.append(shift + line.reshape([-1 if k == axis else 1 for k in range(len(size))]))
    return torch.stack(coordinates[::-1], dim=-1)


def _interpolate(x: Tensor, size: Sequence[int]) -> Tensor:
    mode = "bilinear" if len(size) == 2 else "trilinear"
    return F.interpolate(at_least_float32(x), size=list(size), mode=mode, align_corners=True)


def _per_component(values: Sequence[float], like: Tensor) -> Tensor:
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.tensor(values, device=like.device, dtype=dtype).reshape(-1, *[1] * len(values))
