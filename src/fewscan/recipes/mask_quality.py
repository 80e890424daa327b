"""How good a soft pseudo-mask is, as far as that can be told without the truth; and which masks are used.

Masks and halves are class probabilities ``(classes, *size)``, background first, of one scan.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fewscan.settings import Settings


class MaskRecord(Settings):
    """What is written down about the mask of one scan.

    Attributes
    ----------
    entropy : float
        Mean over the voxels, in units of that of a mask that knows nothing: 0 to 1.
    disagreement : float
        1 - Dice of the two halves' segmentations, mean over the foreground classes that either has: 0 to 1.
    volumes_vox : tuple of float
        Sum of the probabilities of each foreground class.
    kept_from : int or None
        The round whose mask is used instead, because this round's had collapsed.
    why_kept : str
        In words.
    """

    entropy: float
    disagreement: float
    volumes_vox: tuple[float, ...]
    kept_from: int | None = None
    why_kept: str = ""


def describe_mask(mask: Tensor, segmentation: Tensor, registration: Tensor) -> MaskRecord:
    """Return the record of a mask and its two halves."""
    return MaskRecord(
        entropy=mean_entropy(mask),
        disagreement=disagreement(segmentation, registration),
        volumes_vox=tuple(float(volume) for volume in mask[1:].flatten(1).double().sum(1)),
    )


def mean_entropy(mask: Tensor) -> float:
    """Return the mean entropy over the voxels, divided by the logarithm of the number of classes."""
    p = mask.float()
    return float(torch.special.entr(p).sum(0).mean() / math.log(len(p)))


def disagreement(first: Tensor, second: Tensor) -> float:
    """Return 1 - Dice of the most probable classes, mean over the foreground classes that either has; 0 without any."""
    # several times faster than argmax on the CPU
    a, b = first.max(0).indices, second.max(0).indices
    scores = []
    for index in range(1, len(first)):
        p, t = a == index, b == index
        if size := int(p.sum()) + int(t.sum()):
            scores.append(1 - 2 * int((p & t).sum()) / size)
    return sum(scores) / len(scores) if scores else 0.0


def collapse(new: MaskRecord, before: MaskRecord, *, factor: float) -> str:
    """Return how a mask has collapsed since the round before, in words; an empty text if it has not.

    Parameters
    ----------
    new, before : MaskRecord
        Of the same scan.
    factor : float
        A foreground class that becomes so many times larger or smaller, or a mean entropy that grows so many times, is
        a collapse. A voxel (or the entropy of one percent) is added to both, so that next to nothing may double.
    """
    for index, (now, then) in enumerate(zip(new.volumes_vox, before.volumes_vox, strict=True), start=1):
        ratio = (now + 1) / (then + 1)
        if ratio > factor or ratio * factor < 1:
            return f"the volume of class {index} went from {then:.0f} to {now:.0f} voxels"
    if new.entropy + 0.01 > factor * (before.entropy + 0.01):
        return f"the mean entropy went from {before.entropy:.3f} to {new.entropy:.3f}"
    return ""


def agreeing(records: Mapping[str, MaskRecord], *, dice: float, least_dice: float, quota: float) -> Sequence[str]:
    """Return the ids of the scans whose halves agree, sorted: the gate of the authors' public code.

    Parameters
    ----------
    records : mapping
        By id.
    dice : float
        Scans whose halves agree so well are used.
    least_dice, quota : float
        Where these are fewer than ``quota`` of all scans, the next best ones fill it, down to this agreement.
    """  # fmt: skip
    ranked = sorted(records, key=lambda case_id: (records[case_id].disagreement, case_id))
    wanted = math.ceil(min(quota, 1.0) * len(ranked))
    return sorted(
        case_id
        for place, case_id in enumerate(ranked)
        if 1 - records[case_id].disagreement >= (least_dice if place < wanted else dice)
    )
