"""The fields of dataset.json that nnU-Net (new and old) and the Decathlon share."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewscan.errors import DataError

_WHOLE = re.compile(r"-?[0-9]+")


def read_dataset_json(path: Path) -> dict[str, Any]:
    """Return the object in ``path``; `DataError` when it holds anything else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: not readable as JSON: {error}", mend="correct the file") from None
    if not isinstance(data, dict):
        raise DataError(f"{path}: must hold a JSON object", mend="see nnU-Net's or the Decathlon's dataset.json")
    return data


def parse_channels(path: Path, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the channel names from ``channel_names`` or the older ``modality``, in the order of their numbers."""
    names = data.get("channel_names", data.get("modality"))
    if not isinstance(names, dict) or not names or sorted(names) != sorted(str(k) for k in range(len(names))):
        raise DataError(
            f"{path}: needs channel_names (or modality) with the keys 0, 1, ...; it has {names!r}",
            mend='for one channel write "channel_names": {"0": "MRI"}',
        )
    return tuple(str(names[str(k)]) for k in range(len(names)))


def parse_labels(path: Path, data: Mapping[str, Any]) -> dict[str, int]:
    """Return label names and values.

    Understood are ``{"name": value}`` (nnU-Net v2), ``{"value": "name"}`` (nnU-Net v1, Decathlon) and regions
    ``{"name": [values]}``: the values of a region that have no name of their own are called ``label_VALUE``.
    """
    raw = data.get("labels", {})
    if not isinstance(raw, dict):
        raise DataError(f"{path}: labels must be an object, not {raw!r}", mend='write "labels": {"background": 0, ...}')
    labels: dict[str, int] = {}
    regions: set[int] = set()
    for key, value in raw.items():
        if isinstance(value, str) and _WHOLE.fullmatch(key) and not _WHOLE.fullmatch(value):
            labels[value] = int(key)
        elif isinstance(value, list) and all(isinstance(item, int) for item in value):
            regions.update(value)
        elif isinstance(value, int | str) and _WHOLE.fullmatch(str(value)):
            labels[key] = int(value)
        else:
            raise DataError(f"{path}: label {key!r} has the value {value!r}", mend="values are whole numbers")
    labels.update({f"label_{value}": value for value in sorted(regions - set(labels.values()))})
    values = list(labels.values())
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice or len(labels) < len({key for key, value in raw.items() if not isinstance(value, list)}):
        raise DataError(f"{path}: labels declares a value or name twice: {raw!r}", mend="give each value one name")
    return labels
