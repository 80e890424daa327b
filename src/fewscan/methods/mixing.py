"""Boxes cut from one patch and pasted into another (CutMix, Yun et al. 2019).

A mask is 1 in one box and 0 outside; a mix takes the first input inside the box and the second outside. Images, labels
and probabilities mixed with the same mask stay true to each other voxel by voxel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def box_mask(size: Sequence[int], *, side: float, device: torch.device | str = "cpu") -> Tensor:
    """Return the mask of one box at a random place, every place inside the patch being equally likely.

    Parameters
    ----------
    size : sequence of int
        Of the patch, one entry per axis.
    side : float
        Side of the box as a share of the patch's, from 0 to 1: a box of 0.5 covers an eighth of a volume.
    device : torch.device

    Returns
    -------
    Tensor
        ``(*size)``, bool; at least one voxel is set along each axis.

    Raises
    ------
    ValueError
        If the side is not a share.
    """
    if not 0 < side <= 1:
        msg = f"the side of a box must be above 0 and at most 1, got {side}"
        raise ValueError(msg)
    mask = torch.zeros(tuple(size), dtype=torch.bool, device=device)
    lengths = [max(1, round(side * length)) for length in size]
    starts = [
        int(torch.randint(length - box + 1, ())) for length, box in zip(size, lengths, strict=True)
    ]  # from the CPU generator, so that a device makes no difference
    mask[tuple(slice(start, start + box) for start, box in zip(starts, lengths, strict=True))] = True
    return mask


def mix(inside: Tensor, outside: Tensor, mask: Tensor) -> Tensor:
    """Return ``inside`` where the mask is set and ``outside`` elsewhere.

    Parameters
    ----------
    inside, outside : Tensor
        ``(batch, channel, *spatial)`` or ``(batch, *spatial)``, of one shape.
    mask : Tensor
        ``(*spatial)``, bool.
    """
    return torch.where(mask, inside, outside)
