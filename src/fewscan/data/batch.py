"""What a method is given at each step."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Patches of labelled and unlabelled cases, augmented and already on the training device.

    Attributes
    ----------
    images : Tensor, (labelled, channels, *patch)
        Prepared intensities of labelled cases; may have no entries for a method that needs no labels.
    labels : Tensor, (labelled, *patch), int64
        Class indices.
    unlabelled : Tensor, (unlabelled, channels, *patch)
        Prepared intensities of unlabelled cases; may have no entries.
    cases : tuple of str
        Ids behind ``images``.
    unlabelled_cases : tuple of str
        Ids behind ``unlabelled``.
    inside, unlabelled_inside : Tensor or None, (labelled or unlabelled, 1, *patch)
        1 where a voxel comes from the scan, 0 in the padding; only for methods that take whole scans.
    unlabelled_masks : Tensor or None, (unlabelled, classes, *patch), float32
        Soft pseudo-masks of ``unlabelled``, moved with it; only in later rounds of a recipe that makes them.
    """

    images: Tensor
    labels: Tensor
    unlabelled: Tensor
    cases: tuple[str, ...]
    unlabelled_cases: tuple[str, ...]
    inside: Tensor | None = None
    unlabelled_inside: Tensor | None = None
    unlabelled_masks: Tensor | None = None
