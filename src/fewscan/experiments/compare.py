"""Compare methods over labelled counts and seeds: run what is missing, then make the tables.

    STUDY/study.yaml                       what was asked
    STUDY/store/  test.csv                 see `fewscan.experiments.preparation`
    STUDY/cells/NAME/                      see `fewscan.experiments.state`
    STUDY/tables.md  tables.tex            for people and papers
    STUDY/scores.csv                       one line per cell, case and class
    STUDY/summary.csv  comparison.csv      every mean and spread; every paired test
    STUDY/dice.png                         Dice against labelled scans
    STUDY/training_loss.png  cases_*.png  surfaces_*.png    see `fewscan.experiments.study_pictures`

Tables can be made at any time from the cells that are finished; they say which are not.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fewscan.data.case import Dataset
from fewscan.data.layouts import load_dataset
from fewscan.errors import DataError, InterruptedRunError, UsageError
from fewscan.experiments.averages import average_cells
from fewscan.experiments.cells import Cell, find_cell, list_cells
from fewscan.experiments.collect import collect, read_result
from fewscan.experiments.executor import Executor, LocalExecutor, Queue
from fewscan.experiments.outputs import Outputs
from fewscan.experiments.preparation import input_digest, prepare_study
from fewscan.experiments.state import (
    AS_PREDICTED,
    CELL_FILE,
    LOG_FILE,
    State,
    cell_folder,
    failure_text,
    left_over,
    read_record,
    state_of,
)
from fewscan.experiments.study import Study
from fewscan.experiments.study_pictures import Drawn, draw_pictures
from fewscan.experiments.tables import number
from fewscan.experiments.worker import changed_inputs, run_cell
from fewscan.locking import folder_lock
from fewscan.progress import progress, say
from fewscan.training.data import is_store

STUDY_FILE = "study.yaml"


@dataclass(frozen=True)
class StudyFolder:
    """A study and the folder that holds everything about it.

    Attributes
    ----------
    study : Study
        What is compared.
    folder : Path
        Where.
    dataset : Dataset
        The scans.
    cells : list of Cell
        Every training the study consists of.
    """

    study: Study
    folder: Path
    dataset: Dataset
    cells: list[Cell]

    @property
    def states(self) -> dict[str, State]:
        """Where each cell stands, by name."""
        return {cell.name: state_of(cell_folder(self.folder, cell)) for cell in self.cells}

    @property
    def failures(self) -> dict[str, str]:
        """Why cells failed, by name."""
        folders = {cell.name: cell_folder(self.folder, cell) for cell in self.cells}
        return {name: failure_text(path) for name, path in folders.items() if state_of(path) is State.FAILED}

    def prepare(self, *, workers: int = 1, quiet: bool = False) -> None:
        """Prepare what all cells share; refuse to go on where cells were begun with other scans or labels."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _require_own_folder(self.folder)
        self.study.write(self.folder / STUDY_FILE)
        show = partial(progress, quiet=quiet)
        prepare_study(self.study, self.dataset, self.cells, self.folder, workers=workers, progress=show)
        for cell in self.cells:
            before = read_record(cell_folder(self.folder, cell) / CELL_FILE)
            if before and before["inputs"] != input_digest(cell, self.folder):
                raise changed_inputs(cell, self.folder)

    def run_cell(self, name: str, *, device: str = "auto") -> None:
        """Run one cell in this process; see `fewscan.experiments.worker`."""
        cell = find_cell(self.cells, name)
        input_digest(cell, self.folder)  # an unprepared study is no failure of the cell
        run_cell(cell, self.folder, checkpoint=self.study.checkpoint, device=device)

    def run(self, executor: Executor, *, workers: int, retry_failed: bool, quiet: bool) -> None:
        """Run every cell that is not finished, except failed ones unless ``retry_failed``.

        Raises
        ------
        InterruptedRunError
            When it was stopped, after the running cells have saved.
        """
        skipped = {State.FINISHED} if retry_failed else {State.FINISHED, State.FAILED}
        states = self.states
        todo = [cell for cell in self.cells if states[cell.name] not in skipped]
        queue = Queue(executor, self.folder, workers, _Reporter(self, quiet=quiet), time.sleep)
        queue.run(todo, on_stop=partial(_say_stopping, quiet=quiet))
        left = sum(state in (State.WAITING, State.STARTED) for state in self.states.values())
        if left:
            raise InterruptedRunError(
                f"interrupted; {left} of {len(self.cells)} cells are not finished, and what they have done is kept",
                mend="The same command continues.",
            )

    def outputs(self) -> Outputs:
        """Return the tables of what is finished."""
        return Outputs(self.study, self.cells, collect(self.folder, self.cells), failed=self.failures)

    def draw(self, outputs: Outputs, *, quiet: bool = False) -> Drawn:
        """Draw the pictures of what is finished; one that cannot be drawn is told and left out."""
        drawn = draw_pictures(outputs, self.dataset, self.folder)
        outputs.undrawn = drawn.failed
        for name, reason in drawn.failed.items():
            if not quiet:
                say(f"note: {name} could not be drawn: {reason}")
        return drawn


