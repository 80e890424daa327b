r"""Signed distance maps of label maps, on the device of the labels (Xue et al. 2020; Luo et al. 2021, DTC).

.. math:: z_k(x) = d(x, S_k) / \max d(\cdot, S_k) - d(x, \bar S_k) / \max d(\cdot, \bar S_k)

with :math:`S_k` the voxels of foreground class k, :math:`\bar S_k` all others and d the Euclidean distance, in voxels,
to the nearest voxel of a set. Each map runs from -1, deepest inside, to 1, farthest outside, and is negative exactly
where the class is. A patch without the class is 1 everywhere, a patch full of it -1. (Public code leaves the first 0,
"boundary everywhere", divides 0 by 0 in the second, sets the outermost layer of voxels inside to 0, and computes all
this on the host at every step.)
"""

import torch
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32, one_hot

# offsets between looks at whether the search along an axis is over: a look makes a GPU wait
_LOOK_EVERY = 8


def signed_distance_maps(labels: Tensor, classes: int) -> Tensor:
    """Return one signed distance map per foreground class.

    Parameters
    ----------
    labels : Tensor
        ``(batch, *spatial)``, integer.
    classes : int
        Background included.

    Returns
    -------
    Tensor
        ``(batch, classes - 1, *spatial)``, float32, between -1 and 1.
    """
    inside = one_hot(labels, classes, dtype=torch.bool)[:, 1:]
    outward, inward = _relative(distance_to_nearest(inside)), _relative(distance_to_nearest(~inside))
    some, rest = inside.flatten(2).any(2), ~inside.flatten(2).all(2)
    uniform = (1.0 - some.float() - (1.0 - rest.float())).view(*some.shape, *[1] * (labels.ndim - 1))
    return torch.where(uniform == 0, outward - inward, uniform)


def distance_loss(distances: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of |z - z(y)|^2 over voxels and foreground classes.

    Parameters
    ----------
    distances : Tensor
        z, ``(batch, classes - 1, *spatial)``.
    labels : Tensor
        ``(batch, *spatial)``.
    """
    target = signed_distance_maps(labels, classes=distances.shape[1] + 1)
    return (at_least_float32(distances) - target).square().mean()


def _relative(distance: Tensor) -> Tensor:
    """Return each map ``(batch, class, *spatial)`` divided by its largest value."""
    return distance / distance.amax(tuple(range(2, distance.ndim)), keepdim=True).clamp_min(1.0)


def distance_to_nearest(mask: Tensor) -> Tensor:
    """Return the Euclidean distance of every voxel to the nearest voxel that is set, exact, in voxels.

    The squared distance is separable: along the first axis it is found by two running maxima, along each further one
    as the lower envelope of parabolas, by offsets of growing length until none can be shorter.

    Parameters
    ----------
    mask : Tensor
        ``(batch, class, *spatial)``, bool.

    Returns
    -------
    Tensor
        Of the same shape, float32; infinite where nothing is set.
    """
    # a map without a set voxel would keep the search of all maps going to the end
    empty = ~mask.flatten(2).any(2).view(*mask.shape[:2], *[1] * (mask.ndim - 2))
    square = _along_line(mask).masked_fill(empty, 0.0)
    for axis in range(3, mask.ndim):
        square = _lower_envelope(square, axis)
    return square.sqrt().masked_fill(empty, torch.inf)


def _along_line(mask: Tensor) -> Tensor:
    """Return the squared distance to the nearest set voxel of the same line along axis 2."""
    places = torch.arange(mask.shape[2], dtype=torch.float32, device=mask.device).view(-1, *[1] * (mask.ndim - 3))
    before = torch.where(mask, places, -torch.inf).cummax(2).values
    after = torch.where(mask, -places, -torch.inf).flip(2).cummax(2).values.flip(2)
    return torch.minimum(places - before, -after - places).square()


def _lower_envelope(square: Tensor, axis: int) -> Tensor:
    """Return the minimum over offsets k along the axis of what lies there plus k squared."""
    found, moved = square.clone(), torch.empty_like(square)
    length = square.shape[axis]
    for offset in range(1, length):
        torch.add(square, offset**2, out=moved)
        for to, source in ((0, offset), (offset, 0)):
            part = found.narrow(axis, to, length - offset)
            torch.minimum(part, moved.narrow(axis, source, length - offset), out=part)
        if offset % _LOOK_EVERY == 0 and bool(found.amax() <= (offset + 1) ** 2):
            break
    return found
