"""Checks of the voxels of one label map.

A hard label map holds one whole number per voxel; 0 is the background. Values stored as floating point are accepted
within 1e-3 of a whole number, as some tools save them so.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.check.problem import Problem, Source, count_text, first_index, first_names, plain
from fewscan.data.label_map import MAX_VALUES, ROUNDING, count_values, integer_labels
from fewscan.errors import DataError

TINY_FOREGROUND = 1e-4
"""Share of foreground voxels below which a label map may be a slip of the brush."""

SOFT_VALUES = 16
"""A map within [0, 1] with more fractional values than this is a probability map, not a slip of interpolation."""


def check_label(
    array: npt.NDArray[Any], declared: Collection[int], source: Source
) -> tuple[list[Problem], dict[int, int]]:
    """Check one label map.

    Parameters
    ----------
    array : array with the image's axes
        The label map as stored.
    declared : collection of int
        The values that the data set declares; empty where it declares none.
    source : Source
        Case and file, for the messages.

    Returns
    -------
    list of Problem
        What is wrong.
    dict of int to int
        Voxels of each value; empty where the map holds no whole numbers.
    """
    problems = _fraction_problems(array, source) if array.dtype.kind == "f" else []
    if problems:
        return problems, {}
    try:
        counts = count_values(integer_labels(array, path=Path(source.file)), path=Path(source.file))
    except DataError:
        message = f"more than {MAX_VALUES} different values: an image, not a label map"
        return [source.error("label-is-image", message, mend="give the label map of this image")], {}
    problems += _value_problems(counts, declared, source)
    problems += _foreground_problems(counts, array.size, source)
    return problems, counts


def _fraction_problems(array: npt.NDArray[Any], source: Source) -> list[Problem]:
    finite = np.isfinite(array)
    if not finite.all():
        bad = ~finite
        message = f"{count_text(int(bad.sum()), 'voxel')} NaN or infinite, the first at index {first_index(bad)}"
        return [source.error("label-not-finite", message, mend="save the label map as whole numbers (uint8)")]
    fractional = np.abs(array - np.rint(array)) > ROUNDING
    if not fractional.any():
        return []
    distinct = np.unique(array[fractional])
    if array.min() >= 0 and array.max() <= 1 and len(distinct) > SOFT_VALUES:
        message = f"a probability map, not a label map: {len(distinct)} different values between 0 and 1"
        mend = "threshold it at 0.5 (or take the most probable class) and save it as uint8"
        return [source.error("label-is-probability", message, mend=mend)]
    first = first_index(fractional)
    message = f"{count_text(int(fractional.sum()), 'value is', 'values are')} not whole,"
    message += f" the first is {plain(array[first])} at index {first}: was the map resampled with interpolation?"
    mend = "resample the original label map with nearest neighbour and save it as uint8"
    return [source.error("label-not-whole", message, mend=mend)]


def _value_problems(counts: Mapping[int, int], declared: Collection[int], source: Source) -> list[Problem]:
    problems = []
    negative = {value: count for value, count in counts.items() if value < 0 and value not in declared}
    if negative:
        mend = "give these voxels the value of their class, or declare the value as a label to ignore"
        problems.append(source.error("negative-label", f"negative: {_values_text(negative)}", mend=mend))
    undeclared = {v: n for v, n in counts.items() if v > 0 and declared and v not in declared}
    if undeclared:
        message = f"not declared: {_values_text(undeclared)}; declared are {first_names(map(str, sorted(declared)))}"
        mend = "declare the value (nnU-Net and Decathlon: `labels` in dataset.json), or correct the label map"
        problems.append(source.error("undeclared-label", message, mend=mend))
    return problems


def _foreground_problems(counts: Mapping[int, int], voxels: int, source: Source) -> list[Problem]:
    foreground = sum(count for value, count in counts.items() if value != 0)
    if foreground == 0:
        mend = "check that this is meant; remove the file if the scan was never annotated"
        return [source.warning("empty-label", "the label map is all background", mend=mend)]
    if foreground < TINY_FOREGROUND * voxels:
        message = f"only {count_text(foreground, 'foreground voxel')} of {voxels}"
        return [source.warning("tiny-foreground", message, mend="look whether the annotation is complete")]
    return []


def _values_text(counts: Mapping[int, int]) -> str:
    return first_names(f"value {value} in {count_text(count, 'voxel')}" for value, count in counts.items())
