"""From patch streams to batches on the training device: read ahead in a thread, then augmented where training runs."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from fewscan.augment.pipeline import augment
from fewscan.augment.settings import Augmentation
from fewscan.data.batch import Batch
from fewscan.data.sampling import Patches, PatchStream
from fewscan.seeding import seed_for

T = TypeVar("T")


class Streams(NamedTuple):
    """The labelled stream, and the unlabelled one where the method wants it."""

    labelled: PatchStream
    unlabelled: PatchStream | None

    def at(self, step: int, rank: int, world_size: int) -> tuple[Patches, Patches | None]:
        """Return both shares of the batch at ``step``."""
        labelled = self.labelled.at(step, rank=rank, world_size=world_size)
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

    def make(self, step: int, labelled: Patches, unlabelled: Patches | None) -> Batch:
        """Return the batch of ``step``."""
        images, labels = self._augmented(labelled, step, "labelled")
        if labels is None:
            msg = "the labelled stream must carry labels"
            raise ValueError(msg)
        if unlabelled is None:
            return Batch(images, labels, images[:0], labelled.cases, ())
        more, _ = self._augmented(unlabelled, step, "unlabelled")
        return Batch(images, labels, more, labelled.cases, unlabelled.cases)

    def _augmented(self, patches: Patches, step: int, stream: str) -> tuple[Tensor, Tensor | None]:
        images = torch.from_numpy(patches.images).to(self.device)
        labels = None if patches.labels is None else torch.from_numpy(patches.labels).to(self.device).long()
        background = torch.from_numpy(patches.background).to(self.device)
        generator = torch.Generator().manual_seed(seed_for(self.seed, "augment", stream, self.rank, step))
        images, labels = augment(
            images,
            labels,
            settings=self.augmentation,
            generator=generator,
            background=background,
            spacing_mm=self.spacing_mm,
        )
        return images.contiguous(memory_format=self.memory_format), labels
