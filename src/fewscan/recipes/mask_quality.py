"""How good a soft pseudo-mask is, as far as that can be told without the truth; and which masks are used.

Masks and halves are class probabilities ``(classes, *size)``, background first, of one scan.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

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
    disagreements : tuple of float
        The same of each foreground class; 0 of one that neither half has.
    segmentation_vox, registration_vox : tuple of int
        Voxels of each foreground class in the segmentation by either half.
    kept_from : int or None
        The round whose mask is used instead, because this round's had collapsed.
    why_kept : str
        In words.
    """

    entropy: float
    disagreement: float
    disagreements: tuple[float, ...]
    segmentation_vox: tuple[int, ...]
    registration_vox: tuple[int, ...]
    kept_from: int | None = None
    why_kept: str = ""

    @property
    def found(self) -> tuple[bool, ...]:
        """Whether either half has something of each foreground class."""
        return tuple(a + b > 0 for a, b in zip(self.segmentation_vox, self.registration_vox, strict=True))


def describe_mask(mask: Tensor, segmentation: Tensor, registration: Tensor) -> MaskRecord:
    """Return the record of a mask and its two halves."""
    # max, as it is several times faster than argmax on the CPU
    first, second = (half.max(0).indices for half in (segmentation, registration))
    foreground = range(1, len(mask))
    found = disagreements(first, second, classes=len(mask))
    apart = [value for value in found if value is not None]
    return MaskRecord(
        entropy=mean_entropy(mask),
        disagreement=fmean(apart) if apart else 0.0,
        disagreements=tuple(value or 0.0 for value in found),
        segmentation_vox=tuple(int((first == index).sum()) for index in foreground),
        registration_vox=tuple(int((second == index).sum()) for index in foreground),
    )


def mean_entropy(mask: Tensor) -> float:
    """Return the mean entropy over the voxels, divided by the logarithm of the number of classes."""
    p = mask.float()
    return float(torch.special.entr(p).sum(0).mean() / math.log(len(p)))


def disagreements(first: Tensor, second: Tensor, *, classes: int) -> list[float | None]:
    """Return 1 - Dice of two label maps for each foreground class; None for one that neither has."""
    found: list[float | None] = []
    for index in range(1, classes):
        p, t = first == index, second == index
        size = int(p.sum()) + int(t.sum())
        found.append(1 - 2 * int((p & t).sum()) / size if size else None)
    return found


def collapse(new: MaskRecord, before: MaskRecord, *, factor: float) -> str:
    """Return how a mask has collapsed since the round before, in words; an empty text if it has not.

    Each half and each class is looked at by itself, as in their mean the others hide what happened to it.

    Parameters
    ----------
    new, before : MaskRecord
        Of the same scan.
    factor : float
        A foreground class that becomes so many times larger or smaller in either half is a collapse, unless the halves
        agree on it better than before and it is not gone from both: then a bad mask has become a good one. So is a
        mean entropy that grows so many times. A voxel (or the entropy of one percent) is added to both, so that next
        to nothing may double.
    """
    halves = {
        "segmentation": (new.segmentation_vox, before.segmentation_vox),
        "registration": (new.registration_vox, before.registration_vox),
    }
    for index, found in enumerate(new.found):
        if found and new.disagreements[index] < before.disagreements[index]:
            continue
        for name, volumes in halves.items():
            now, then = (volume[index] for volume in volumes)
            ratio = (now + 1) / (then + 1)
            if ratio > factor or ratio * factor < 1:
                return f"class {index + 1} went from {then} to {now} voxels in the {name} half"
    if new.entropy + 0.01 > factor * (before.entropy + 0.01):
        return f"the mean entropy went from {before.entropy:.3f} to {new.entropy:.3f}"
    return ""


def agreeing(records: Mapping[str, MaskRecord], *, dice: float, least_dice: float, quota: float) -> Sequence[str]:
    """Return the ids of the scans whose halves agree, sorted: the gate of the authors' public code.

    Halves that both find nothing agree on nothing, so such a scan is not used.

    Parameters
    ----------
    records : mapping
        By id.
    dice : float
        Scans whose halves agree so well are used.
    least_dice, quota : float
        Where these are fewer than ``quota`` of all scans, the next best ones fill it, down to this agreement.
    """  # fmt: skip
    something = [case_id for case_id, record in records.items() if any(record.found)]
    ranked = sorted(something, key=lambda case_id: (records[case_id].disagreement, case_id))
    wanted = math.ceil(min(quota, 1.0) * len(records))
    return sorted(
        case_id
        for place, case_id in enumerate(ranked)
        if 1 - records[case_id].disagreement >= (least_dice if place < wanted else dice)
    )
