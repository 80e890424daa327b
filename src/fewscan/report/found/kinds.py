"""What a folder is that shall be reported on, told by the record that fewscan left in it."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from fewscan.errors import DataError, UsageError


class Kind(StrEnum):
    """What there are reports on."""

    RUN = "training run"
    PREDICTION = "predictions"
    EVALUATION = "evaluation"
    STUDY = "study"
    REGISTRATION = "registration"


MARKS = {
    Kind.STUDY: "study.yaml",
    Kind.REGISTRATION: "registration.json",
    Kind.PREDICTION: "prediction.json",
    Kind.RUN: "run.json",
    Kind.EVALUATION: "evaluation.json",
}
"""The file that tells each kind, in the order in which they are looked for."""

_MEND = """give a folder that holds
  - run.json: a training run (fewscan train)
  - prediction.json: predictions (fewscan predict), with the scores of fewscan evaluate if there are any
  - evaluation.json: scores (fewscan evaluate --out)
  - study.yaml: a study (fewscan compare)
  - registration.json: registrations (fewscan register)"""


GENERIC = frozenset({"run", "predictions", "evaluation", "out", "output", "results", "registration", "registrations"})
"""Names of folders that say little without the folder they lie in."""


@dataclass(frozen=True)
class Reportable:
    """A folder and what it is.

    Attributes
    ----------
    kind : Kind
        What was found.
    folder : Path
        Where its record is.
    scores : Path
        Where scores of predictions are looked for; the folder itself except for the cell of a study.
    """

    kind: Kind
    folder: Path
    scores: Path


def recognise(folder: Path) -> Reportable:
    """Tell what a folder is. The folder of a demo or of a study's cell stands for the predictions in it.

    Raises
    ------
    UsageError
        If there is no such folder, or nothing in it that can be reported on.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise UsageError(f"{folder}: {what}", mend=_MEND)
    for kind, mark in MARKS.items():
        if (folder / mark).is_file():
            return Reportable(kind, folder, folder)
    inner = folder / "predictions"
    if (inner / MARKS[Kind.PREDICTION]).is_file():
        scored = folder / "evaluation"
        has_scores = (scored / MARKS[Kind.EVALUATION]).is_file()
        return Reportable(Kind.PREDICTION, inner, scored if has_scores else inner)
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    found = f"it holds {shown}" if names else "it is empty"
    raise UsageError(f"{folder}: nothing to report on: {found}", mend=_MEND)


def title_of(folder: Path) -> str:
    """Return what to call a folder: its name, after that of the folder around it where the name alone says little."""
    place = folder.resolve()
    return f"{place.parent.name}: {place.name}" if place.name in GENERIC and place.parent.name else place.name


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that holds an object; nothing where there is no such file.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not readable as JSON: {error}", mend="restore the file, or run the command again"
        ) from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds no JSON object", mend="restore the file, or run the command again")
    return found


def read_json_list(path: Path) -> list[Any]:
    """Return the content of a JSON file that holds a list.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    mend = "restore the file, or run the command again"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON: {error}", mend=mend) from None
    if not isinstance(found, list):
        raise DataError(f"{path}: holds no JSON list", mend=mend)
    return found
