"""How the axes of an array lie in the body, and the way from one order and sense of axes to another.

An orientation is three letters, one for each array axis: the direction that it runs *towards* with rising index. "LPS"
is an array whose first axis runs to the patient's left, the second to the back (posterior), the third to the head
(superior), which is the world of `Geometry`; the others are R, A and I. nibabel (``aff2axcodes``) and SimpleITK
(``DICOMOrient``) count alike; other programs name the side that an axis comes from. An oblique scan has the letters of
its closest axes.

Turning swaps and flips whole axes, so no voxel is interpolated, and each keeps its place in the world.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry

WORLD = ("LR", "PA", "SI")
"""The letters of each world axis: along it and against it."""

T = TypeVar("T")


def orientation_of(geometry: Geometry) -> str | None:
    """Return the orientation of a 3-D grid; None for a 2-D one, whose plane lies anywhere in the body."""
    if geometry.dimensions != 3:
        return None
    axes, signs = world_axes(geometry)
    letters = {axis: WORLD[k][sign < 0] for k, (axis, sign) in enumerate(zip(axes, signs, strict=True))}
    return "".join(letters[axis] for axis in range(3))


def is_orientation(code: str) -> bool:
    """Tell whether ``code`` is three letters, one for each world axis."""
    return sorted(next((k for k, pair in enumerate(WORLD) if letter in pair), -1) for letter in code) == [0, 1, 2]


def world_axes(geometry: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the array axis nearest to each world axis, and whether it runs along (1) or against (-1) it."""
    n = geometry.dimensions
    return _closest(np.reshape(geometry.direction, (n, n)))


@dataclass(frozen=True)
class Turn:
    """From one order and sense of array axes to another.

    Attributes
    ----------
    axes : tuple of int
        For each axis of the result, the axis that it was.
    signs : tuple of int
        For each axis of the result, 1, or -1 where it is flipped.
    """

    axes: tuple[int, ...]
    signs: tuple[int, ...]

    @property
    def changes(self) -> bool:
        """False where all axes stay as they are."""
        return self.axes != tuple(range(len(self.axes))) or -1 in self.signs

    @property
    def back(self) -> "Turn":
        """The way back."""
        order = tuple(self.axes.index(axis) for axis in range(len(self.axes)))
        return Turn(order, tuple(self.signs[k] for k in order))

    def along(self, values: Sequence[T]) -> tuple[T, ...]:
        """Return what belongs to the axes, such as sizes, in their new order."""
        return tuple(values[axis] for axis in self.axes)

    def array(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array (..., *axes) turned, in C order; the same object where nothing changes."""
        if not self.changes:
            return array
        leading = array.ndim - len(self.axes)
        turned = array.transpose(*range(leading), *(leading + axis for axis in self.axes))
        flipped = (slice(None),) * leading + tuple(slice(None, None, sign) for sign in self.signs)
        return np.ascontiguousarray(turned[flipped])

    def geometry(self, geometry: Geometry) -> Geometry:
        """Return the grid turned: every voxel keeps its place; the same object where nothing changes."""
        if not self.changes:
            return geometry
        n = geometry.dimensions
        # index, before the turn, of the voxel that comes first after it
        first = np.zeros(n + 1)
        first[n] = 1.0
        for axis, sign in zip(self.axes, self.signs, strict=True):
            first[axis] = geometry.size[axis] - 1 if sign < 0 else 0
        origin = geometry.affine() @ first
        # + 0: no zero is negative
        direction = np.reshape(geometry.direction, (n, n))[:, list(self.axes)] * self.signs + 0.0
        return Geometry(
            self.along(geometry.size),
            self.along(geometry.spacing_mm),
            tuple(float(v) for v in origin[:n]),
            tuple(float(v) for v in direction.ravel()),
        )


def turn_to(geometry: Geometry, orientation: str | None) -> Turn:
    """Return the way from a grid to an orientation; for None, or a 2-D grid, that which changes nothing."""
    own = orientation_of(geometry)
    return turn(own, orientation) if own and orientation else _nothing(geometry.dimensions)


def turn(source: str, target: str) -> Turn:
    """Return the way from one orientation to another."""
    pairs = [next(pair for pair in WORLD if letter in pair) for letter in target]
    axes = tuple(next(k for k, letter in enumerate(source) if letter in pair) for pair in pairs)
    signs = tuple(1 if source[axis] == letter else -1 for axis, letter in zip(axes, target, strict=True))
    return Turn(axes, signs)


def turn_between(source: Geometry, target: Geometry) -> Turn:
    """Return the way from the axes of one grid to those of another, which should be the same but for order and sense.

    Unlike the letters of both, this is right for grids half-way between two orientations too.
    """
    if source.direction == target.direction:
        return _nothing(source.dimensions)
    n = source.dimensions
    own, other = (np.reshape(grid.direction, (n, n)) for grid in (source, target))
    return Turn(*_closest(other.T @ own))


def _nothing(dimensions: int) -> Turn:
    return Turn(tuple(range(dimensions)), (1,) * dimensions)


def _closest(cosines: npt.NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return for each row the column that is closest to it, each column once, and the signs of their cosines."""
    n = len(cosines)
    rows = np.arange(n)
    order = max(permutations(range(n)), key=lambda axes: float(np.abs(cosines[rows, list(axes)]).sum()))
    return order, tuple(1 if cosines[row, axis] >= 0 else -1 for row, axis in zip(rows, order, strict=True))
