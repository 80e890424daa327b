"""Read the scores of finished cells back from disk, and write all of them as one tidy table."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from fewscan.experiments.cells import Cell
from fewscan.experiments.state import CELL_FILE, EVALUATIONS, State, cell_folder, read_record, state_of
from fewscan.metrics.case_scores import METRICS, ClassScores
from fewscan.metrics.evaluation import JSON_FILE, scores_from_json
from fewscan.metrics.summary import Column, columns


@dataclass(frozen=True)
class Result:
    """The outcome of one finished cell.

    Attributes
    ----------
    cell : Cell
        What was run.
    record : mapping
        The content of ``cell.json``: times and memory.
    names : mapping of int to str
        Class names by label value.
    scores : mapping of str to tuple of ClassScores
        Per case and class, by what of the predictions was scored (see `EVALUATIONS`).
    """

    cell: Cell
    record: Mapping[str, Any]
    names: Mapping[int, str]
    scores: Mapping[str, tuple[ClassScores, ...]]

    def columns(self, scored: str) -> list[Column]:
        """Return one column of case scores per class and metric."""
        return columns(self.scores[scored], self.names)


def collect(study_folder: Path, cells: Iterable[Cell]) -> list[Result]:
    """Return the results of the cells that are finished."""
    folders = ((cell, cell_folder(study_folder, cell)) for cell in cells)
    return [read_result(cell, folder) for cell, folder in folders if state_of(folder) is State.FINISHED]


def read_result(cell: Cell, folder: Path) -> Result:
    """Read one finished cell."""
    scores, names = {}, {}
    for scored, name in EVALUATIONS.items():
        data = json.loads((folder / name / JSON_FILE).read_text(encoding="utf-8"))
        names = {int(value): str(title) for value, title in data["names"].items()}
        scores[scored] = tuple(scores_from_json(row) for row in data["scores"])
    return Result(cell, read_record(folder / CELL_FILE), names, scores)


def tidy_csv(results: Iterable[Result]) -> str:
    """Return one line per cell, what was scored, case and class, with all metrics; for other programs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["cell", "method", "preset", "labelled", "validation", "seed", "scored", "case", "class", "value"]
    writer.writerow([*head, "prediction_voxels", "truth_voxels", *METRICS])
    for result in results:
        cell, split = result.cell, result.cell.split
        start = [cell.name, cell.row.method, cell.row.preset, len(split.labelled), len(split.validation), cell.seed]
        for scored, rows in result.scores.items():
            for row in rows:
                line = [*start, scored, row.case_id, result.names[row.value], row.value]
                line += [row.prediction_voxels, row.truth_voxels]
                writer.writerow([*line, *(csv_number(row.scores[metric]) for metric in METRICS)])
    return text.getvalue()


def csv_number(value: float) -> float | str:
    """Return a number for a CSV file, ``n/a`` for NaN."""
    return "n/a" if isnan(value) else value
