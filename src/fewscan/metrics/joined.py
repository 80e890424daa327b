"""Predictions of joined classes are scored against truth joined in the same way.

A plan may join several label values of the annotations into one class. `fewscan predict` writes the classes of its
model into ``prediction.json``; scoring reads them there, so that the original labels can be compared with it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RECORD_NAME = "prediction.json"


def recorded_classes(predictions: Path) -> tuple[dict[int, int], dict[int, str]]:
    """Return which label values stand for another, and the class names by output value.

    The first is empty unless the model joins or renumbers values, both are where no model's record is found.
    """
    path = predictions / RECORD_NAME
    if not path.is_file():
        return {}, {}
    try:
        classes = json.loads(path.read_text(encoding="utf-8")).get("classes", [])
        joined = {int(v): int(c["output"]) for c in classes for v in c["values"] if int(v) != int(c["output"])}
        names = {int(c["output"]): str(c["name"]) for c in classes[1:]}  # the first is the background
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, {}  # not a record that fewscan wrote
    return joined, names


def join_values(labels: npt.NDArray[Any], joined: Mapping[int, int]) -> npt.NDArray[Any]:
    """Return ``labels`` with every value of ``joined`` replaced."""
    result = labels.copy()
    for value, output in joined.items():
        result[labels == value] = output
    return np.asarray(result)
