"""Soft pseudo-masks of all unlabelled scans: one round of paper 1, section 2.2.

Every scan is given the average of both halves (`fewscan.recipes.combined`), with annotated scans drawn anew for each
scan and round. A mask that has collapsed since the round before is replaced by that round's.
"""

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fewscan.data.boxes import centred_part, cut_centred
from fewscan.data.prepared import PreparedCase
from fewscan.errors import InterruptedRunError
from fewscan.progress import progress
from fewscan.recipes.combined import Combined
from fewscan.recipes.mask_quality import MaskRecord, collapse, describe_mask
from fewscan.recipes.mask_store import MaskStore, has_shard, shard_path, write_shard
from fewscan.registration.atlases import Placed
from fewscan.seeding import generator_for
from fewscan.training.interrupt import StopRequest

# Scans that share a file. Also what is lost when a round is stopped.
SHARD_VOXELS = 2**18


@dataclass(frozen=True, kw_only=True)
class MaskMaker:
    """Both networks and everything that decides the masks of a round.

    Attributes
    ----------
    network : Combined
        On the device, in evaluation mode.
    placed : Placed
        Its annotated scans on their own grid, made once.
    device : torch.device
    dtype : torch.dtype
        What the networks compute in.
    seed, round_number : int
        Key of the draw of annotated scans, together with the scan.
    previous : MaskStore or None
        Of the round before.
    guard : float or None
        See `collapse`; None keeps every mask.
    """

    network: Combined
    placed: Placed
    device: torch.device
    dtype: torch.dtype
    seed: int
    round_number: int
    previous: MaskStore | None = None
    guard: float | None = None

    def shards(self, cases: Iterable[PreparedCase]) -> list[list[PreparedCase]]:
        """Return which scans are worked on and stored together."""
        ordered = sorted(cases, key=lambda case: case.id)
        step = max(1, SHARD_VOXELS // math.prod(self.placed.images.shape[2:]))
        return [ordered[start : start + step] for start in range(0, len(ordered), step)]

    def make(
        self, folder: Path, cases: Iterable[PreparedCase], *, rank: int = 0, ranks: int = 1, quiet: bool = False
    ) -> None:
        """Write the shards that are missing; of several processes, each writes its own.

        Raises
        ------
        InterruptedRunError
            After SIGINT or SIGTERM, when the shard at work is written.
        """
        shards = self.shards(cases)
        mine = list(enumerate(shards))[rank::ranks]
        title = f"round {self.round_number} masks"
        with StopRequest() as stop, progress(title, sum(len(s) for _, s in mine), quiet=quiet) as shown:
            for number, shard in mine:
                path = shard_path(folder, number)
                if not has_shard(path, [case.id for case in shard], round_number=self.round_number):
                    started = time.perf_counter()
                    masks, records = self.masks(shard)
                    seconds = time.perf_counter() - started
                    write_shard(path, masks, records, round_number=self.round_number, seconds=seconds)
                shown.advance(len(shard))
                if stop.requested:
                    raise InterruptedRunError(
                        f"{folder}: stopped while pseudo-masks were made; those finished are saved",
                        mend="Continue with the same command and --resume.",
                    )

    def masks(self, cases: Sequence[PreparedCase]) -> tuple[dict[str, Tensor], dict[str, MaskRecord]]:
        """Return masks (classes, *size) on the scans' own grids, and what is known about them."""
        masks, records = {}, {}
        for case, segmented, registered in zip(cases, *self.halves(cases), strict=True):
            mask = self.network.together(segmented, registered)
            record = describe_mask(mask, segmented, registered)
            if self.previous is not None and self.guard is not None:
                before = self.previous.records[case.id]
                if why := collapse(record, before, factor=self.guard):
                    mask = torch.from_numpy(self.previous.mask(case.id))
                    origin = before.kept_from if before.kept_from is not None else self.previous.round_number
                    record = before.model_copy(update={"kept_from": origin, "why_kept": why})
            masks[case.id], records[case.id] = mask, record
        return masks, records

    def halves(self, cases: Sequence[PreparedCase]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the segmentation half and the registration half of each scan, (classes, *size), on the CPU."""
        grid = tuple(self.placed.images.shape[2:])
        images = np.stack([cut_centred(case.image(), grid, np.asarray(case.background, np.float32)) for case in cases])
        extents = [np.ones((1, *case.meta.prepared.size), np.float32) for case in cases]
        inside = np.stack([cut_centred(extent, grid, np.zeros(1, np.float32)) for extent in extents])
        chosen = torch.stack([self.sources(case.id) for case in cases]).to(self.device)
        cast = torch.autocast(self.device.type, dtype=self.dtype) if self.dtype != torch.float32 else nullcontext()
        with torch.no_grad(), cast:
            shown, there = (torch.from_numpy(arrays).to(self.device) for arrays in (images, inside))
            both = self.network.halves(shown, there, self.placed, chosen)
        return tuple([_own_part(p, case) for p, case in zip(half.cpu(), cases, strict=True)] for half in both)  # type: ignore[return-value]

    def sources(self, case_id: str) -> Tensor:
        """Return which annotated scans are laid onto a scan: a draw without replacement."""
        there = len(self.placed.images)
        drawn = generator_for(self.seed, "sources", self.round_number, case_id).permutation(there)
        return torch.from_numpy(np.sort(drawn[: self.network.options.sources]))


def _own_part(probabilities: Tensor, case: PreparedCase) -> Tensor:
    """Cut what lies on the common grid back to the scan."""
    return probabilities[(slice(None), *centred_part(case.meta.prepared.size, probabilities.shape[1:]))]
