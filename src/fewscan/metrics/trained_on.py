"""Which of the scored cases the model was trained on, told by their names.

`fewscan predict` writes into ``prediction.json`` which cases the model learned from and was validated on; scoring reads
them there, since the score of such a case says nothing about a new scan. Scans that the model saw without their labels
are told too: to predict these is a legitimate use, but not the same as to predict new ones.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewscan.metrics.joined import record_path
from fewscan.metrics.text_table import listed

SPLIT_NAME = "split.json"
KEY = "training_cases"
"""Where ``prediction.json`` holds them."""


@dataclass(frozen=True)
class TrainingCases:
    """Ids of the cases that a training read.

    Attributes
    ----------
    labelled, validation, unlabelled : frozenset of str
        Learned from with their labels, validated on, and seen as images alone; empty where nothing is known.
    """

    labelled: frozenset[str] = frozenset()
    validation: frozenset[str] = frozenset()
    unlabelled: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, list[str]]:
        """Return plain values for a JSON file; unlabelled cases only where there are any."""
        ids = {"labelled": sorted(self.labelled), "validation": sorted(self.validation)}
        return ids | ({"unlabelled": sorted(self.unlabelled)} if self.unlabelled else {})


def training_cases(model: Path, details: Mapping[str, Any]) -> TrainingCases:
    """Return the training cases of a model: those of its file's ``details``, and of the split beside it.

    The unlabelled ones are those of the ``details`` alone: the split also lists them where the method does not look at
    them, as in supervised training.
    """
    beside = _cases(_read(model.parent / SPLIT_NAME))
    own = _cases(details)
    return TrainingCases(own.labelled | beside.labelled, own.validation | beside.validation, own.unlabelled)


def recorded_training_cases(predictions: Path) -> TrainingCases:
    """Return the training cases of the model that made the predictions; none where there is no record of it."""
    record = _read(record_path(predictions))
    if KEY in record:
        return _cases(record[KEY])
    model = record.get("model")  # a record of before these cases were written down
    return training_cases(Path(model), {}) if isinstance(model, str) else TrainingCases()


def training_warnings(
    count: int, *, trained_on: Sequence[str], validated_on: Sequence[str], by: str = ""
) -> tuple[str, ...]:
    """Return what a reader must be told about scores of ``count`` cases; nothing where all of them were new.

    ``by`` says by whom they were used, unless it is the model that is being judged: " by the baseline".
    """
    found = []
    if trained_on:
        were = f"{_of(trained_on, count)} trained on{by}: {listed(trained_on)}"
        found.append(
            f"{were}; {'its score says' if len(trained_on) == 1 else 'their scores say'} nothing about new scans"
        )
    if validated_on:
        were = f"{_of(validated_on, count)} used for validation{by}: {listed(validated_on)}"
        found.append(f"{were}; if the model was chosen by such scores, they are too good")
    return tuple(found)


def training_notes(count: int, *, seen_unlabelled: Sequence[str], by: str = "") -> tuple[str, ...]:
    """Return what a reader may want to know about the scores; see `training_warnings`."""
    if not seen_unlabelled:
        return ()
    label = "its label" if len(seen_unlabelled) == 1 else "their labels"
    were = f"{_of(seen_unlabelled, count)} seen in training without {label}{by}: {listed(seen_unlabelled)}"
    return (f"{were}; scans that are quite new may be segmented less well",)


def among(case_ids: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    """Return those of the cases that are known, sorted."""
    return tuple(sorted(set(case_ids) & set(known)))


def _cases(values: Any) -> TrainingCases:
    found = values if isinstance(values, Mapping) else {}
    ids = (found.get(name) for name in ("labelled", "validation", "unlabelled"))
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
