"""Where a cell stands, told from its folder alone; so an interrupted study goes on where it was.

STUDY/cells/NAME/run/                  an ordinary run: settings, split, log, checkpoints, model; none where the cell
                                       predicts with the training of another
STUDY/cells/NAME/predictions/          of the test scans
STUDY/cells/NAME/evaluation/           scores of the predictions as they are
STUDY/cells/NAME/evaluation_largest/   scores of the largest component of every class
STUDY/cells/NAME/cell.json             what the cell is, and once it is finished its times; written last
STUDY/cells/NAME/failed.json           why it failed
STUDY/cells/NAME/log.txt               what its worker printed
"""

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from fewscan.experiments.cells import Cell
from fewscan.files import write_json

CELLS, CELL_FILE, FAILURE_FILE, LOG_FILE = "cells", "cell.json", "failed.json", "log.txt"
RUN, PREDICTIONS = "run", "predictions"

AS_PREDICTED, LARGEST = "as predicted", "largest component"
EVALUATIONS = {AS_PREDICTED: "evaluation", LARGEST: "evaluation_largest"}
"""Folder of each evaluation by what of the predictions is scored."""


class State(StrEnum):
    """Where a cell stands."""

    WAITING = "waiting"
    STARTED = "started"
    FAILED = "failed"
    FINISHED = "finished"


def cell_folder(study_folder: Path, cell: Cell) -> Path:
    """Return the folder of a cell."""
    return study_folder / CELLS / cell.name


def run_folder(study_folder: Path, cell: Cell) -> Path:
    """Return the folder of the training that a cell predicts with."""
    return study_folder / CELLS / (cell.trained_in or cell.name) / RUN


def state_of(folder: Path) -> State:
    """Return the state of the cell in ``folder``; started means interrupted, or at work in another process."""
    if read_record(folder / CELL_FILE).get("state") == State.FINISHED:
        return State.FINISHED
    if (folder / FAILURE_FILE).is_file():
        return State.FAILED
    return State.STARTED if folder.is_dir() else State.WAITING


def read_record(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file, or nothing where there is no such file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def note_failure(folder: Path, text: str, *, details: str = "") -> None:
    """Write down why a cell failed."""
    write_json(folder / FAILURE_FILE, {"error": text, "details": details})


def failure_text(folder: Path) -> str:
    """Return why the cell failed."""
    return str(read_record(folder / FAILURE_FILE).get("error", "unknown reason"))


def left_over(study_folder: Path, cells: Iterable[Cell]) -> list[str]:
    """Return the names of cell folders that belong to an earlier form of the study; they are kept and not counted."""
    names = {cell.name for cell in cells}
    folder = study_folder / CELLS
    return sorted(path.name for path in folder.iterdir() if path.name not in names) if folder.is_dir() else []
