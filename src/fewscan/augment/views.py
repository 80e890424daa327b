"""Views of an image for test-time augmentation, each with its exact inverse.

A view moves the image, the network predicts, and the inverse moves the probabilities back before they are averaged.
Only flips, 90-degree turns and changes of contrast are offered: they need no interpolation, so nothing is lost on the
way back. A view helps only if the network met its like in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from fewscan.augment.intensity import apply_gamma
from fewscan.augment.symmetry import Symmetry, flip, identity, turn
from fewscan.errors import UsageError


@dataclass(frozen=True)
class View:
    """One way to look at an image.

    Attributes
    ----------
    name : str
        For logs: "identity", "flip 0+1", "turn 0-1 by 90", "gamma 0.8".
    symmetry : Symmetry
        Flips and turns of the spatial axes.
    gamma : float
        Exponent on intensities scaled to [0, 1]; 1 changes nothing.
    """

    name: str
    symmetry: Symmetry
    gamma: float = 1.0

    def forward(self, images: Tensor) -> Tensor:
        """Return the view of images (..., C, *spatial)."""
        moved = self.symmetry.apply(images)
        if self.gamma == 1.0:
            return moved
        leading = moved.shape[: moved.ndim - len(self.symmetry.order)]
        return apply_gamma(moved, torch.full(leading, self.gamma))

    def inverse(self, probabilities: Tensor) -> Tensor:
        """Return probabilities (..., classes, *spatial) of the view on the grid of the image."""
        return self.symmetry.inverse().apply(probabilities)


def views(
    dimensions: int,
    count: int,
    *,
    flip_axes: Sequence[int] | None = None,
    turn_planes: Sequence[tuple[int, int]] = (),
    gammas: Sequence[float] = (0.8, 1.25),
) -> list[View]:
    """Return the first ``count`` views: the identity, flips (fewest axes first), turns in each plane, contrasts.

    Parameters
    ----------
    dimensions : 2 or 3
        Spatial axes of the images.
    count : int
        How many views, the identity included.
    flip_axes : sequence of int, optional
        Axes that may be mirrored, alone and together; every axis where not given. Give the training's own, as flips of
        a network that never saw them do harm.
    turn_planes : sequence of pairs of int
        Planes that may be turned. A turn swaps two sides: give only planes in which the window's sides are equal
        (`fewscan.augment.symmetry.equal_planes`).
    gammas : sequence of float
        Exponents of the views that change contrast.

    Raises
    ------
    UsageError
        If fewer views exist than are asked for.
    """
    flip_axes = tuple(range(dimensions)) if flip_axes is None else flip_axes
    subsets = [axes for number in range(len(flip_axes) + 1) for axes in combinations(flip_axes, number)]
    named = {flip(dimensions, axes): _flip_name(axes) for axes in subsets}
    for plane in turn_planes:
        for quarters in (1, 2, 3):
            for axes in subsets:
                symmetry = turn(dimensions, plane, quarters).then(flip(dimensions, axes))
                name = f"turn {plane[0]}-{plane[1]} by {90 * quarters}"
                named.setdefault(symmetry, f"{name}, {_flip_name(axes)}" if axes else name)
    every = [View(name, symmetry) for symmetry, name in named.items()]
    every += [View(f"gamma {gamma:g}", identity(dimensions), gamma) for gamma in gammas]
    if not 1 <= count <= len(every):
        msg = f"{count} views were asked for, but there are 1 to {len(every)} here"
        raise UsageError(msg, mend=f"ask for at most {len(every)} views")
    return every[:count]


def _flip_name(axes: Sequence[int]) -> str:
    return f"flip {'+'.join(str(axis) for axis in axes)}" if axes else "identity"
