"""From the values in a label file to class indices, and the errors on the way.

A class may own several values (their regions are joined); a value that no class owns is an error, because a silent
background would train the network on wrong labels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.plan import LabelClass
from fewscan.errors import DataError

MAX_VALUES = 256
ROUNDING = 1e-3


def integer_labels(labels: npt.NDArray[Any], *, path: Path) -> npt.NDArray[Any]:
    """Return ``labels`` as integers; floating-point values may miss an integer by a thousandth.

    Raises
    ------
    DataError
        For values that are not numbers or lie between integers: a probability map, or an interpolated label.
    """
    if labels.dtype == np.bool_:
        return labels.astype(np.uint8)
    if labels.dtype.kind in "iu":
        return labels
    bad = ~np.isfinite(labels)
    if bad.any():
        raise DataError(f"label {path}: {int(bad.sum())} voxels are not numbers (NaN or infinite)", mend="repair it")
    rounded: npt.NDArray[Any] = np.rint(labels)
    off = np.abs(labels - rounded) > ROUNDING
    if off.any():
        first = float(labels[off].flat[0])
        msg = f"label {path}: {int(off.sum())} voxels hold no whole numbers (first: {first:.6g})"
        raise DataError(msg, mend="a label map is needed: no probabilities, resampled with nearest neighbour")
    return rounded.astype(np.int64)


def count_values(labels: npt.NDArray[Any], *, path: Path) -> dict[int, int]:
    """Return voxel count by value; `DataError` for more values than any label map has (an image, most likely)."""
    low, high = int(labels.min()), int(labels.max())
    if high - low < 2**16:
        # the usual case; a histogram takes a fraction of the time of the sort behind np.unique
        histogram = np.bincount((labels.astype(np.int64) - low).ravel())
        values = np.flatnonzero(histogram)
        counts = histogram[values]
        values = values + low
    else:
        values, counts = np.unique(labels, return_counts=True)
    if len(values) > MAX_VALUES:
        msg = f"label {path}: holds {len(values)} different values"
        raise DataError(msg, mend="this looks like an image; give its label map")
    return {int(v): int(n) for v, n in zip(values, counts, strict=True)}


def to_class_indices(labels: npt.NDArray[Any], classes: Sequence[LabelClass], *, path: Path) -> npt.NDArray[np.uint8]:
    """Replace file values by class indices.

    Parameters
    ----------
    labels : array
        Values as read.
    classes : sequence of LabelClass
        Index in the sequence is the class index.
    path : Path
        For messages.

    Raises
    ------
    DataError
        When values occur that no class owns; they are named with their voxel counts.
    """
    whole = integer_labels(labels, path=path)
    present = count_values(whole, path=path)
    index_of = {value: index for index, item in enumerate(classes) for value in item.values}
    unknown = {value: count for value, count in present.items() if value not in index_of}
    if unknown:
        listed = ", ".join(f"{value} ({count} voxels)" for value, count in unknown.items())
        msg = f"label {path}: undeclared values {listed}; declared are {sorted(index_of)}"
        raise DataError(msg, mend="declare them in the data set or the plan (classes), or correct the label")
    # a table over the few values that occur; searchsorted finds their position
    values = np.fromiter(present, dtype=whole.dtype)
    indices = np.array([index_of[value] for value in present], dtype=np.uint8)
    result: npt.NDArray[np.uint8] = indices[np.searchsorted(values, whole)]
    return result
