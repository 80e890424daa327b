"""What all cells of a study share: the prepared store, and the list of test scans with their true labels.

STUDY/store/              training scans, prepared once; labels only of cases that some cell trains on
STUDY/test.csv            a manifest of the test scans, which `fewscan predict` and `fewscan evaluate` read
STUDY/truth/              true labels in the classes of the study, where those join several values of the files
STUDY/preparation.json    what all this was made from
"""

import csv
import inspect
import io
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fewscan.data.case import Case, Dataset
from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedStore
from fewscan.data.store_format import INDEX_NAME, StoreIndex, content_digest, stamp
from fewscan.data.workers import ShowProgress
from fewscan.errors import DataError, UsageError
from fewscan.experiments.cells import Cell, plain_digest
from fewscan.experiments.state import read_record
from fewscan.experiments.study import Study
from fewscan.files import write_atomically, write_json
from fewscan.settings import nearest_key

STORE, TRUTH = "store", "truth"
TEST_LIST, RECORD = "test.csv", "preparation.json"


def prepare_study(
    study: Study,
    dataset: Dataset,
    cells: Sequence[Cell],
    folder: Path,
    *,
    workers: int = 1,
    progress: ShowProgress | None = None,
) -> None:
    """Prepare scans, test list and true labels for all cells; nothing is done when nothing has changed.

    Labels are opened for cases that some cell trains or validates on, and for the test cases; whether a cell may use a
    label is decided by its own split.
    """
    from fewscan.data.store import prepare_store

    labels = {case_id for cell in cells for case_id in (*cell.split.labelled, *cell.split.validation)}
    images = labels | {case_id for cell in cells for case_id in cell.split.unlabelled}
    test = [dataset[case_id] for case_id in cells[0].split.test]
    made_from = _made_from(study, dataset, images, labels, test)
    if read_record(folder / RECORD).get("made_from") == made_from and (folder / STORE / INDEX_NAME).is_file():
        return
    plan = study_plan(study, dataset, images, labels, workers=workers, progress=progress)
    _drop_other_store(folder / STORE, images)
    prepare_store(dataset, plan, folder / STORE, label_ids=labels, image_ids=images, workers=workers, progress=progress)
    write_test_list(test, plan, folder)
    files = [path for case in test for path in (*case.images, case.label) if path is not None]
    contents = _digest([content_digest(path) for path in files])
    write_json(folder / RECORD, {"made_from": made_from, "test": contents})


def study_plan(
    study: Study,
    dataset: Dataset,
    images: Iterable[str],
    labels: Iterable[str],
    *,
    workers: int = 1,
    progress: ShowProgress | None = None,
) -> Plan:
    """Return the study's plan: the one it names, or the one derived from its training images."""
    from fewscan.data.fingerprint import take_fingerprint
    from fewscan.data.planning import derive_plan

    if study.plan is not None:
        return Plan.read(Path(study.plan))
    valid = [name for name in inspect.signature(derive_plan).parameters if name not in ("dataset", "fingerprint")]
    for key in study.planning:
        if key not in valid:
            raise UsageError(f"planning: unknown key {key!r}: {nearest_key(key, valid)}")
    fingerprint = take_fingerprint(
        dataset, sorted(images), label_ids=sorted(labels), workers=workers, progress=progress
    )
    return derive_plan(dataset, fingerprint, **study.planning)


def write_test_list(cases: Sequence[Case], plan: Plan, folder: Path) -> None:
    """Write the manifest of the test scans, and their true labels where classes differ from the files' values."""
    as_filed = all(item.values == (item.output,) for item in plan.classes)
    channels = len(set(cases[0].images))
    header = ["id", *(["image"] if channels == 1 else [f"image_{k}" for k in range(channels)]), "label", "part"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for case in cases:
        label = case.label if as_filed else _write_truth(case, plan, folder / TRUTH)
        # a 4-D file stands once for all its channels
        images = dict.fromkeys(path.resolve() for path in case.images)
        writer.writerow([case.id, *images, Path(str(label)).resolve(), "test"])
    write_atomically(folder / TEST_LIST, text.getvalue().encode())


def input_digest(cell: Cell, folder: Path) -> str:
    """Return a digest of the contents of all files that a cell trains and is tested on.

    Raises
    ------
    DataError
        When the study is not prepared for this cell.
    """
    record, split = read_record(folder / RECORD), cell.split
    entries = StoreIndex.load(folder / STORE).cases if record else {}
    with_label = (*split.labelled, *split.validation)
    labelled = {case_id for case_id, entry in entries.items() if entry.label_key is not None}
    if not (set(with_label) <= labelled and set(split.unlabelled) <= entries.keys()):
        raise DataError(
            f"{folder}: not prepared for cell {cell.name}",
            mend="prepare the study first: fewscan compare STUDY --out DIR --prepare-only",
        )
    images = [entries[case_id].image_key for case_id in (*with_label, *split.unlabelled)]
    return _digest([images, [entries[case_id].label_key for case_id in with_label], record["test"]])


def class_names(folder: Path) -> dict[int, str]:
    """Return the names of the foreground classes by the value that predictions hold."""
    plan = PreparedStore(folder / STORE).plan
    return {item.output: item.name for item in plan.classes if item.output != 0}


def scans_to_predict(folder: Path) -> Path | list[Path]:
    """Return what `fewscan.inference.predict` takes: the test list, or the files where one file holds all channels."""
    from fewscan.data.layout_manifest import load_manifest

    dataset = load_manifest(folder / TEST_LIST)
    channels = len(PreparedStore(folder / STORE).plan.channels)
    if len(dataset.channel_names) == channels:
        return folder / TEST_LIST
    return [case.images[0] for case in dataset]


def _drop_other_store(store: Path, images: set[str]) -> None:
    """Delete the store of an earlier form of the study if it holds scans that are not for training any more."""
    if (store / INDEX_NAME).is_file() and not StoreIndex.load(store).cases.keys() <= images:
        shutil.rmtree(store)


def _write_truth(case: Case, plan: Plan, folder: Path) -> Path:
    from fewscan.data.image_io import read_image, write_image
    from fewscan.data.label_map import to_class_indices
    from fewscan.inference.predict import output_path

    if case.label is None:  # test cases are chosen among those with labels
        raise DataError(f"case {case.id}: no label to score against", mend="annotate it")
    image = read_image(case.label)
    indices = to_class_indices(image.array, plan.classes, path=case.label)
    values = np.array([item.output for item in plan.classes])
    dtype = np.uint8 if values.max() < 256 else np.uint16
    path = output_path(folder, case, kind=np.dtype(dtype).name, flat=image.geometry.dimensions == 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, values.astype(dtype)[indices], image.geometry)
    return path


def _made_from(study: Study, dataset: Dataset, images: set[str], labels: set[str], test: Sequence[Case]) -> str:
    """Return a digest of settings, ids, and names, sizes and times of all files; none of them is opened."""
    files = [path for case_id in sorted(images) for path in dataset[case_id].images]
    files += [path for case_id in sorted(labels) if (path := dataset[case_id].label) is not None]
    files += [path for case in test for path in (*case.images, case.label) if path is not None]
    if study.plan is not None:
        files.append(Path(study.plan))
    return _digest([study.planning, study.plan, sorted(images), sorted(labels), stamp(files)])


def _digest(value: Any) -> str:
    return plain_digest(value)[:16]
