"""The cells of a study folder: as its study file says, or as its folders tell where the data are not at hand."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fewscan.data.case import Dataset
from fewscan.data.split import Split
from fewscan.errors import FewscanError
from fewscan.experiments.cells import Cell, Labelled, Row
from fewscan.experiments.collect import collect
from fewscan.experiments.compare import STUDY_FILE, open_study
from fewscan.experiments.kept import CELL_LIST, read_cells
from fewscan.experiments.outputs import Outputs
from fewscan.experiments.preparation import TEST_LIST
from fewscan.experiments.state import (
    CELL_FILE,
    CELLS,
    RUN,
    State,
    cell_folder,
    failure_text,
    left_over,
    read_record,
    run_folder,
    state_of,
)
from fewscan.experiments.study import Study
from fewscan.training.run import Run


@dataclass(frozen=True)
class FoundStudy:
    """A study folder as it stands.

    Attributes
    ----------
    study : Study
        What was asked.
    folder : Path
        Where.
    cells : list of Cell
        All that were planned, unless ``all_known`` is false: then those that were begun.
    states, failures : mapping of str to State, mapping of str to str
        Where each cell stands, and why cells failed.
    outputs : Outputs
        Lines, comparisons and tables of what is finished.
    dataset : Dataset or None
        The scans; None where they are not at hand.
    problem : str
        Why they are not.
    all_known : bool
        Whether cells that were never begun are among ``cells``.
    """

    study: Study
    folder: Path
    cells: list[Cell]
    states: Mapping[str, State]
    failures: Mapping[str, str]
    outputs: Outputs
    dataset: Dataset | None
    problem: str = ""
    all_known: bool = True

    @property
    def finished(self) -> bool:
        """Whether every planned cell is finished."""
        return bool(self.cells) and all(state is State.FINISHED for state in self.states.values())

    @property
    def left_over(self) -> list[str]:
        """Names of folders that belong to an earlier form of the study."""
        return left_over(self.folder, self.cells)

    def run(self, cell: Cell) -> Run | None:
        """Return the training of a cell; None where it is not there, as in what is kept of a study."""
        folder = run_folder(self.folder, cell)
        return Run(folder) if folder.is_dir() else None

    def place(self, cell: Cell) -> Path:
        """Return the folder that says on which machine a cell was trained: its run, or itself in a kept study."""
        run = self.run(cell)
        return cell_folder(self.folder, cell) if run is None else run.folder


def find_study(folder: Path) -> FoundStudy:
    """Read a study folder; nothing is written.

    Raises
    ------
    UsageError
        If the study file cannot be read.
    """
    folder = folder.resolve()
    study = Study.read(folder / STUDY_FILE)
    dataset, problem, kept = None, "", (folder / CELL_LIST).is_file()
    try:
        opened = open_study(study, folder)
        cells, dataset = opened.cells, opened.dataset
    except FewscanError as error:
        problem = error.message
        cells = read_cells(folder) if kept else _cells_on_disk(study, folder)
    folders = {cell.name: cell_folder(folder, cell) for cell in cells}
    states = {name: state_of(path) for name, path in folders.items()}
    failures = {name: failure_text(path) for name, path in folders.items() if states[name] is State.FAILED}
    outputs = Outputs(study, cells, collect(folder, cells), failed=failures)
    return FoundStudy(study, folder, cells, states, failures, outputs, dataset, problem, all_known=kept or not problem)


@contextmanager
def drawing_place(found: FoundStudy) -> Iterator[Path]:
    """Yield a folder in which pictures can be drawn as if it were the study's, which stays untouched."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for entry in (CELLS, TEST_LIST):
            if (found.folder / entry).exists():
                (place / entry).symlink_to(found.folder / entry)
        yield place


def _cells_on_disk(study: Study, folder: Path) -> list[Cell]:
    """Return the cells that have a training of their own, as their folders record them, in the order of the methods."""
    order = {entry.name: place for place, entry in enumerate(study.methods)}
    cells = []
    for path in sorted((folder / CELLS).iterdir()) if (folder / CELLS).is_dir() else []:
        record, run = read_record(path / CELL_FILE), Run(path / RUN)
        entry, preset, digest = (str(record.get(key, "")) for key in ("method", "preset", "digest"))
        start, end = f"{entry}-{preset}-", f"-seed{record.get('seed')}-{digest}"
        known = entry in order and path.name.startswith(start) and path.name.endswith(end)
        if not known or not all((run.folder / name).is_file() for name in ("settings.yaml", "split.json")):
            continue
        name = path.name.removeprefix(start).removesuffix(end)
        labelled = Labelled(
            name == "all", int(record["labelled"]), name, "all" if name == "all" else int(record["labelled"])
        )
        split: Split = run.split.model_copy(update={"test": tuple(record.get("test", ()))})
        cells.append(Cell(Row(entry, preset, labelled), run.settings, split, digest))
    return sorted(cells, key=lambda cell: (cell.seed, cell.row.labelled, order[cell.row.method]))
