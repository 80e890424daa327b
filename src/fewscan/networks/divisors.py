"""Which sizes a network can take: along each axis a multiple of how often it halves that axis."""

import copy
from collections.abc import Sequence
from math import lcm

import torch
from torch import nn

from fewscan.errors import UsageError


def divisors_of(network: nn.Module, dimensions: int) -> tuple[int, ...]:
    """Return what the sides of an image must be multiples of, one per spatial axis; 1 where the network says nothing.

    A network says it by its attribute ``divisors``.
    """
    return tuple(int(divisor) for divisor in getattr(network, "divisors", (1,) * dimensions))


def common_divisors(divisors: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return along each axis the least common multiple of the divisors of several networks."""
    return tuple(lcm(*axis) for axis in zip(*divisors, strict=True))


def rounded_up(size: Sequence[int], divisors: Sequence[int]) -> tuple[int, ...]:
    """Return the smallest size with sides at least those of ``size`` that can be divided."""
    return tuple(-(-side // divisor) * divisor for side, divisor in zip(size, divisors, strict=True))


def fitting_size(network: nn.Module, size: Sequence[int], *, channels: int) -> tuple[int, ...]:
    """Return the smallest size with sides at least those of ``size`` that a segmentation network takes.

    Sides are rounded up to what can be divided. Of the smallest such size the longest axis, the last of equal ones, is
    doubled where the network does not answer: some cannot normalise the one voxel that they make of it.

    Parameters
    ----------
    network : Module
        Of ``(batch, channel, *spatial)``.
    size : sequence of int
        One side per spatial axis.
    channels : int
        Of the images.
    """
    divisors = divisors_of(network, len(size))
    fitting = rounded_up(size, divisors)
    if fitting != divisors or _answers(network, channels, fitting):
        return fitting
    longest = max(range(len(size)), key=lambda axis: (size[axis], axis))
    return tuple(side * (2 if axis == longest else 1) for axis, side in enumerate(fitting))


def _answers(network: nn.Module, channels: int, size: Sequence[int]) -> bool:
    """Tell whether the network can be trained on images of this size; it is left as it is."""
    trained = copy.deepcopy(network).train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trained(torch.zeros(1, channels, *size))
    except UsageError:
        return False
    return True
