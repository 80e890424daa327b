"""Register one pair of scans in memory: match, warp, measure."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.case import Case
from fewscan.data.grids import require_same_grid
from fewscan.data.image_io import read_image
from fewscan.data.intensity import require_content
from fewscan.data.label_map import count_values, integer_labels
from fewscan.data.plan import Plan
from fewscan.data.prepare import PreparedScan, prepare_channels, read_channels
from fewscan.errors import DataError
from fewscan.inference.restore import label_type
from fewscan.registration.physical import affine_displacement_mm, physical_displacement
from fewscan.registration.quality import PairReport, flags, gncc, label_scores, regularity
from fewscan.registration.registrar import Registrar
from fewscan.registration.warping import Warp

Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class LoadedScan:
    """A scan as it was stored, as registration sees it, and its labels.

    Attributes
    ----------
    channels : tuple of (*size) float32 array
        As read.
    prepared : PreparedScan
        Cropped and normalised, with the grids.
    labels : (*size) integer array or None
        Label values as read.
    """

    channels: tuple[npt.NDArray[np.float32], ...]
    prepared: PreparedScan
    labels: Labels | None = None

    @property
    def bytes(self) -> int:
        """Memory it takes."""
        arrays = (*self.channels, self.prepared.image, *([] if self.labels is None else [self.labels]))
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True)
class RegisteredPair:
    """The result of one pair, on the fixed scan's own grid.

    Attributes
    ----------
    channels : tuple of (*fixed.size) float32 array
        The moving scan, warped.
    labels : (*fixed.size) integer array or None
        Its labels, warped.
    displacement_mm : (dimensions, *fixed.size) float32 array
        Moving point = fixed point + displacement, along world axes (LPS).
    report : PairReport
        How good it is.
    seconds : dict of str to float
        Time by part: register, warp, measure.
    """

    channels: tuple[npt.NDArray[np.float32], ...]
    labels: Labels | None
    displacement_mm: npt.NDArray[np.float32]
    report: PairReport
    seconds: dict[str, float]


@dataclass
class Stopwatch:
    """Seconds by part of the work."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to ``name``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def load_scan(case: Case, plan: Plan, *, labels: Path | None = None) -> LoadedScan:
    """Read and prepare a scan, and read its labels.

    Raises
    ------
    DataError
        As `prepare_image`; for a scan that is empty; and for labels on another grid, or that are no whole numbers.
    """
    channels, geometry = read_channels(case.images, case_id=case.id)
    prepared = prepare_channels(channels, geometry, plan, paths=case.images, case_id=case.id)
    require_content(prepared.image, case_id=case.id)
    if labels is None:
        return LoadedScan(tuple(channels), prepared)
    image = read_image(labels)
    require_same_grid(
        image.geometry,
        geometry,
        what=f"case {case.id}: label {labels}",
    )
    values = integer_labels(image.array, path=labels)
    kind = label_type([*count_values(values, path=labels)])
    return LoadedScan(tuple(channels), prepared, values.astype(kind, copy=False))


def register_pair(
    registrar: Registrar, moving: LoadedScan, fixed: LoadedScan, *, max_folds: float = 0.005
) -> RegisteredPair:
    """Register, warp and measure one pair.

    Parameters
    ----------
    registrar : Registrar
        Learned or classical.
    moving, fixed : LoadedScan
        Prepared with the registrar's plan.
    max_folds : float
        Share of folded voxels above which the pair is flagged.

    Raises
    ------
    DataError
        If the registration fails.
    """
    watch = Stopwatch()
    target, source = fixed.prepared.meta, moving.prepared.meta.original
    with watch.part("register"):
        match = registrar.match(moving.prepared, fixed.prepared)
    with watch.part("warp"):
        displacement_mm = physical_displacement(match, target)
        if not np.isfinite(displacement_mm).all():
            raise DataError(
                "the displacement is not finite", mend="look at both scans, or try another method of registration"
            )
        warp = Warp(displacement_mm, fixed=target.original, moving=source)
        channels = tuple(warp.image(values) for values in moving.channels)
        labels = None if moving.labels is None else warp.labels(moving.labels)
    with watch.part("measure"):
        start_mm = affine_displacement_mm(match.start, target.original)
        start = Warp(start_mm, fixed=target.original, moving=source)
        inside = warp.inside()
        similarity = {
            "before": gncc([start.image(values) for values in moving.channels], fixed.channels, start.inside()),
            "after": gncc(channels, fixed.channels, inside),
        }
        regular = regularity(displacement_mm, target.original, start_mm=start_mm, box=target.crop_slices)
        scores = []
        if labels is not None and moving.labels is not None and fixed.labels is not None:
            spacing_mm = target.original.spacing_mm
            scores = label_scores(start.labels(moving.labels), labels, fixed.labels, spacing_mm=spacing_mm)
        share = float(inside.mean())
        report = PairReport(
            similarity_before=similarity["before"],
            similarity_after=similarity["after"],
            inside=share,
            regularity=regular,
            labels=tuple(scores),
            flags=tuple(flags(regular, similarity, inside=share, max_folds=max_folds)),
        )
    return RegisteredPair(channels, labels, displacement_mm, report, watch.seconds)
