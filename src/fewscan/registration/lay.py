"""Annotated scans laid onto targets by a registration network: their labels there, and how much of them is seen.

Labels are warped linearly as one-hot maps, the rule of every registration here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fewscan.displacement import warp, warp_labels
from fewscan.networks.layout import best_layout
from fewscan.registration.atlases import Placed
from fewscan.registration.network_field import network_field
from fewscan.registration.objective import Pairs


class Laid(NamedTuple):
    """Atlases laid onto targets.

    Attributes
    ----------
    labels : Tensor, (pair, class, *size)
        Class probabilities.
    seen : Tensor, (pair, *size)
        From 0 to 1: how far a voxel is read from inside the atlas.
    images : Tensor, (pair, channels, *size)
        Of no channel unless asked for.
    """

    labels: Tensor
    seen: Tensor
    images: Tensor


def lay_atlases(
    network: nn.Module,
    atlases: Placed,
    chosen: Tensor,
    targets: Tensor,
    *,
    classes: int,
    voxels_at_once: int,
    with_images: bool = False,
    correct: Callable[[Tensor, Pairs], Tensor] | None = None,
) -> Laid:
    """Lay one atlas onto each target.

    Parameters
    ----------
    network : Module
        With ``displacement(moving, fixed)``.
    atlases : Placed
        On the grid of the targets.
    chosen : Tensor, (pair,), int64
        Which atlas is laid onto each target.
    targets : Tensor, (pair, channels, *size)
        The same scan may be several targets.
    classes : int
        Background included.
    voxels_at_once : int
        Of all pairs that pass the network together; one pair does in any case.
    with_images : bool
        Whether the atlases' images are warped too.
    correct : callable, optional
        From displacements and pairs, which know where the atlases have data, to better displacements.

    Raises
    ------
    DataError
        If a displacement is not finite.
    """
    at_once = max(1, voxels_at_once // math.prod(targets.shape[2:]))
    layout = best_layout(targets.ndim - 2, targets.device, torch.float32)

    def lay(some: Tensor, fixed: Tensor) -> Laid:
        moving, inside = atlases.images[some].contiguous(memory_format=layout), atlases.inside[some]
        fixed = fixed.contiguous(memory_format=layout)
        field = network_field(network, moving, fixed)
        with torch.autocast(targets.device.type, enabled=False):
            if correct is not None:
                field = correct(field, Pairs(moving, fixed, inside))
            return Laid(
                warp_labels(atlases.labels[some], field, classes=classes),
                warp(inside, field, padding="zeros").squeeze(1),
                warp(moving, field) if with_images else moving[:, :0],
            )

    parts = [lay(*part) for part in zip(torch.split(chosen, at_once), torch.split(targets, at_once), strict=True)]
    return Laid(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
