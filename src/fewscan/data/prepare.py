"""From the files of one case to normalised arrays: paper 2's preparation, on one scan at a time.

Order: read all channels (one grid) -> crop to the bounding box of the voxels that are non-zero in any channel -> turn
the axes to the plan's orientation -> clip at percentiles -> normalise -> resample, where the plan asks for it. The box
is whole: its last slice belongs to it (the public code behind paper 2's data excludes the upper index and loses one
slice per axis).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.grid_advice import grid_advice
from fewscan.data.grids import require_same_grid, target_grid
from fewscan.data.intensity import normalise_channel
from fewscan.data.label_map import to_class_indices
from fewscan.data.orientation import turn_to
from fewscan.data.plan import Plan
from fewscan.data.resample import resample_labels, resample_linear
from fewscan.data.scan_meta import ScanMeta
from fewscan.errors import DataError


@dataclass(frozen=True)
class PreparedScan:
    """A scan as networks see it.

    Attributes
    ----------
    image : (channels, *meta.prepared.size) float32 array
        Normalised intensities, C-contiguous.
    meta : ScanMeta
        The way back to the scan's own grid.
    """

    image: npt.NDArray[np.float32]
    meta: ScanMeta


def prepare_image(paths: Sequence[Path], plan: Plan, *, case_id: str) -> PreparedScan:
    """Read and prepare the channels of one case.

    Parameters
    ----------
    paths : sequence of Path
        One file or DICOM folder per channel, in the order of ``plan.channels``.
    plan : Plan
        Its ``preparation`` decides what is done.
    case_id : str
        For messages and the meta data.

    Raises
    ------
    DataError
        For a missing channel, channels on different grids, voxels that are not numbers, or a wrong number of axes.
    """
    channels, original = read_channels(paths, case_id=case_id)
    return prepare_channels(channels, original, plan, paths=paths, case_id=case_id)


def prepare_channels(
    channels: Sequence[npt.NDArray[np.float32]],
    original: Geometry,
    plan: Plan,
    *,
    paths: Sequence[Path],
    case_id: str,
) -> PreparedScan:
    """Prepare the channels of one case that were read before (`read_channels`); as `prepare_image`."""
    if len(channels) != len(plan.channels):
        msg = f"case {case_id}: {len(channels)} image files, the plan has {len(plan.channels)} channels {plan.channels}"
        raise DataError(msg, mend="give one file per channel")
    if original.dimensions != plan.image_dimensions:
        msg = f"case {case_id}: {paths[0]} is {original.dimensions}-D, the plan is for {plan.image_dimensions}-D images"
        raise DataError(
            msg, mend=f"leave it out here; {original.dimensions}-D images need a plan, and a model, of their own"
        )
    preparation = plan.preparation
    start, size = (
        nonzero_box(channels) if preparation.crop == "nonzero" else ((0,) * original.dimensions, original.size)
    )
    cropped = original.cropped(start, size)
    turn = turn_to(original, plan.orientation)
    turned = turn.geometry(cropped)
    prepared = target_grid(turned, preparation.spacing_mm)
    box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    image = np.empty((len(channels), *prepared.size), dtype=np.float32)
    background = []
    for index, values in enumerate(channels):
        normalised, empty = normalise_channel(turn.array(values[box]), preparation)
        image[index] = resample_linear(normalised, turned, prepared)
        background.append(empty)
    meta = ScanMeta(
        case_id=case_id,
        original=original,
        crop_start=start,
        cropped=cropped,
        prepared=prepared,
        background=tuple(background),
        sources=tuple(str(path) for path in paths),
    )
    return PreparedScan(image, meta)


def prepare_label(path: Path, plan: Plan, meta: ScanMeta) -> npt.NDArray[np.uint8]:
    """Read a label map and bring it onto the prepared grid of its scan.

    Parameters
    ----------
    path : Path
        The label file, on the grid of the images.
    plan : Plan
        Its classes own the values of the file.
    meta : ScanMeta
        Of the prepared images.

    Returns
    -------
    (*meta.prepared.size) uint8 array
        Class indices. Labelled voxels outside the crop box are left out: the image is zero there in all channels.

    Raises
    ------
    DataError
        For another grid than the images', values between integers, or values that no class owns.
    """
    from fewscan.data.image_io import read_image

    label = read_image(path)
    require_same_grid(
        label.geometry,
        meta.original,
        what=f"case {meta.case_id}: label {path}",
    )
    indices = to_class_indices(label.array, plan.classes, path=path)
    turn = meta.turn
    return resample_labels(turn.array(indices[meta.crop_slices]), turn.geometry(meta.cropped), meta.prepared)


def read_channels(paths: Sequence[Path], *, case_id: str) -> tuple[list[npt.NDArray[np.float32]], Geometry]:
    """Read the image files of one case; they must share one grid and hold finite values."""
    from fewscan.data.image_io import read_channel_images

    channels: list[npt.NDArray[np.float32]] = []
    geometry: Geometry | None = None
    for path, image in zip(paths, read_channel_images(paths), strict=True):
        geometry = geometry or image.geometry
        advice = grid_advice(geometry, image.geometry, what="channel")
        require_same_grid(
            image.geometry,
            geometry,
            what=f"case {case_id}: channel {path}",
            mend=f"all channels must share the grid of {paths[0]}: {advice}",
        )
        channels.append(image.array.astype(np.float32, copy=False))
    if geometry is None:
        raise DataError(f"case {case_id}: has no image file", mend="remove it from the data set")
    return channels, geometry


def nonzero_box(channels: Sequence[npt.NDArray[Any]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return first voxel and size of the smallest box that holds every voxel which is non-zero in any channel.

    Arrays that are zero everywhere give the whole array.
    """
    mask = channels[0] != 0
    for values in channels[1:]:
        mask |= values != 0
    start, size = [], []
    for axis in range(mask.ndim):
        others = tuple(k for k in range(mask.ndim) if k != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        if hits.size == 0:
            return (0,) * mask.ndim, mask.shape
        start.append(int(hits[0]))
        size.append(int(hits[-1] - hits[0]) + 1)
    return tuple(start), tuple(size)
