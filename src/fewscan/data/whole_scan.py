"""One labelled scan, whole and unaugmented, on the common grid: what a method may keep of it (`Method.remember`)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fewscan.data.boxes import cut_centred
from fewscan.data.sampling import PatchSource


class WholeScan(NamedTuple):
    """A labelled scan on the common grid, on the CPU.

    Attributes
    ----------
    id : str
        Of the case.
    image : Tensor, (channels, *size), float32
        Prepared intensities, centred and padded with the background.
    label : Tensor, (*size), uint8
        Class indices, 0 in the padding.
    inside : Tensor, (*size), uint8
        1 where a voxel comes from the scan, 0 in the padding.
    background : Tensor, (channels,), float32
        Value of an empty voxel.
    """

    id: str
    image: Tensor
    label: Tensor
    inside: Tensor
    background: Tensor


def whole_scan(case: PatchSource, size: Sequence[int]) -> WholeScan:
    """Return a labelled case on a grid of ``size``, placed as in training (`centred_start`)."""
    image, label = case.image(), case.label()
    background, nothing = np.asarray(case.background, np.float32), np.zeros(1, np.uint8)
    return WholeScan(
        case.id,
        torch.from_numpy(cut_centred(image, size, background)),
        torch.from_numpy(cut_centred(label[None], size, nothing)[0]),
        torch.from_numpy(cut_centred(np.ones((1, *label.shape), np.uint8), size, nothing)[0]),
        torch.from_numpy(background),
    )
