"""From patch streams to batches on the training device: read ahead in a thread, then augmented where training runs."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from fewscan.augment.pipeline import augment_whole
from fewscan.augment.settings import Augmentation
from fewscan.data.batch import Batch
from fewscan.data.sampling import Patches, PatchStream
from fewscan.seeding import seed_for

T = TypeVar("T")
Share = tuple[Tensor, Tensor | None, Tensor | None]
"""Images, labels or soft masks and, of whole scans, where they have data."""


class Streams(NamedTuple):
    """The labelled stream and the unlabelled one; None where there is none or the method does not want it."""

    labelled: PatchStream | None
    unlabelled: PatchStream | None

    def at(self, step: int, rank: int, world_size: int) -> tuple[Patches | None, Patches | None]:
        """Return both shares of the batch at ``step``."""
        labelled = self.labelled.at(step, rank=rank, world_size=world_size) if self.labelled else None
        unlabelled = self.unlabelled.at(step, rank=rank, world_size=world_size) if self.unlabelled else None
        return labelled, unlabelled


def read_ahead(read: Callable[[int], T], start: int, stop: int) -> Iterator[tuple[int, T]]:
    """Yield ``(step, read(step))`` for each step, with the next one being read in a thread meanwhile."""
    if start >= stop:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        coming: Future[T] = pool.submit(read, start)
        for step in range(start, stop):
            ready = coming.result()
            if step + 1 < stop:
                coming = pool.submit(read, step + 1)
            yield step, ready


class BatchMaker:
    """Turns patches into an augmented `Batch` on the device.

    Parameters
    ----------
    augmentation : Augmentation
        Settings of both streams.
    device : torch.device
    memory_format : torch.memory_format
        Layout of the images, matched to the network's.
    spacing_mm : sequence of float, optional
        Of the patches, so that rotations turn the anatomy without shearing it.
    seed, rank : int
        Key of the augmentation's random draws, together with the step.
    """

    def __init__(
        self,
        augmentation: Augmentation,
        *,
        device: torch.device,
        memory_format: Any,
        seed: int,
        rank: int,
        spacing_mm: Sequence[float] | None = None,
    ) -> None:
        self.augmentation, self.device, self.memory_format = augmentation, device, memory_format
        self.seed, self.rank, self.spacing_mm = seed, rank, spacing_mm

    def make(self, step: int, labelled: Patches | None, unlabelled: Patches | None) -> Batch:
        """Return the batch of ``step``; a share that is None has no entries."""
        first = None if labelled is None else self._augmented(labelled, step, "labelled")
        second = None if unlabelled is None else self._augmented(unlabelled, step, "unlabelled")
        some = first or second
        if some is None:
            msg = "a batch needs labelled patches, unlabelled ones, or both"
            raise ValueError(msg)
        images, labels, inside = first or _none_of(some)
        if labels is None:
            msg = "the labelled stream must carry labels"
            raise ValueError(msg)
        more, masks, more_inside = second or _none_of(some)
        masks = masks if unlabelled is not None and unlabelled.masks is not None else None
        cases, more_cases = (() if patches is None else patches.cases for patches in (labelled, unlabelled))
        return Batch(images, labels, more, cases, more_cases, inside, more_inside, masks)

    def _augmented(self, patches: Patches, step: int, stream: str) -> Share:
        images = torch.from_numpy(patches.images).to(self.device)
        labels = None if patches.labels is None else torch.from_numpy(patches.labels).to(self.device).long()
        if patches.masks is not None:  # soft labels to the augmentation
            labels = torch.from_numpy(patches.masks).to(self.device)
        inside = None if patches.inside is None else torch.from_numpy(patches.inside).to(self.device).float()
        background = torch.from_numpy(patches.background).to(self.device)
        generator = torch.Generator().manual_seed(seed_for(self.seed, "augment", stream, self.rank, step))
        images, labels, inside = augment_whole(
            images,
            labels,
            inside,
            settings=self.augmentation,
            generator=generator,
            background=background,
            spacing_mm=self.spacing_mm,
        )
        return images.contiguous(memory_format=self.memory_format), labels, inside


def _none_of(share: Share) -> Share:
    """Return no entries, of the shapes that those of ``share`` have."""
    images, _, inside = share
    labels = torch.zeros((0, *images.shape[2:]), dtype=torch.long, device=images.device)
    return images[:0], labels, None if inside is None else inside[:0]
