"""What of a study is small and free of scans: enough to make its tables anew anywhere, without data or models.

    KEPT/study.yaml  cells.json              what was asked, and every cell it amounts to
    KEPT/cells/NAME/cell.json                times and memory
    KEPT/cells/NAME/environment.json         where it ran
    KEPT/cells/NAME/evaluation*/             the scores of every test case
    KEPT/tables.md ... dice.png              made from these

Paths of the machine are left out, and scores are rounded to twelve digits.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fewscan.data.split import Split
from fewscan.errors import DataError
from fewscan.experiments.cells import Cell, Labelled, Row
from fewscan.experiments.collect import collect
from fewscan.experiments.compare import STUDY_FILE, StudyFolder
from fewscan.experiments.outputs import SCORES, Outputs
from fewscan.experiments.state import CELL_FILE, EVALUATIONS, State, cell_folder, read_record, run_folder, state_of
from fewscan.experiments.study import Amount, Study
from fewscan.files import write_atomically, write_json
from fewscan.metrics.evaluation import JSON_FILE
from fewscan.training.settings import TrainSettings

CELL_LIST = "cells.json"
ENVIRONMENT = "environment.json"
PICTURES = ("training_loss.png",)
"""Pictures that show no scan."""
DIGITS = 12


def keep(opened: StudyFolder, target: Path) -> list[str]:
    """Copy what is kept of a study into ``target`` and make its tables there; return the finished cells by name.

    Cells that ``target`` holds from before stay, so that a study can be kept again as it grows; those that the study no
    longer names go.
    """
    study = opened.study.model_dump(mode="json", exclude_defaults=True) | {"data": Path(opened.study.data).name}
    write_atomically(target / STUDY_FILE, yaml.safe_dump(study, sort_keys=False, allow_unicode=True).encode())
    write_json(target / CELL_LIST, [_as_plain(cell) for cell in opened.cells])
    done = [cell for cell in opened.cells if state_of(cell_folder(opened.folder, cell)) is State.FINISHED]
    for cell in done:
        _keep_cell(cell, opened.folder, target)
    named = {cell_folder(target, cell) for cell in opened.cells}
    for folder in {path.parent for path in target.glob(f"cells/*/{CELL_FILE}")} - named:
        shutil.rmtree(folder)
    for name in PICTURES:
        if (opened.folder / name).is_file():
            shutil.copyfile(opened.folder / name, target / name)
    write_tables(target)
    return [cell.name for cell in done]


def write_tables(kept: Path) -> Outputs:
    """Make the tables of a kept study from its cells.

    Raises
    ------
    DataError
        If the folder holds no kept study.
    """
    cells = read_cells(kept)
    outputs = Outputs(Study.read(kept / STUDY_FILE), cells, collect(kept, cells))
    outputs.write(kept)
    (kept / SCORES).unlink()  # the cells hold the same
    return outputs


def read_cells(kept: Path) -> list[Cell]:
    """Return all cells of a kept study, finished or not; `DataError` if the folder holds none."""
    if not (kept / CELL_LIST).is_file():
        raise DataError(f"{kept}: holds no kept study ({CELL_LIST} is missing)")
    return [_as_cell(values) for values in json.loads((kept / CELL_LIST).read_text(encoding="utf-8"))]


def _as_plain(cell: Cell) -> dict[str, Any]:
    labelled = cell.row.labelled
    return {
        "method": cell.row.method,
        "preset": cell.row.preset,
        "labelled": {"is_all": labelled.is_all, "count": labelled.count, "name": labelled.name},
        "settings": cell.settings.model_dump(mode="json"),
        "split": cell.split.model_dump(mode="json", include={"labelled", "validation", "test", "test_groups", "seed"}),
        "digest": cell.digest,
        "predictor": cell.predictor,
        "trained_in": cell.trained_in,
    }


def _as_cell(values: Mapping[str, Any]) -> Cell:
    amount = values["labelled"]
    choice: Amount = "all" if amount["is_all"] else int(amount["count"])
    return Cell(
        Row(values["method"], values["preset"], Labelled(**amount, choice=choice)),
        TrainSettings.parse(values["settings"], source=CELL_LIST),
        Split.parse(values["split"], source=CELL_LIST),
        values["digest"],
        values["predictor"],
        values["trained_in"],
    )


def _keep_cell(cell: Cell, source: Path, target: Path) -> None:
    there, here = cell_folder(source, cell), cell_folder(target, cell)
    write_json(here / CELL_FILE, read_record(there / CELL_FILE))
    # a cell that was copied from a kept study has no run, and its environment beside it
    environment = read_record(run_folder(source, cell) / ENVIRONMENT) or read_record(there / ENVIRONMENT)
    write_json(here / ENVIRONMENT, environment)
    for name in EVALUATIONS.values():
        data = json.loads((there / name / JSON_FILE).read_text(encoding="utf-8"))
        kept = {"names": data["names"], "scores": [_rounded(row) for row in data["scores"]]}
        write_atomically(here / name / JSON_FILE, json.dumps(kept, separators=(",", ":")).encode())


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
