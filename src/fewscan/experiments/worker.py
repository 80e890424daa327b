"""Run one cell from its training to its scores; what a finished step left is kept.

Called in a process of its own, so that its peak memory is its own and its failure stops no other cell.
"""

import shutil
import traceback
from pathlib import Path
from typing import Any

from fewscan.data.split import Split
from fewscan.errors import DataError, FewscanError, InterruptedRunError
from fewscan.experiments.cells import Cell
from fewscan.experiments.preparation import STORE, TEST_LIST, class_names, input_digest, scans_to_predict
from fewscan.experiments.state import (
    AS_PREDICTED,
    CELL_FILE,
    CELLS,
    EVALUATIONS,
    FAILURE_FILE,
    LARGEST,
    PREDICTIONS,
    RUN,
    State,
    cell_folder,
    failure_text,
    note_failure,
    read_record,
    run_folder,
    state_of,
)
from fewscan.files import write_json
from fewscan.inference.model_file import model_name
from fewscan.locking import folder_lock
from fewscan.training.data import TrainingData
from fewscan.training.run import Run, train


def run_cell(cell: Cell, study_folder: Path, *, checkpoint: str = "last", device: str = "auto") -> None:
    """Train (or continue), predict the test scans, score them, and write it all down.

    Parameters
    ----------
    cell : Cell
        What to run.
    study_folder : Path
        Prepared with `prepare_study`.
    checkpoint : "last" or "best"
        Which weights predict.
    device : str
        "auto", "cpu" or "cuda".

    Raises
    ------
    InterruptedRunError
        After Ctrl-C; the next call continues.
    FewscanError
        Whatever went wrong; it is also written into the cell's folder.
    """
    folder = cell_folder(study_folder, cell)
    with folder_lock(folder, purpose="a cell of a study"):
        if state_of(folder) is State.FINISHED:
            return
        (folder / FAILURE_FILE).unlink(missing_ok=True)
        try:
            record = begin(cell, study_folder)
            run = (
                _shared(cell, study_folder)
                if cell.trained_in
                else _train(cell, folder / RUN, study_folder, device=device)
            )
            model = model_name(cell.predictor, best=checkpoint == "best")
            _predict_and_score(run, folder, study_folder, model=model, device=device)
            write_json(folder / CELL_FILE, record | _outcome(run, folder) | {"state": State.FINISHED})
        except InterruptedRunError:
            raise
        except Exception as error:
            text = str(error) if isinstance(error, FewscanError) else f"{type(error).__name__}: {error}"
            note_failure(folder, text, details=traceback.format_exc())
            raise


def begin(cell: Cell, study_folder: Path) -> dict[str, Any]:
    """Write down what the cell is; refuse to continue a cell whose scans or labels have changed since it was begun."""
    path = cell_folder(study_folder, cell) / CELL_FILE
    inputs = input_digest(cell, study_folder)
    before = read_record(path)
    if before and before["inputs"] != inputs:
        raise changed_inputs(cell, study_folder)
    record = {
        "state": State.STARTED,
        "digest": cell.digest,
        "inputs": inputs,
        "method": cell.row.method,
        "preset": cell.row.preset,
        "labelled": len(cell.split.labelled),
        "validation": len(cell.split.validation),
        "seed": cell.seed,
        "test": list(cell.split.test),
    }
    write_json(path, record)
    return record


def changed_inputs(cell: Cell, study_folder: Path) -> DataError:
    """Return the error for a cell whose scans or labels are no longer those it was begun with."""
    return DataError(
        f"cell {cell.name}: its scans or labels have changed since it was begun, so its scores do not belong here",
        mend=f"delete {cell_folder(study_folder, cell)} to train it anew, or put the old files back",
    )


def _shared(cell: Cell, study_folder: Path) -> Run:
    """Return the finished training of the cell that this one shares it with."""
    run, other = Run(run_folder(study_folder, cell)), study_folder / CELLS / cell.trained_in
    if run.finished:
        return run
    text = f"cell {cell.name} predicts with the training of cell {cell.trained_in}, which "
    if state_of(other) is State.FAILED:
        raise DataError(f"{text}failed: {failure_text(other)}", mend="Mend that one first.")
    raise InterruptedRunError(f"{text}is not finished yet", mend=f"Run --cell {cell.trained_in}, then this one again.")


def _train(cell: Cell, folder: Path, study_folder: Path, *, device: str) -> Run:
    store = study_folder / STORE
    if (folder / "settings.yaml").is_file():
        return train(store, folder, resume=True, device=device)
    if folder.exists():  # stopped before anything of the run was written; the cell's lock says that nobody else is here
        shutil.rmtree(folder)
    parts: dict[str, Any] = {"labelled": cell.split.labelled, "validation": cell.split.validation or 0, "test": None}
    _check_split(TrainingData(store).split(**parts, seed=cell.seed), cell)
    return train(
        store,
        folder,
        method=cell.settings.method,
        preset=cell.settings.preset,
        settings=cell.settings.model_dump(mode="json", exclude={"method", "preset"}),
        device=device,
        **parts,
    )


def _check_split(split: Split, cell: Cell) -> None:
    """Make sure that the run will use exactly the cell's cases; above all, that no test scan is among them."""
    for part in ("labelled", "unlabelled", "validation"):
        if set(getattr(split, part)) != set(getattr(cell.split, part)):
            raise DataError(
                f"cell {cell.name}: the store gives other {part} cases than the study",
                mend=f"delete the study's folder {STORE} and run again",
            )


def _predict_and_score(run: Run, folder: Path, study_folder: Path, *, model: str, device: str) -> None:
    from fewscan.inference.predict import predict
    from fewscan.metrics.evaluate import evaluate

    predictions = folder / PREDICTIONS
    predict(run.folder / model, scans_to_predict(study_folder), predictions, device=device)
    for what in (AS_PREDICTED, LARGEST):
        evaluate(
            predictions,
            study_folder / TEST_LIST,
            out=folder / EVALUATIONS[what],
            names=class_names(study_folder),
            largest_component=what == LARGEST,
            join_classes=False,  # the study's truth is joined already
        )


def _outcome(run: Run, folder: Path) -> dict[str, Any]:
    from fewscan.inference.predict import RECORD_NAME

    scans = read_record(folder / PREDICTIONS / RECORD_NAME)["scans"]
    seconds = [scan["seconds"] for scan in scans]
    summary = run.summary
    return {
        "training_seconds": summary["training_seconds"],
        "peak_memory_mib": summary["peak_memory_mib"],
        "prediction_seconds_per_scan": round(sum(seconds) / len(seconds), 3),
    }
