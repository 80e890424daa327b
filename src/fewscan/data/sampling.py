"""Which patch of which case comes at which step.

A stream is a pure function of (seed, step): cases come in shuffled order, every case once before any comes twice, and
each patch is drawn by a generator of its own. So resuming needs nothing but the step, and batches can be read ahead.

Whole scans, for registration, are centred on one common grid instead: see `centred_start`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fewscan.data.boxes import centred_start, cut, random_start, start_around
from fewscan.seeding import generator_for

FloatArray = npt.NDArray[np.float32]
LabelArray = npt.NDArray[np.uint8]
SoftMasks = Callable[[str, Sequence[int], Sequence[int]], FloatArray]
"""Maps id, start and size of a patch, on the prepared grid of its case, to class probabilities (classes, *size)."""


class PatchSource(Protocol):
    """The part of a prepared case that sampling needs."""

    id: str

    def image(self) -> FloatArray: ...  # noqa: D102
    def label(self) -> LabelArray: ...  # noqa: D102
    def foreground(self) -> Mapping[int, npt.NDArray[np.int32]]: ...  # noqa: D102
    @property
    def background(self) -> tuple[float, ...]: ...  # noqa: D102


class Patches(NamedTuple):
    """One stream's share of a batch, as arrays.

    ``images`` (n, channels, *patch) float32; ``labels`` (n, *patch) uint8 or None; ``background`` (n, channels), the
    value of an empty voxel of each sample; ``cases``, the ids; ``inside`` (n, 1, *patch) uint8, 1 where the scan has
    data, or None where patches are cut out of scans; ``masks`` (n, classes, *patch) float32, soft masks, or None.
    """

    images: FloatArray
    labels: LabelArray | None
    background: FloatArray
    cases: tuple[str, ...]
    inside: LabelArray | None = None
    masks: FloatArray | None = None


class PatchStream:
    """An endless stream of patches from some cases.

    Parameters
    ----------
    cases : sequence of PatchSource
        Prepared cases; their order does not matter.
    patch_size : tuple of int
        One entry per network dimension.
    count : int
        Patches per step and process.
    seed : int
        Of the run.
    name : str
        Distinguishes the streams of one run ("labelled", "unlabelled").
    with_labels : bool
        Whether labels are read. An unlabelled stream never opens a label.
    foreground_fraction : float
        Probability that a patch is centred on a voxel of a random foreground class of its case.
    slice_axis : int, optional
        Array axis to draw 2-D patches across, for slice-wise training on volumes.
    whole_scans : bool
        Every patch is a whole scan, centred and padded. No scan comes twice in one batch: an epoch ends early where
        fewer are left than a batch takes, and there are never more patches than cases.
    soft_masks : callable, optional
        From id, start and size of a patch to its class probabilities ``(classes, *size)``; plain background outside
        the scan.
    """

    def __init__(
        self,
        cases: Sequence[PatchSource],
        *,
        patch_size: tuple[int, ...],
        count: int,
        seed: int,
        name: str,
        with_labels: bool,
        foreground_fraction: float = 0.0,
        slice_axis: int | None = None,
        whole_scans: bool = False,
        soft_masks: SoftMasks | None = None,
    ) -> None:
        self.soft_masks = soft_masks
        self.cases = sorted(cases, key=lambda case: case.id)
        self.whole_scans = whole_scans
        self.count, self.seed, self.name = min(count, len(cases)) if whole_scans else count, seed, name
        # a batch of whole scans holds each one once, so it must not reach over the end of an epoch
        self.epoch_length = len(cases) // self.count * self.count if whole_scans else len(cases)
        self.with_labels, self.foreground_fraction = with_labels, foreground_fraction
        self.slice_axis = slice_axis
        self.box = patch_size
        if slice_axis is not None:
            self.box = (*patch_size[:slice_axis], 1, *patch_size[slice_axis:])
        self._order = cache(self._epoch_order)
        by_id = {case.id: case for case in self.cases}
        self._foreground = cache(lambda case_id: by_id[case_id].foreground())

    def at(self, step: int, *, rank: int = 0, world_size: int = 1) -> Patches:
        """Return the patches of process ``rank`` of ``world_size`` at ``step``."""
        images, labels, insides, masks, backgrounds, ids = [], [], [], [], [], []
        for slot in range(self.count):
            position = (step * world_size + rank) * self.count + slot
            case = self.case_at(position)
            rng = generator_for(self.seed, self.name, "patch", position)
            image = case.image()
            start = self._start(case, image.shape[1:], rng)
            background = np.asarray(case.background, np.float32)
            images.append(self._flat(cut(image, start, self.box, background)))
            backgrounds.append(background)
            ids.append(case.id)
            if self.whole_scans:
                everywhere = np.ones((1, *image.shape[1:]), np.uint8)
                insides.append(cut(everywhere, start, self.box, np.zeros(1, np.uint8)))
            if self.with_labels:
                labels.append(self._flat(cut(case.label()[None], start, self.box, np.zeros(1, np.uint8)))[0])
            if self.soft_masks is not None:
                masks.append(self._flat(self.soft_masks(case.id, start, self.box)))
        return Patches(
            np.stack(images),
            np.stack(labels) if labels else None,
            np.stack(backgrounds),
            tuple(ids),
            np.stack(insides) if insides else None,
            np.stack(masks) if masks else None,
        )

    def case_at(self, position: int) -> PatchSource:
        """Return the case at ``position`` of the endless shuffled sequence."""
        epoch, index = divmod(position, self.epoch_length)
        return self.cases[self._order(epoch)[index]]

    def _epoch_order(self, epoch: int) -> list[int]:
        return [int(i) for i in generator_for(self.seed, self.name, "order", epoch).permutation(len(self.cases))]

    def _start(self, case: PatchSource, size: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
        if self.whole_scans:
            return centred_start(size, self.box)
        if self.with_labels and rng.random() < self.foreground_fraction:
            foreground = self._foreground(case.id)
            if foreground:
                voxels = foreground[sorted(foreground)[rng.integers(len(foreground))]]
                return start_around(tuple(voxels[rng.integers(len(voxels))]), size, self.box)
        return random_start(size, self.box, rng)

    def _flat(self, patch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Drop the slice axis of a slice-wise patch."""
        return patch if self.slice_axis is None else patch.squeeze(self.slice_axis + 1)
