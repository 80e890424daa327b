"""How rough a displacement field is."""

import torch
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32


def squared_gradient(displacement_vox: Tensor) -> Tensor:
    """Return the mean of the squared forward differences, in squared voxels per voxel.

    The mean over batch, components and voxels is taken along each axis, and then over the axes, so that a side's length
    does not change its weight (paper 1, the last term of eq. 3, whose norm the public code squares).

    Parameters
    ----------
    displacement_vox : Tensor
        ``(batch, dimensions, *spatial)``.

    Returns
    -------
    Tensor
        Scalar, in at least float32; 0 for a translation. An axis of one voxel adds 0.
    """
    field = at_least_float32(displacement_vox)
    terms = [field.diff(dim=axis).square().mean() for axis in range(2, field.ndim) if field.shape[axis] > 1]
    return torch.stack(terms).sum() / (field.ndim - 2) if terms else field.sum() * 0
