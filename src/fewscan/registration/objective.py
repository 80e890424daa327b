r"""What a registration network is trained for: the loss of a set of pairs (paper 1, eqs. 1 to 3).

For level i of K, with the moving image, its masks and their fixed counterparts at the size of that level:

.. math::

    L_i = w_s (1 - NCC(x_S \circ D_i, x_T)) + w_l Dice(y_S \circ D_i, y_T) + w_g \lambda_i |\nabla d_i|^2,
    \qquad L = \frac{1}{K} \sum_i L_i

Masks may be soft on either side (probabilities, averaged pseudo-masks): with its squared denominators eq. 1 is 0 where
two soft masks are equal. Pairs without masks on both sides have no label term. Padding has no part in the similarity:
a voxel counts as far as it lies inside the fixed scan and is read from inside the moving one; this weight passes no
gradient, as otherwise the field could push what does not match out of sight.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fewscan.displacement import compose, resize_image, warp
from fewscan.losses.dice import soft_dice
from fewscan.losses.similarity import global_ncc_loss, local_ncc_loss
from fewscan.losses.smoothness import squared_gradient
from fewscan.networks.mrregnet import Level

# lambda at full resolution; it doubles with every halving: 128, 64, 32, 16, 8 in 2-D (paper 1) and 16, 8, 4, 2 in 3-D
FINEST_LAMBDA = {2: 8.0, 3: 2.0}
_LEAST = 1e-3  # of a voxel with data, below which its value is not made up for


class Pairs(NamedTuple):
    """Pairs of scans on one common grid.

    Attributes
    ----------
    moving, fixed : Tensor, (pairs, channels, *size)
        Images.
    moving_inside, fixed_inside : Tensor or None, (pairs, 1, *size)
        1 where a scan has data, 0 in its padding; None where nothing is padded.
    moving_masks, fixed_masks : Tensor or None, (labelled pairs, classes, *size)
        Class probabilities, background first; one-hot for true labels.
    labelled : Tensor or None, (labelled pairs,), int64
        Which pairs the masks belong to; None where every pair has them.
    """

    moving: Tensor
    fixed: Tensor
    moving_inside: Tensor | None = None
    fixed_inside: Tensor | None = None
    moving_masks: Tensor | None = None
    fixed_masks: Tensor | None = None
    labelled: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Objective:
    """How a pair is judged.

    Attributes
    ----------
    similarity : "gncc" or "lncc"
        Correlation over the whole scan (paper 1, eq. 2) or over windows, squared (VoxelMorph).
    window : int
        Side of these windows in voxels of each level.
    smooth_on : "residual" or "composed"
        What each level adds (public code), or its whole field (eq. 3 as written).
    lambdas : tuple of float, optional
        Coarse to fine; `FINEST_LAMBDA` times the down-sampling of each level unless told.
    resize : "smooth" or "nearest"
        How images and masks come to the size of a level: averaged and aligned with the fields, or the nearest voxel
        (public code), which loses thin structures and shifts the coarse levels.
    """

    similarity: Literal["gncc", "lncc"] = "gncc"
    window: int = 9
    smooth_on: Literal["residual", "composed"] = "residual"
    lambdas: tuple[float, ...] | None = None
    resize: Literal["smooth", "nearest"] = "smooth"

    def lambda_of(self, level: int, size: Sequence[int], full_size: Sequence[int]) -> float:
        """Return lambda of a level, counted from the coarsest, by its size and that of the images."""
        if self.lambdas is not None:
            return self.lambdas[level]
        halvings = round(math.log2(max(full_size) / max(size)))
        return FINEST_LAMBDA[len(size)] * 2.0**halvings

    def distance(self, warped: Tensor, fixed: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return 1 - NCC of images (pairs, channels, *size), averaged over the pairs; weight (pairs, *size)."""
        if self.similarity == "gncc":
            return global_ncc_loss(warped, fixed, mask=weight)
        return local_ncc_loss(warped, fixed, window=self.window, mask=weight)


