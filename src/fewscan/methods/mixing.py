"""Cut and paste between patches (CutMix, Yun et al. 2019; BCP, Bai et al. 2023; paper 3, section 2.3).

A mask is 1 in one box and 0 outside; a mix takes the first input inside the box and the second outside. Images, labels
and probabilities mixed with the same mask stay true to each other voxel by voxel.
"""

from collections.abc import Sequence
from typing import NamedTuple

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
    mask = torch.zeros(tuple(size), dtype=torch.bool)
    lengths = [max(1, round(side * length)) for length in size]
    starts = [
        int(torch.randint(length - box + 1, ())) for length, box in zip(size, lengths, strict=True)
    ]  # from the CPU generator, so that a device makes no difference
    mask[tuple(slice(start, start + box) for start, box in zip(starts, lengths, strict=True))] = True
    return mask.to(device)


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


class Pairs(NamedTuple):
    """Which labelled patches are mixed with which unlabelled ones, entry by entry."""

    labelled: list[int]
    unlabelled: list[int]


def mixing_pairs(labelled: int, unlabelled: int) -> tuple[Pairs, Pairs]:
    """Return the pairs of two mixes that share no patch, and together use every patch of the batch.

    Of two and two patches, the first ones meet in one mix and the second ones in the other. Where one kind has too few
    patches for that, they are used again.

    Parameters
    ----------
    labelled, unlabelled : int
        Patches of each kind, at least one.
    """
    count = -(-max(labelled, unlabelled) // 2)
    first, second = range(count), range(count, 2 * count)
    return (
        Pairs([k % labelled for k in first], [k % unlabelled for k in first]),
        Pairs([k % labelled for k in second], [k % unlabelled for k in second]),
    )


def mix_both_ways(
    labelled: Tensor, unlabelled: Tensor, box: Tensor, pairs: tuple[Pairs, Pairs]
) -> tuple[Tensor, Tensor]:
    """Return unlabelled boxes in labelled patches, and labelled boxes in unlabelled patches.

    With M = 1 outside the box (paper 3, eqs. 11 and 12; BCP, eqs. 1 and 2):

        mix_1 = labelled M + unlabelled (1 - M),    mix_2 = unlabelled M + labelled (1 - M)

    Targets are mixed by the same call, true labels with pseudo-labels (eqs. 13 and 14; the paper prints eq. 13 with the
    parts swapped, which would compare every voxel with the label of another patch).

    Parameters
    ----------
    labelled, unlabelled : Tensor
        ``(batch, channel, *spatial)``: images, or targets as probabilities.
    box : Tensor
        ``(*spatial)``, bool: 1 - M, set inside the box.
    pairs : tuple of Pairs
        Of either mix, see `mixing_pairs`.
    """
    first, second = pairs
    return (
        mix(unlabelled[first.unlabelled], labelled[first.labelled], box),
        mix(labelled[second.labelled], unlabelled[second.unlabelled], box),
    )


def mix_labelled(images: Tensor, labels: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Return images and label maps with a box of another labelled patch; a single patch stays as it is.

    Parameters
    ----------
    images : Tensor
        ``(batch, channel, *spatial)``.
    labels : Tensor
        ``(batch, *spatial)``.
    box : Tensor
        ``(*spatial)``, bool.
    """
    return mix(images.roll(1, 0), images, box), mix(labels.roll(1, 0), labels, box)
