"""What the images of a data set look like: sizes, spacings, non-zero share, intensities.

Only images are opened. Labels are opened for one purpose, to learn which values occur when the data set declares none,
and then only those that the caller names, so that the labels of unlabelled and test cases stay unread.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fewscan.data.case import Case, Dataset
from fewscan.data.geometry import Geometry
from fewscan.data.orientation import orientation_of, turn_to
from fewscan.data.workers import ShowProgress, map_cases
from fewscan.errors import DataError, UsageError
from fewscan.settings import Settings

# Pixels of this many cases are looked at, spread evenly over the list; headers of all.
PIXEL_CASES = 64
PERCENTILES = (0.5, 50.0, 99.5)


class Fingerprint(Settings):
    """Facts about the training images.

    Attributes
    ----------
    case_count : int
        Cases whose headers were read.
    dimensions : int
        2 or 3.
    orientation : str or None
        The commonest of the scans, of several as common ones that which comes first; whatever counts axes here counts
        those of scans that were brought to it. None in 2-D. See `fewscan.data.orientation`.
    sizes : tuple of tuple of int
        Voxels along each axis, per case.
    spacings_mm : tuple of tuple of float
        Voxel spacing, per case.
    crop_share : tuple of float
        Median share of each axis that the box of non-zero voxels takes.
    nonzero_share : float
        Median share of voxels that are non-zero in any channel.
    intensities : tuple of tuple of float
        Per channel, medians over the cases of the 0.5th, 50th and 99.5th percentile.
    label_values : tuple of int
        Values in the label files that were opened; empty where the data set declares its labels.
    """

    case_count: int
    dimensions: int
    orientation: str | None = None
    sizes: tuple[tuple[int, ...], ...]
    spacings_mm: tuple[tuple[float, ...], ...]
    crop_share: tuple[float, ...]
    nonzero_share: float
    intensities: tuple[tuple[float, ...], ...]
    label_values: tuple[int, ...] = ()

    @property
    def median_size(self) -> tuple[int, ...]:
        """Median voxels along each axis, before cropping."""
        return tuple(round(float(v)) for v in np.median(np.asarray(self.sizes), axis=0))

    @property
    def median_spacing_mm(self) -> tuple[float, ...]:
        """Median spacing along each axis, rounded to a micrometre."""
        return tuple(round(float(v), 3) or float(v) for v in np.median(np.asarray(self.spacings_mm), axis=0))


def take_fingerprint(
    dataset: Dataset,
    case_ids: Collection[str],
    *,
    label_ids: Collection[str] = (),
    workers: int = 1,
    progress: ShowProgress | None = None,
) -> Fingerprint:
    """Look at the images of the given cases.

    Parameters
    ----------
    dataset : Dataset
        Where the files are.
    case_ids : collection of str
        The training cases; no other image is opened.
    label_ids : collection of str, optional
        Cases whose labels may be opened; needed only where ``dataset.labels`` is empty.
    workers : int
        Processes.
    progress : ShowProgress, optional
        Counts the cases looked at.

    Raises
    ------
    UsageError
        For an empty list of cases.
    DataError
        For unreadable files (all of them in one error), or 2-D images mixed with 3-D ones.
    """
    cases = [dataset[case_id] for case_id in sorted(case_ids)]
    if not cases:
        raise UsageError(
            "no training case to take a fingerprint of", mend="give at least one case that is not a test case"
        )
    picked = {cases[int(i)].id for i in np.linspace(0, len(cases) - 1, min(PIXEL_CASES, len(cases)))}
    wanted = set(label_ids) if not dataset.labels else set()
    tasks = {case.id: _Look(case, case.id in picked, case.id in wanted) for case in cases}
    looks = list(
        map_cases(look_at_case, tasks, workers=workers, description="look", progress=progress, keeps=False).values()
    )
    dimensions = sorted({look.geometry.dimensions for look in looks})
    if len(dimensions) > 1:
        flat = next(case.id for case, look in zip(cases, looks, strict=True) if look.geometry.dimensions == 2)
        msg = f"data set {dataset.name!r} mixes 2-D and 3-D images (case {flat} is 2-D)"
        raise DataError(msg, mend="split it into two data sets")
    orientation = Counter(orientation_of(look.geometry) for look in looks).most_common(1)[0][0]
    looks = [look.turned(orientation) for look in looks]
    seen = [look for look in looks if look.crop_share]
    return Fingerprint(
        case_count=len(cases),
        dimensions=dimensions[0],
        orientation=orientation,
        sizes=tuple(look.geometry.size for look in looks),
        spacings_mm=tuple(look.geometry.spacing_mm for look in looks),
        crop_share=_medians([look.crop_share for look in seen]),
        nonzero_share=float(np.median([look.nonzero_share for look in seen])),
        intensities=tuple(_medians(rows) for rows in zip(*(look.intensities for look in seen), strict=True)),
        label_values=tuple(sorted({value for look in looks for value in look.label_values})),
    )


@dataclass(frozen=True)
class _Look:
    """A case, and what of it to open beside the headers."""

    case: Case
    pixels: bool
    label: bool


@dataclass(frozen=True)
class CaseLook:
    """What was found in one case."""

    geometry: Geometry
    crop_share: tuple[float, ...] = ()
    nonzero_share: float = 0.0
    intensities: tuple[tuple[float, ...], ...] = ()
    label_values: tuple[int, ...] = ()

    def turned(self, orientation: str | None) -> "CaseLook":
        """Return the same for the scan brought to an orientation."""
        turn = turn_to(self.geometry, orientation)
        share = turn.along(self.crop_share) if self.crop_share else ()
        return replace(self, geometry=turn.geometry(self.geometry), crop_share=share)


def look_at_case(look: _Look) -> CaseLook:
    """Read the header, and where asked for the pixels and the label, of one case."""
    from fewscan.data.image_io import channel_volumes, read_geometry
    from fewscan.data.prepare import nonzero_box, read_channels

    case = look.case
    values = _label_values(case.label) if look.label and case.label is not None else ()
    if not look.pixels:
        geometry = read_geometry(case.images[0], volume=channel_volumes(case.images)[0])
        return CaseLook(geometry, label_values=values)
    channels, geometry = read_channels(case.images, case_id=case.id)
    _, box = nonzero_box(channels)
    any_channel = np.logical_or.reduce([channel != 0 for channel in channels])
    return CaseLook(
        geometry,
        crop_share=tuple(part / whole for part, whole in zip(box, geometry.size, strict=True)),
        nonzero_share=float(any_channel.mean()),
        intensities=tuple(tuple(float(v) for v in np.percentile(channel, PERCENTILES)) for channel in channels),
        label_values=values,
    )


def _label_values(path: Path) -> tuple[int, ...]:
    from fewscan.data.image_io import read_image
    from fewscan.data.label_map import count_values, integer_labels

    return tuple(count_values(integer_labels(read_image(path).array, path=path), path=path))


def _medians(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(float(v) for v in np.median(np.asarray(rows), axis=0))
