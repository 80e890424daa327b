"""Copy-paste between labelled and unlabelled patches (BCP, Bai et al. 2023; paper 3, sections 2.2 and 2.3).

With M = 1 outside one box and 0 inside (paper 3, eqs. 11 and 12; BCP, eqs. 1 and 2):

    mix_1 = labelled M + unlabelled (1 - M),    mix_2 = unlabelled M + labelled (1 - M)

and targets alike, true labels with pseudo-labels (paper 3, eqs. 13 and 14; it prints eq. 13 with the parts swapped,
which would compare every voxel with the label of another patch). Before that, for a share of the run, labelled patches
may be trained on alone, with boxes of each other.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.losses.probabilities import one_hot
from fewscan.methods.base import Context
from fewscan.methods.mixing import mix
from fewscan.methods.pseudo_labels import PseudoLabelParameters


class CopyPasteParameters(PseudoLabelParameters):
    """What methods with copy-paste have in common; those with other defaults repeat a field."""

    box: float = Field(2 / 3, gt=0, le=1, description="side of the box; Bai et al. 2023")
    pretrain: float = Field(2 / 17, ge=0, lt=1, description="share of the run; public code: 2 000 of 17 000 steps")
    in_both_mixes: bool = Field(False, description="every patch is in both mixes, not in one; public code: in one")

    def since_pretraining(self, step: int, context: Context) -> int:
        """Return the steps since the labelled patches ceased to be alone; negative before."""
        return step - int(self.pretrain * context.iterations)

    def ramped(self, step: int, context: Context) -> float:
        """Return how far the unlabelled terms have grown since they came in, from 0 to 1."""
        return super().ramped(max(0, self.since_pretraining(step, context)), context)


class Mix(NamedTuple):
    """Patches made of two, and what is known of their voxels.

    Attributes
    ----------
    images : Tensor
        ``(batch, channel, *spatial)``.
    target : Tensor
        Probabilities ``(batch, class, *spatial)``.
    true : Tensor
        ``(*spatial)`` or ``(batch, 1, *spatial)``, bool: where the target is a true label, and not a pseudo-label.
    """

    images: Tensor
    target: Tensor
    true: Tensor


def copy_paste(batch: Batch, pseudo: Tensor, box: Tensor, *, in_both: bool = False) -> tuple[Mix, Mix]:
    """Return unlabelled boxes in labelled patches, and labelled boxes in unlabelled patches.

    Parameters
    ----------
    batch : Batch
        With at least one patch of either kind.
    pseudo : Tensor
        Pseudo-labels of the unlabelled patches, probabilities ``(batch, class, *spatial)``.
    box : Tensor
        ``(*spatial)``, bool: 1 - M, set inside the box.
    in_both : bool
        See `mixing_pairs`.
    """
    true = one_hot(batch.labels, pseudo.shape[1], dtype=pseudo.dtype)
    pairs = mixing_pairs(len(true), len(pseudo), in_both=in_both)
    images = mix_both_ways(batch.images, batch.unlabelled, box, pairs)
    targets = mix_both_ways(true, pseudo, box, pairs)
    return Mix(images[0], targets[0], ~box), Mix(images[1], targets[1], box)


def joined(mixes: Sequence[Mix]) -> Mix:
    """Return several mixes as one."""
    images, target = (torch.cat(parts) for parts in zip(*((mix.images, mix.target) for mix in mixes), strict=True))
    return Mix(images, target, torch.cat([mix.true.expand(len(mix.images), 1, *mix.true.shape) for mix in mixes]))


class Pairs(NamedTuple):
    """Which labelled patches are mixed with which unlabelled ones, entry by entry."""

    labelled: list[int]
    unlabelled: list[int]


def mixing_pairs(labelled: int, unlabelled: int, *, in_both: bool = False) -> tuple[Pairs, Pairs]:
    """Return the pairs of two mixes that share no patch, and together use every patch of the batch.

    Of two and two patches, the first ones meet in one mix and the second ones in the other. Where one kind has too few
    patches for that, they are used again.

    Parameters
    ----------
    labelled, unlabelled : int
        Patches of each kind, at least one.
    in_both : bool
        Every patch is in both mixes, where there are enough with another partner in the second: a labelled patch then
        gives all its voxels, those outside the box to one mix and those inside to the other.
    """
    if in_both:
        count = max(labelled, unlabelled)
        every = [k % labelled for k in range(count)]
        return (
            Pairs(every, [k % unlabelled for k in range(count)]),
            Pairs(every, [(k + 1) % unlabelled for k in range(count)]),
        )
    count = -(-max(labelled, unlabelled) // 2)
    first, second = range(count), range(count, 2 * count)
    return (
        Pairs([k % labelled for k in first], [k % unlabelled for k in first]),
        Pairs([k % labelled for k in second], [k % unlabelled for k in second]),
    )


def mix_both_ways(
    labelled: Tensor, unlabelled: Tensor, box: Tensor, pairs: tuple[Pairs, Pairs]
) -> tuple[Tensor, Tensor]:
    """Return mix_1 and mix_2 of images, or of targets.

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