def open_study(study: Study | Path | str, out: Path | str) -> StudyFolder:
    """Read a study and work out its cells; nothing is written.

    Parameters
    ----------
    study : Study or path
        The study, or its YAML file.
    out : path
        The study's folder, which need not exist.
    """
    study = study if isinstance(study, Study) else Study.read(Path(study))
    data = Path(study.data).resolve()
    if not data.exists():
        raise UsageError(f"data: {data}: no such folder or file", mend="it is relative to the study file")
    if is_store(data):
        raise UsageError(f"data: {data} is a prepared store", mend="give the data set itself; test scans are needed")
    study = study.model_copy(update={"data": str(data)})
    dataset = load_dataset(data)
    return StudyFolder(study, Path(out).resolve(), dataset, list_cells(study, dataset))


def compare(
    study: Study | Path | str,
    out: Path | str,
    *,
    workers: int = 1,
    preparers: int = 1,
    device: str = "auto",
    retry_failed: bool = False,
    tables_only: bool = False,
    executor: Executor | None = None,
    quiet: bool = False,
) -> Outputs:
    """Run a study, or what of it is missing, and write its tables and pictures.

    Parameters
    ----------
    study : Study or path
        The study, or its YAML file.
    out : path
        The study's folder; finished cells in it are kept, interrupted ones continued.
    workers : int
        Cells at once, each in a process of its own.
    preparers : int
        Processes that prepare scans. More than one needs the ``if __name__ == "__main__":`` guard in a script.
    device : str
        "auto", "cpu" or "cuda".
    retry_failed : bool
        Run failed cells again instead of leaving them out.
    tables_only : bool
        Run nothing.
    executor : Executor, optional
        Where cells run, in place of this machine.
    quiet : bool
        Print nothing.

    Returns
    -------
    Outputs
        Lines, comparisons and tables; all files are written.

    Raises
    ------
    InterruptedRunError
        After Ctrl-C; everything is saved and the tables are written.
    DataError
        When scans or labels of finished cells have changed.
    """
    opened = open_study(study, out)
    if tables_only:
        outputs = opened.outputs()
        outputs.write(opened.folder)
        opened.draw(outputs, quiet=quiet)
        return outputs
    with folder_lock(opened.folder, purpose="comparison"):
        opened.prepare(workers=preparers, quiet=quiet)
        _say_plan(opened, quiet=quiet)
        local = LocalExecutor(opened.folder / STUDY_FILE, opened.folder, device=device, workers=workers)
        try:
            opened.run(executor or local, workers=workers, retry_failed=retry_failed, quiet=quiet)
        finally:
            outputs = opened.outputs()
            outputs.write(opened.folder)
        opened.draw(outputs, quiet=quiet)
    return outputs


def failed_cells(outputs: Outputs) -> DataError:
    """Return the error that lists the failed cells."""
    lines = [f"{name}: {text}" for name, text in outputs.failed.items()]
    return DataError(
        f"{len(lines)} of {outputs.planned} cells failed:\n  " + "\n  ".join(lines),
        mend="The tables leave them out. Mend the cause and run again with --retry-failed.",
    )


class _Reporter:
    """Prints one line for every cell that has ended."""

    def __init__(self, opened: StudyFolder, *, quiet: bool) -> None:
        self.opened, self.quiet = opened, quiet

    def __call__(self, cell: Cell, state: State) -> None:
        if self.quiet:
            return
        folder = cell_folder(self.opened.folder, cell)
        done = sum(each is State.FINISHED for each in self.opened.states.values())
        say(f"{done}/{len(self.opened.cells)} finished  {cell.name}: {_outcome(cell, folder, state)}")


def _outcome(cell: Cell, folder: Path, state: State) -> str:
    if state is State.FINISHED:
        averages = average_cells([read_result(cell, folder)])
        dice = {
            key.label: average.mean
            for key, average in averages.items()
            if (key.scored, key.metric) == (AS_PREDICTED, "dice")
        }
        return "Dice % " + ", ".join(f"{number(100 * value, 2)} {label}" for label, value in dice.items())
    if state is State.FAILED:
        return f"FAILED: {' '.join(failure_text(folder).split())}"
    return f"not finished; see {folder / LOG_FILE}"


def _say_plan(opened: StudyFolder, *, quiet: bool) -> None:
    if quiet:
        return
    states = list(opened.states.values())
    say(
        f"{len(states)} cells: {states.count(State.FINISHED)} finished, {states.count(State.STARTED)} to continue, "
        f"{states.count(State.FAILED)} failed, {states.count(State.WAITING)} waiting"
    )
    for name in left_over(opened.folder, opened.cells):
        say(f"note: {name} belongs to an earlier form of this study; it is kept and left out of the tables")


def _say_stopping(running: int, *, quiet: bool) -> None:
    if not quiet:
        say(f"stopping: {running} running cells save first (Ctrl-C again stops them at once)")


def _require_own_folder(folder: Path) -> None:
    """Refuse a folder that holds other things."""
    others = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if others and STUDY_FILE not in others:
        raise UsageError(f"{folder}: holds other things ({', '.join(sorted(others)[:3])})", mend="Give a new folder.")
