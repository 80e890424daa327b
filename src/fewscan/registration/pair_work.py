"""The pairs of one call, one after the other: scans read ahead, registered, and results written behind.

While one pair is registered, the next scans are read and the last results are written, each in a thread of its own. A
pair that cannot be registered stops none of the others. Scans that were read are kept in memory for the next pairs, up
to `CACHE_BYTES`.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from fewscan.data.case import Case
from fewscan.data.image_io import write_image
from fewscan.data.plan import Plan
from fewscan.inference.outputs import Outcome
from fewscan.registration.one_pair import LoadedScan, RegisteredPair, load_scan, register_pair
from fewscan.registration.pairs import ScanPair
from fewscan.registration.quality import PairReport
from fewscan.registration.record import pair_record
from fewscan.registration.registrar import Registrar
from fewscan.registration.transform_file import write_displacement

CACHE_BYTES = 2**29


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
        waiting: tuple[ScanPair, RegisteredPair, float, Future[tuple[list[Path], float]]] | None = None
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            try:
                for pair, loaded in self._loaded_ahead(pairs, reader):
                    try:
                        moving, fixed, read_seconds = loaded.result()
                        done = register_pair(self.registrar, moving, fixed, max_folds=self.max_folds)
                    except Exception as error:  # whatever it is, the others go on
                        self.outcome.failed(pair.id, error)
                        continue
                    if waiting is not None:  # at most one finished pair waits in memory
                        previous, waiting = waiting, None
                        self._finish(*previous)
                    waiting = (pair, done, read_seconds, writer.submit(_write, self.out, pair, done, fixed))
            finally:  # also when it is stopped: the files of this pair are written, so they belong on record
                if waiting is not None:
                    self._finish(*waiting)

    def _finish(
        self, pair: ScanPair, done: RegisteredPair, read_seconds: float, written: Future[tuple[list[Path], float]]
    ) -> None:
        try:
            files, write_seconds = written.result()
        except Exception as error:
            self.outcome.failed(pair.id, error)
            return
        self.reports[pair.id] = done.report
        seconds = {"read": read_seconds, **done.seconds, "write": write_seconds}
        self.outcome.succeeded(pair_record(pair, done.report, files=files, seconds=seconds))

    def _loaded_ahead(
        self, pairs: Sequence[ScanPair], reader: ThreadPoolExecutor
    ) -> Iterator[tuple[ScanPair, Future[tuple[LoadedScan, LoadedScan, float]]]]:
        """Give each pair with its scans, while the reader already reads those of the next one."""
        shelf = Shelf(self.registrar.plan)

        def load(pair: ScanPair) -> tuple[LoadedScan, LoadedScan, float]:
            started = time.perf_counter()
            moving = shelf.load(pair.moving, self.labels["moving"].get(pair.moving.id))
            fixed = shelf.load(pair.fixed, self.labels["fixed"].get(pair.fixed.id))
            return moving, fixed, time.perf_counter() - started

        ahead: tuple[ScanPair, Future[tuple[LoadedScan, LoadedScan, float]]] | None = None
        for pair in pairs:
            current = (pair, reader.submit(load, pair))
            if ahead is not None:
                yield ahead
            ahead = current
        if ahead is not None:
            yield ahead


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


def _write(out: Path, pair: ScanPair, done: RegisteredPair, fixed: LoadedScan) -> tuple[list[Path], float]:
    """Write the files of a pair; return them and the seconds that it took."""
    started = time.perf_counter()
    geometry = fixed.prepared.meta.original
    files = []
    for stem, values in zip(pair.image_stems, done.channels, strict=True):
        files.append(out / f"{stem}.nii.gz")
        write_image(files[-1], values, geometry)
    if done.labels is not None:
        files.append(out / f"{pair.labels_stem}.nii.gz")
        write_image(files[-1], done.labels, geometry)
    files.append(out / f"{pair.field_stem}.nii.gz")
    write_displacement(files[-1], done.displacement_mm, geometry)
    return files, time.perf_counter() - started