def pair_terms(levels: Sequence[Level], pairs: Pairs, objective: Objective) -> dict[str, Tensor]:
    """Return the terms of eq. 3, each averaged over pairs and levels and without its weight.

    Parameters
    ----------
    levels : sequence of Level
        Fields of all pairs, coarse to fine, as a registration network returns them.
    pairs : Pairs
        Images, and masks of those pairs that have them.
    objective : Objective
        Similarity, lambdas and so on.

    Returns
    -------
    dict of str to Tensor
        Scalars "similarity", "smoothness" (lambda included) and, where a pair has masks, "labels".
    """
    full_size = pairs.fixed.shape[2:]
    images, masks = _stacked_images(pairs), _stacked_masks(pairs)
    terms: dict[str, list[Tensor]] = {"similarity": [], "labels": [], "smoothness": []}
    for k in reversed(range(len(levels))):  # finest first: each size is made from the one before
        smooth = levels[k].residual_vox if objective.smooth_on == "residual" else levels[k].displacement_vox
        field = levels[k].displacement_vox
        size = field.shape[2:]
        images = _resized(images, size, objective)
        terms["similarity"].append(_distance(images, field, pairs.moving.shape[1], objective))
        if masks is not None:
            masks = _resized(masks, size, objective)
            source, target = masks.chunk(2, dim=1)
            warped = warp(source, field if pairs.labelled is None else field[pairs.labelled])
            # the background has been left out already
            terms["labels"].append(soft_dice(warped, target, squared=True, include_background=True, batch=False))
        terms["smoothness"].append(objective.lambda_of(k, size, full_size) * squared_gradient(smooth))
    return {name: torch.stack(values).mean() for name, values in terms.items() if values}


def image_distance(field_vox: Tensor, pairs: Pairs, objective: Objective) -> Tensor:
    """Return 1 - NCC of pairs under a field of their own size, where both scans have data; a scalar.

    Parameters
    ----------
    field_vox : Tensor
        ``(pairs, dimensions, *size)``.
    pairs : Pairs
        Their masks are not looked at.
    objective : Objective
    """
    return _distance(_stacked_images(pairs), field_vox, pairs.moving.shape[1], objective)


def inverse_error(there_vox: Tensor, back_vox: Tensor) -> Tensor:
    """Return the mean squared distance in voxels by which going there and back misses the start.

    Parameters
    ----------
    there_vox, back_vox : Tensor
        ``(pairs, dimensions, *size)``: moving to fixed, and fixed to moving.
    """
    return compose(there_vox, back_vox).square().sum(1).mean()


def _stacked_images(pairs: Pairs) -> Tensor:
    """Return images and insides side by side on the channels; images count nothing where they are padding."""
    if pairs.moving_inside is None or pairs.fixed_inside is None:
        return torch.cat([pairs.moving, pairs.fixed], dim=1)
    inside = [pairs.moving_inside, pairs.fixed_inside]
    return torch.cat([pairs.moving * inside[0], pairs.fixed * inside[1], *inside], dim=1)


def _distance(stacked: Tensor, field: Tensor, channels: int, objective: Objective) -> Tensor:
    """Return 1 - NCC of the warped and the fixed image, of images as `_stacked_images` returns them, of any size.

    Images are sums over the voxels with data and insides say how many they were, so that dividing one by the other
    gives averages that no padding has darkened: before the warp, where a size has been lowered, and in it, where a
    voxel is interpolated from both.
    """
    if stacked.shape[1] == 2 * channels:
        moving, fixed = stacked.chunk(2, dim=1)
        return objective.distance(warp(moving, field), fixed)
    moving, fixed, moving_inside, fixed_inside = torch.split(stacked, [channels, channels, 1, 1], dim=1)
    warped, reached = torch.split(
        warp(torch.cat([moving, moving_inside], dim=1), field, padding="zeros"), [channels, 1], dim=1
    )
    weight = (fixed_inside * reached.detach()).squeeze(1)
    return objective.distance(warped / reached.clamp_min(_LEAST), fixed / fixed_inside.clamp_min(_LEAST), weight)


def _stacked_masks(pairs: Pairs) -> Tensor | None:
    """Return the foreground classes of both sides on the channels; None where no pair has masks on both."""
    if pairs.moving_masks is None or pairs.fixed_masks is None or len(pairs.fixed_masks) == 0:
        return None
    return torch.cat([pairs.moving_masks[:, 1:], pairs.fixed_masks[:, 1:]], dim=1)


def _resized(images: Tensor, size: Sequence[int], objective: Objective) -> Tensor:
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return resize_image(images, size) if objective.resize == "smooth" else F.interpolate(images, size=list(size))
