"""Annotated scans that travel with a model, as buffers: in checkpoints, in the model file and to any device."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewscan.data.boxes import centred_part
from fewscan.data.whole_scan import WholeScan
from fewscan.errors import UsageError


class Placed(NamedTuple):
    """Atlases on one grid.

    Attributes
    ----------
    images : Tensor, (atlas, channels, *size)
    labels : Tensor, (atlas, *size), uint8
        Class indices.
    inside : Tensor, (atlas, 1, *size), float32
        1 where a voxel comes from the scan, 0 in the padding.
    """

    images: Tensor
    labels: Tensor
    inside: Tensor


class Atlases(nn.Module):
    """Images and labels of some scans, centred on one grid and padded.

    Parameters
    ----------
    count : int
        How many; their contents come with `of` or ``load_state_dict``.
    channels : int
        Of the images.
    size : sequence of int
        Of the grid.
    """

    images: Tensor
    labels: Tensor
    inside: Tensor
    background: Tensor

    def __init__(self, count: int, *, channels: int, size: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros((count, channels, *size)))
        # with a channel of its own, as the whole model may be put into a channels-last layout
        self.register_buffer("labels", torch.zeros((count, 1, *size), dtype=torch.uint8))
        self.register_buffer("inside", torch.zeros((count, 1, *size), dtype=torch.uint8))
        self.register_buffer("background", torch.zeros((count, channels)))

    @classmethod
    def of(cls, scans: Iterable[WholeScan]) -> Self:
        """Return the atlases made of these scans, in their order.

        Raises
        ------
        ValueError
            Without any scan.
        """
        kept = list(scans)
        if not kept:
            msg = "atlases need at least one labelled scan"
            raise ValueError(msg)
        made = cls(len(kept), channels=len(kept[0].image), size=kept[0].label.shape)
        made.images = torch.stack([scan.image for scan in kept])
        made.labels = torch.stack([scan.label for scan in kept]).unsqueeze(1)
        made.inside = torch.stack([scan.inside for scan in kept]).unsqueeze(1)
        made.background = torch.stack([scan.background for scan in kept])
        return made

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, ...]:
        """Of the grid."""
        return tuple(self.images.shape[2:])

    def on(self, size: Sequence[int]) -> Placed:
        """Return the atlases on a grid of another size, centred as in training.

        Raises
        ------
        UsageError
            For a grid on which they do not fit whole.
        """
        if len(size) != len(self.size) or any(new < old for new, old in zip(size, self.size, strict=True)):
            raise UsageError(
                f"the atlases lie on a grid of {self.size} voxels and cannot be laid onto a scan of {tuple(size)}",
                mend="Pad the scan to at least the grid of the atlases.",
            )
        sides = zip(centred_part(self.size, size), size, strict=True)
        # F.pad counts from the last axis
        margin = [width for part, side in reversed(list(sides)) for width in (part.start, side - part.stop)]
        images, labels, inside = (F.pad(x, margin) for x in (self.images, self.labels, self.inside))
        empty = self.background.reshape(*self.background.shape, *[1] * len(self.size))
        return Placed(torch.where(inside > 0, images, empty), labels.squeeze(1), inside.float())
