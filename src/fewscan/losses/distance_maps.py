r"""Signed distance maps of label maps, on the device of the labels (Xue et al. 2020; Luo et al. 2021, DTC).

.. math:: z_k(x) = d(x, S_k) / m_k - d(x, \bar S_k) / \bar m_k

with :math:`S_k` the voxels of foreground class k, :math:`\bar S_k` all others and d the Euclidean distance, in voxels,
to the nearest voxel of a set. There are two kinds of map:

- ``published``: each side by its own largest distance, :math:`m_k = \max d(\cdot, S_k)` and
  :math:`\bar m_k = \max d(\cdot, \bar S_k)`, and the outermost layer of voxels inside 0. From -1, deepest inside, to 1;
  a structure that is one layer deep is 0.
- ``even``: both sides by the larger of the two. Where a head cannot tell on which side of a surface a voxel lies, the
  squared error wants the mean of both answers, which is 0 at even odds then. Inside a small structure in a large patch
  a ``published`` map falls so much faster than it rises outside that the mean is 0 at odds of one in ten, and the
  structure swells.

A patch without the class is 1 everywhere, a patch full of it -1. (Public code leaves the first 0, "boundary
everywhere", divides 0 by 0 in the second, and computes all this on the host at every step.)
"""

from typing import Literal

import torch
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32, one_hot

DistanceMaps = Literal["published", "even"]

# offsets between looks at whether the search along an axis is over: a look makes a GPU wait
_LOOK_EVERY = 8


def signed_distance_maps(labels: Tensor, classes: int, *, kind: DistanceMaps) -> Tensor:
    """Return one signed distance map per foreground class.

    Parameters
    ----------
    labels : Tensor
        ``(batch, *spatial)``, integer.
    classes : int
        Background included.
    kind : "published" or "even"
        See the top of this file.

    Returns
    -------
    Tensor
        ``(batch, classes - 1, *spatial)``, float32, between -1 and 1.
    """
    inside = one_hot(labels, classes, dtype=torch.bool)[:, 1:]
    outward, inward = distance_to_nearest(inside), distance_to_nearest(~inside)
    farthest, deepest = _largest(outward), _largest(inward)
    if kind == "even":
        farthest = deepest = torch.maximum(farthest, deepest)
    else:
        inward = inward.masked_fill(inward == 1, 0.0)
    some, rest = inside.flatten(2).any(2), ~inside.flatten(2).all(2)
    uniform = (1.0 - some.float() - (1.0 - rest.float())).view(*some.shape, *[1] * (labels.ndim - 1))
    return torch.where(uniform == 0, outward / farthest - inward / deepest, uniform)


def distance_loss(distances: Tensor, labels: Tensor, *, kind: DistanceMaps) -> Tensor:
    """Return the mean of |z - z(y)|^2 over voxels and foreground classes.

    Parameters
    ----------
    distances : Tensor
        z, ``(batch, classes - 1, *spatial)``.
    labels : Tensor
        ``(batch, *spatial)``.
    kind : "published" or "even"
        Of the map z(y).
    """
    target = signed_distance_maps(labels, distances.shape[1] + 1, kind=kind)
    return (at_least_float32(distances) - target).square().mean()


def _largest(distance: Tensor) -> Tensor:
    """Return the largest value of each map ``(batch, class, *spatial)``, at least 1."""
    return distance.amax(tuple(range(2, distance.ndim)), keepdim=True).clamp_min(1.0)


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
