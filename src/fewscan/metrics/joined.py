"""Predictions of joined classes are scored against truth joined in the same way, and so is their baseline.

A plan may join several label values of the annotations into one class. `fewscan predict` writes the classes of its
model into ``prediction.json``; scoring reads them there, so that the original labels can be compared with it. What has
no such record, like the annotations themselves, is taken to hold their values.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fewscan.errors import DataError
from fewscan.metrics.text_table import listed

RECORD_NAME = "prediction.json"


class _Class(NamedTuple):
    """A class of a model: the label values of the annotations that it stands for, and the one it is written as."""

    name: str
    values: tuple[int, ...]
    output: int


def record_path(predictions: Path) -> Path:
    """Return where the record of predictions, a folder or one file of it, would lie."""
    return (predictions if predictions.is_dir() else predictions.parent) / RECORD_NAME


def recorded_classes(predictions: Path) -> tuple[dict[int, int], dict[int, str]]:
    """Return which label values stand for another, and the class names by output value.

    The first is empty unless the model joins or renumbers values, both are where no model's record is found.

    Parameters
    ----------
    predictions : Path
        The folder, or one file of it.
    """
    classes = _recorded(predictions)
    joined = {value: item.output for item in classes for value in item.values if value != item.output}
    return joined, {item.output: item.name for item in classes[1:]}  # the first is the background


def baseline_values(predictions: Path, baseline: Path) -> dict[int, int]:
    """Return which values in the baseline's files stand for another in the classes of the predictions.

    Those of the annotations where the baseline has no record, and else the output values of its own classes.

    Raises
    ------
    DataError
        If the baseline joins values that the predictions keep apart: then it has nothing to be scored by.
    """
    joined, _ = recorded_classes(predictions)
    classes = _recorded(baseline)
    if not classes:
        return joined
    if split := _split(classes, joined):
        values = listed([str(value) for value in split.values])
        possible = not _split(_recorded(predictions), recorded_classes(baseline)[0])
        raise DataError(
            f"baseline {baseline}: its model joins the label values {values} into {split.name!r}, and {predictions} "
            "keeps them apart, so that they have no classes in common",
            mend="exchange the two: both are then scored on the joined classes"
            if possible
            else "evaluate each by itself; neither has all the classes of the other",
        )
    targets = {item.output: joined.get(item.values[0], item.values[0]) for item in classes if item.values}
    return {output: target for output, target in targets.items() if output != target}


def join_values(labels: npt.NDArray[Any], joined: Mapping[int, int]) -> npt.NDArray[Any]:
    """Return ``labels`` with every value of ``joined`` replaced."""
    result = labels.copy()
    for value, output in joined.items():
        result[labels == value] = output
    return np.asarray(result)


def _recorded(predictions: Path) -> list[_Class]:
    """Return the classes of the model that made the predictions, the background first; none without its record."""
    path = record_path(predictions)
    if not path.is_file():
        return []
    try:
        classes = json.loads(path.read_text(encoding="utf-8")).get("classes", [])
        return [_Class(str(c["name"]), tuple(int(v) for v in c["values"]), int(c["output"])) for c in classes]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []  # not a record that fewscan wrote


def _split(classes: list[_Class], joined: Mapping[int, int]) -> _Class | None:
    """Return the first class whose values ``joined`` takes to different ones; None if there is none."""
    return next((item for item in classes if len({joined.get(value, value) for value in item.values}) > 1), None)
