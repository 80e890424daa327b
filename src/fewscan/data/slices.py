"""write_slices: a 2-D data set from one slice of each 3-D scan, for experiments that take seconds instead of minutes.

The result is nnU-Net raw with 2-D NIfTI files. Training and test parts and unlabelled cases stay what they are; patient
groups are lost, because that format has no place for them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.geometry import Geometry
from fewscan.errors import DataError, UsageError
from fewscan.files import write_atomically


def write_slices(
    dataset: Dataset, out: Path, *, axis: int, at: float, size: tuple[int, int], join_labels: bool = False
) -> Dataset:
    """Write one slice of every case as a 2-D data set.

    Parameters
    ----------
    dataset : Dataset
        3-D scans.
    out : Path
        A new or empty folder; its name becomes the data set's.
    axis : int
        Array axis that is cut across (x, y, z = 0, 1, 2).
    at : float
        Where, as a fraction of that axis: slice ``floor(at * n)``.
    size : pair of int
        Pixels along the two remaining axes; slices are cropped or padded with zero about their centre.
    join_labels : bool
        One foreground class instead of several.

    Returns
    -------
    Dataset
        The written one.

    Raises
    ------
    UsageError
        For an axis or fraction outside the scan, or a folder in use.
    DataError
        For scans that are not 3-D or cannot be read.
    """
    from fewscan.data.layouts import load_dataset

    if axis not in (0, 1, 2) or not 0 <= at <= 1:
        raise UsageError(f"axis {axis} at {at}: no such slice", mend="axis is 0, 1 or 2, and at lies between 0 and 1")
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out}: is not empty", mend="give a new folder")
    for case in dataset:
        _write_case(case, out, axis=axis, at=at, size=size, join_labels=join_labels)
    labels = dict(dataset.labels)
    if join_labels and labels:
        labels = {"background": 0, "foreground": 1}
    description = {
        "channel_names": {str(index): name for index, name in enumerate(dataset.channel_names)},
        "labels": labels,
        "numTraining": sum(case.part is not Part.TEST for case in dataset),
        "file_ending": ".nii.gz",
    }
    write_atomically(out / "dataset.json", json.dumps(description, indent=2, ensure_ascii=False).encode())
    return load_dataset(out)


def cut(array: npt.NDArray[Any], *, axis: int, at: float, size: tuple[int, int]) -> npt.NDArray[Any]:
    """Return slice ``floor(at * n)`` of a 3-D array, cropped or padded with zero about its centre to ``size``."""
    count = array.shape[axis]
    plane = np.take(array, min(int(at * count), count - 1), axis=axis)
    for side, wanted in enumerate(size):
        have = plane.shape[side]
        lead = max((have - wanted) // 2, 0)
        plane = np.take(plane, range(lead, lead + min(have, wanted)), axis=side)
        missing = wanted - plane.shape[side]
        width = [(0, 0), (0, 0)]
        width[side] = (missing // 2, missing - missing // 2)
        plane = np.pad(plane, width)
    return np.ascontiguousarray(plane)


def _write_case(case: Case, out: Path, *, axis: int, at: float, size: tuple[int, int], join_labels: bool) -> None:
    from fewscan.data.image_io import Image, read_channel_images, read_image, write_image

    if Path(case.id).name != case.id:
        raise DataError(f"case id {case.id!r} cannot be a file name", mend="give the case another id")
    part = "Ts" if case.part is Part.TEST else "Tr"

    def write(source: Path, image: Image, target: Path, *, join: bool) -> None:
        if image.geometry.dimensions != 3:
            raise DataError(f"case {case.id}: {source} is not 3-D", mend="slices are cut from volumes")
        plane = cut(image.array, axis=axis, at=at, size=size)
        if join:
            plane = (plane > 0).astype(np.uint8)
        spacing = tuple(value for k, value in enumerate(image.geometry.spacing_mm) if k != axis)
        write_image(target, plane, Geometry.identity(size, spacing))

    for channel, (path, image) in enumerate(zip(case.images, read_channel_images(case.images), strict=True)):
        write(path, image, out / f"images{part}" / f"{case.id}_{channel:04d}.nii.gz", join=False)
    if case.label is not None:
        target = out / f"labels{part}" / f"{case.id}.nii.gz"
        write(case.label, read_image(case.label), target, join=join_labels)
