"""Flips and 90-degree turns: the symmetries of a square or a cube, applied without interpolation.

A symmetry is a signed permutation of the axes. All of them can be drawn, the identity included: the public code of the
field turns and then always flips, so that its networks never see the orientation they are tested in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from fewscan.augment.settings import Augmentation
from fewscan.errors import UsageError


@dataclass(frozen=True)
class Symmetry:
    """A reordering of the spatial axes followed by flips.

    Attributes
    ----------
    order : tuple of int
        Axis ``k`` of the result is axis ``order[k]`` of the input.
    flipped : frozenset of int
        Axes of the result that are mirrored.
    """

    order: tuple[int, ...]
    flipped: frozenset[int] = frozenset()

    def apply(self, tensor: Tensor) -> Tensor:
        """Return the tensor moved; its last axes are the spatial ones, any number of axes comes before them."""
        first = tensor.ndim - len(self.order)
        moved = tensor.permute(*range(first), *(first + axis for axis in self.order))
        return moved.flip([first + axis for axis in sorted(self.flipped)]) if self.flipped else moved

    def then(self, other: "Symmetry") -> "Symmetry":
        """Return the symmetry that applies this one first and ``other`` to its result."""
        order = tuple(self.order[axis] for axis in other.order)
        carried = {new for new, old in enumerate(other.order) if old in self.flipped}
        return Symmetry(order, frozenset(carried ^ other.flipped))

    def inverse(self) -> "Symmetry":
        """Return the symmetry that undoes this one."""
        order = tuple(self.order.index(axis) for axis in range(len(self.order)))
        return Symmetry(order, frozenset(self.order[axis] for axis in self.flipped))


def identity(dimensions: int) -> Symmetry:
    """Return the symmetry that changes nothing."""
    return Symmetry(tuple(range(dimensions)))


def flip(dimensions: int, axes: Sequence[int]) -> Symmetry:
    """Return the mirror along the given axes."""
    return Symmetry(tuple(range(dimensions)), frozenset(axes))


def turn(dimensions: int, plane: tuple[int, int], quarters: int) -> Symmetry:
    """Return the turn by ``quarters`` times 90 degrees, in the direction of ``torch.rot90``."""
    first, second = plane
    order = list(range(dimensions))
    order[first], order[second] = second, first
    quarter = Symmetry(tuple(order), frozenset({first}))
    result = identity(dimensions)
    for _ in range(quarters % 4):
        result = result.then(quarter)
    return result


def equal_planes(size: Sequence[int], spacing_mm: Sequence[float] | None = None) -> tuple[tuple[int, int], ...]:
    """Return the planes that a 90-degree turn maps onto themselves.

    Parameters
    ----------
    size : sequence of int
        Of the patch, in voxels.
    spacing_mm : sequence of float, optional
        Planes whose two spacings differ by more than 5 % are left out: a turn would squeeze the anatomy.
    """
    spacing_mm = spacing_mm or (1.0,) * len(size)
    return tuple(
        (first, second)
        for first, second in combinations(range(len(size)), 2)
        if size[first] == size[second]
        and max(spacing_mm[first], spacing_mm[second]) <= 1.05 * min(spacing_mm[first], spacing_mm[second])
    )


def mirrored_axes(settings: Augmentation, dimensions: int) -> tuple[int, ...]:
    """Return the axes that training mirrors."""
    return tuple(range(dimensions)) if settings.flip_axes is None else settings.flip_axes


def turned_planes(
    settings: Augmentation, size: Sequence[int], spacing_mm: Sequence[float] | None = None
) -> tuple[tuple[int, int], ...]:
    """Return the planes of patches that training turns; arguments as of `equal_planes`."""
    return equal_planes(size, spacing_mm) if settings.turn_planes is None else settings.turn_planes


def draw_symmetries(
    settings: Augmentation,
    *,
    batch: int,
    size: Sequence[int],
    generator: torch.Generator,
    spacing_mm: Sequence[float] | None = None,
) -> tuple[Symmetry, ...]:
    """Draw one symmetry per sample: a turn by 0 to 3 quarters in each plane, then each axis flipped or not.

    Raises
    ------
    UsageError
        If the settings name an axis that the patches lack or a plane whose sides differ.
    """
    dimensions = len(size)
    planes, axes = turned_planes(settings, size, spacing_mm), mirrored_axes(settings, dimensions)
    for axis in (*axes, *(axis for plane in planes for axis in plane)):
        if axis >= dimensions:
            msg = f"augmentation names axis {axis}, but the patches have {dimensions} axes"
            raise UsageError(msg, mend="correct flip_axes and turn_planes; axes count from 0")
    for first, second in planes:
        if size[first] != size[second]:
            msg = f"90-degree turns need equal sides, but axes {first} and {second} of the patch {tuple(size)} differ"
            raise UsageError(msg, mend="correct turn_planes or the patch size")
    quarters = torch.randint(4, (batch, len(planes)), generator=generator).tolist()
    mirrored = (torch.rand((batch, len(axes)), generator=generator) < 0.5).tolist()
    drawn = []
    for counts, choices in zip(quarters, mirrored, strict=True):
        symmetry = identity(dimensions)
        for plane, count in zip(planes, counts, strict=True):
            symmetry = symmetry.then(turn(dimensions, plane, count))
        flipped = [axis for axis, chosen in zip(axes, choices, strict=True) if chosen]
        drawn.append(symmetry.then(flip(dimensions, flipped)))
    return tuple(drawn)
