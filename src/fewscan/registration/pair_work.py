"""The pairs of one call, one after the other: scans read ahead, registered, and results written behind.

While one pair is registered, the next scans are read and the last results are written (see
`fewscan.inference.pipeline`). Scans that were read are kept in memory for the next pairs, up to `CACHE_BYTES`.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fewscan.data.case import Case
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.plan import Plan
from fewscan.inference.outputs import Outcome
from fewscan.inference.pipeline import work_through
from fewscan.registration.one_pair import LoadedScan, RegisteredPair, load_scan, register_pair
from fewscan.registration.pairs import ScanPair
from fewscan.registration.quality import PairReport
from fewscan.registration.record import pair_record
from fewscan.registration.registrar import Registrar
from fewscan.registration.transform_file import write_displacement

CACHE_BYTES = 2**29


class _LoadedPair(NamedTuple):
    """Both scans of a pair, and how long it took to read them."""

    moving: LoadedScan
    fixed: LoadedScan
    seconds: float


class _FinishedPair(NamedTuple):
    """A registered pair on its way to the disk, and how long it took to read it."""

    registered: RegisteredPair
    grid: Geometry
    read_seconds: float


@dataclass
class PairWork:
    """The pairs of one call.

    Attributes
    ----------
    out : Path
        Folder of the results.
    registrar : Registrar
        How they are registered.
    labels : mapping of "moving" and "fixed" to mapping of str to Path
        Label files by scan.
    max_folds : float
        See `register_pair`.
    outcome : Outcome
        Takes what is done and what has failed.
    reports : dict of str to PairReport
        Measurements by pair.
    """

    out: Path
    registrar: Registrar
    labels: Mapping[str, Mapping[str, Path]]
    max_folds: float
    outcome: Outcome
    reports: dict[str, PairReport] = field(default_factory=dict)

    def run(self, pairs: Sequence[ScanPair]) -> None:
        """Do all pairs; what became of each is in ``outcome`` and ``reports``."""
        shelf = Shelf(self.registrar.plan)
        work_through(pairs, self.outcome, read=partial(self._load, shelf), work=self._register, write=self._write)

    def _load(self, shelf: "Shelf", pair: ScanPair) -> _LoadedPair:
        started = time.perf_counter()
        moving = shelf.load(pair.moving, self.labels["moving"].get(pair.moving.id))
        fixed = shelf.load(pair.fixed, self.labels["fixed"].get(pair.fixed.id))
        return _LoadedPair(moving, fixed, time.perf_counter() - started)

    def _register(self, pair: ScanPair, loaded: _LoadedPair) -> _FinishedPair:
        registered = register_pair(self.registrar, loaded.moving, loaded.fixed, max_folds=self.max_folds)
        return _FinishedPair(registered, loaded.fixed.prepared.meta.original, loaded.seconds)

    def _write(self, pair: ScanPair, finished: _FinishedPair) -> dict[str, Any]:
        """Write the files of a pair; return its part of the record."""
        registered, grid, read_seconds = finished
        started = time.perf_counter()
        files = []
        for stem, values in zip(pair.image_stems, registered.channels, strict=True):
            files.append(self.out / f"{stem}.nii.gz")
            write_image(files[-1], values, grid)
        if registered.labels is not None:
            files.append(self.out / f"{pair.labels_stem}.nii.gz")
            write_image(files[-1], registered.labels, grid)
        files.append(self.out / f"{pair.field_stem}.nii.gz")
        write_displacement(files[-1], registered.displacement_mm, grid)
        self.reports[pair.id] = registered.report
        seconds = {"read": read_seconds, **registered.seconds, "write": time.perf_counter() - started}
        return pair_record(pair, registered.report, files=files, seconds=seconds)


class Shelf:
    """Scans that were read, kept for the next pairs as far as memory is meant for it; used by one thread.

    Parameters
    ----------
    plan : Plan
        How scans are prepared.
    limit_bytes : int
        Memory; the scan that was not used for the longest time is given up first.
    """

    def __init__(self, plan: Plan, limit_bytes: int = CACHE_BYTES) -> None:
        self.plan, self.limit_bytes = plan, limit_bytes
        self._held: OrderedDict[tuple[tuple[Path, ...], Path | None], LoadedScan] = OrderedDict()

    def load(self, case: Case, labels: Path | None) -> LoadedScan:
        """Return a scan with its labels, read if need be; raises what reading raises."""
        key = (case.images, labels)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        scan = load_scan(case, self.plan, labels=labels)
        self._held[key] = scan
        while len(self._held) > 1 and sum(item.bytes for item in self._held.values()) > self.limit_bytes:
            self._held.popitem(last=False)
        return scan
