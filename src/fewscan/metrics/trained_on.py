"""Which of the scored cases the model was trained on, told by their names.

`fewscan predict` writes into ``prediction.json`` which cases the model learned from and was validated on; scoring reads
them there, since the score of such a case says nothing about a new scan.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewscan.metrics.joined import RECORD_NAME
from fewscan.metrics.text_table import listed

SPLIT_NAME = "split.json"
KEY = "training_cases"
"""Where ``prediction.json`` holds them."""


@dataclass(frozen=True)
class TrainingCases:
    """Ids of the cases whose labels a training read.

    Attributes
    ----------
    labelled, validation : frozenset of str
        Learned from, and validated on; empty where nothing is known.
    """

    labelled: frozenset[str] = frozenset()
    validation: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, list[str]]:
        """Return plain values for a JSON file."""
        return {"labelled": sorted(self.labelled), "validation": sorted(self.validation)}


def training_cases(model: Path, details: Mapping[str, Any]) -> TrainingCases:
    """Return the training cases of a model: those of its file's ``details``, and of the split beside it."""
    beside = _cases(_read(model.parent / SPLIT_NAME))
    own = _cases(details)
    return TrainingCases(own.labelled | beside.labelled, own.validation | beside.validation)


def recorded_training_cases(predictions: Path) -> TrainingCases:
    """Return the training cases of the model that made the predictions; none where there is no record of it."""
    folder = predictions if predictions.is_dir() else predictions.parent
    record = _read(folder / RECORD_NAME)
    if KEY in record:
        return _cases(record[KEY])
    model = record.get("model")  # a record of before these cases were written down
    return training_cases(Path(model), {}) if isinstance(model, str) else TrainingCases()


def training_warnings(count: int, *, trained_on: Sequence[str], validated_on: Sequence[str]) -> tuple[str, ...]:
    """Return what a reader must be told about scores of ``count`` cases; nothing where all of them were new."""
    found = []
    if trained_on:
        were = f"{_of(trained_on, count)} trained on: {listed(trained_on)}"
        found.append(
            f"{were}; {'its score says' if len(trained_on) == 1 else 'their scores say'} nothing about new scans"
        )
    if validated_on:
        were = f"{_of(validated_on, count)} used for validation: {listed(validated_on)}"
        found.append(f"{were}; if the model was chosen by such scores, they are too good")
    return tuple(found)


def among(case_ids: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    """Return those of the cases that are known, sorted."""
    return tuple(sorted(set(case_ids) & set(known)))


def _cases(values: Any) -> TrainingCases:
    found = values if isinstance(values, Mapping) else {}
    ids = (found.get(name) for name in ("labelled", "validation"))
    return TrainingCases(
        *(frozenset(map(str, part)) if isinstance(part, list | tuple) else frozenset() for part in ids)
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # there is none, or it is no record that fewscan wrote
    return found if isinstance(found, dict) else {}


def _of(ids: Sequence[str], count: int) -> str:
    return f"{len(ids)} of {count} {'case' if count == 1 else 'cases'} {'was' if len(ids) == 1 else 'were'}"
