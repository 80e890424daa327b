"""Which sizes a network can take: along each axis a multiple of how often it halves that axis."""

from collections.abc import Sequence
from math import lcm

from torch import nn


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
