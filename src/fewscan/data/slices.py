"""write_slices: a 2-D data set from one slice of each 3-D scan, for experiments that take seconds instead of minutes.

The result is nnU-Net raw with 2-D NIfTI files. Training and test parts and unlabelled cases stay what they are; patient
groups are lost, because that format has no place for them.
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.geometry import Geometry
from fewscan.errors import DataError, UsageError
from fewscan.files import write_atomically


def write_slices(
    dataset: Dataset,
    out: Path,
    *,
    axis: int,
    at: float,
    size: tuple[int, int],
    join_labels: bool = False,
    about: Literal["scan", "label"] = "scan",
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
    about : "scan" or "label"
        What ``at`` and the centre of the crop refer to: the scan, or the box round the foreground of its label (of the
        chosen slice, for the crop). The latter uses the annotation of every case, as published crops round an organ
        often do: results on such slices do not carry over to scans whose organ has yet to be found.

    Returns
    -------
    Dataset
        The written one.

    Raises
    ------
    UsageError
        For an axis or fraction outside the scan, or a folder in use.
    DataError
        For scans that are not 3-D or cannot be read; with ``about="label"`` for cases without a labelled voxel.
    """
    from fewscan.data.layouts import load_dataset

    if axis not in (0, 1, 2) or not 0 <= at <= 1:
        raise UsageError(f"axis {axis} at {at}: no such slice", mend="axis is 0, 1 or 2, and at lies between 0 and 1")
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out}: is not empty", mend="give a new folder")
    for case in dataset:
        _write_case(case, out, axis=axis, at=at, size=size, join_labels=join_labels, about=about)
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


def cut(
    array: npt.NDArray[Any], *, axis: int, at: float, size: tuple[int, int], about: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[Any]:
    """Return slice ``floor(at * n)`` of a 3-D array, cropped or padded with zero about its centre to ``size``.

    With ``about``, a mask of the array's shape, n counts the slices from the first to the last that hold it, and the
    centre is that of its box in the slice; past the array's edge there are zeros.
    """
    index = slice_index(array.shape[axis], at)
    if about is None:
        plane, middle = np.take(array, index, axis=axis), None
    else:
        held = np.flatnonzero(about.any(axis=tuple(k for k in range(3) if k != axis)))
        index = int(held[0]) + slice_index(int(held[-1] - held[0]) + 1, at)
        plane, middle = np.take(array, index, axis=axis), np.take(about, index, axis=axis)
    for side, wanted in enumerate(size):
        have = plane.shape[side]
        lead = (have - wanted) // 2 if have > wanted else -((wanted - have) // 2)
        if middle is not None and middle.any():
            box = np.flatnonzero(middle.any(axis=1 - side))
            lead = (int(box[0]) + int(box[-1]) + 1) // 2 - wanted // 2
        start, stop = max(lead, 0), min(max(lead + wanted, 0), have)
        plane = np.take(plane, range(start, stop), axis=side)
        width = [(0, 0), (0, 0)]
        width[side] = (start - lead, lead + wanted - stop)
        plane = np.pad(plane, width)
    return np.ascontiguousarray(plane)


def slice_index(count: int, at: float) -> int:
    """Return ``floor(at * count)``, at most ``count - 1``."""
    return min(int(at * count), count - 1)


def _write_case(
    case: Case,
    out: Path,
    *,
    axis: int,
    at: float,
    size: tuple[int, int],
    join_labels: bool,
    about: Literal["scan", "label"],
) -> None:
    from fewscan.data.image_io import Image, read_channel_images, read_image, write_image

    if Path(case.id).name != case.id:
        raise DataError(f"case id {case.id!r} cannot be a file name", mend="give the case another id")
    part = "Ts" if case.part is Part.TEST else "Tr"
    mask = None
    if about == "label":
        mask = read_image(case.label).array > 0 if case.label is not None else np.zeros(1, bool)
        if not mask.any():
            raise DataError(f"case {case.id}: has no labelled voxel", mend="leave it out, or cut about the scan")

    def write(source: Path, image: Image, target: Path, *, join: bool) -> None:
        if image.geometry.dimensions != 3:
            raise DataError(f"case {case.id}: {source} is not 3-D", mend="slices are cut from volumes")
        plane = cut(image.array, axis=axis, at=at, size=size, about=mask)
        if join:
            plane = (plane > 0).astype(np.uint8)
        spacing = tuple(value for k, value in enumerate(image.geometry.spacing_mm) if k != axis)
        write_image(target, plane, Geometry.identity(size, spacing))

    for channel, (path, image) in enumerate(zip(case.images, read_channel_images(case.images), strict=True)):
        write(path, image, out / f"images{part}" / f"{case.id}_{channel:04d}.nii.gz", join=False)
    if case.label is not None:
        target = out / f"labels{part}" / f"{case.id}.nii.gz"
        write(case.label, read_image(case.label), target, join=join_labels)
