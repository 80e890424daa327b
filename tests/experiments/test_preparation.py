"""Preparation of a study, on real (tiny) scans."""

import json

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import read_image, write_image
from fewscan.data.layouts import load_dataset
from fewscan.data.prepared import PreparedStore
from fewscan.errors import DataError, UsageError
from fewscan.experiments.cells import list_cells
from fewscan.experiments.preparation import TRUTH, class_names, input_digest, prepare_study, scans_to_predict
from fewscan.metrics.evaluate import evaluate

SIZE = (8, 9, 10)


@pytest.fixture
def real(tmp_path):
    """BraTS case folders with the labels 0, 1, 2 and 4."""
    rng = np.random.default_rng(0)
    for number in range(6):
        folder = tmp_path / "brats" / "HGG" / f"case{number}"
        label = rng.choice(np.array([0, 1, 2, 4], np.uint8), SIZE)
        image = rng.normal(100, 10, SIZE).astype(np.float32) + label
        write_image(folder / f"case{number}_flair.nii.gz", image, Geometry.identity(SIZE))
        write_image(folder / f"case{number}_seg.nii.gz", label, Geometry.identity(SIZE))
    return tmp_path / "brats"


@pytest.fixture
def prepared(real, make_study, tmp_path):
    """Prepare with changes of the study; returns its folder, data set and cells."""

    def prepare(**changes):
        values = {"labelled": [1], "seeds": [0, 1], "test": 2, "planning": {"join_labels": True}, "upper_bound": False}
        study = make_study(real, **(values | changes))
        dataset = load_dataset(real)
        cells = list_cells(study, dataset)
        prepare_study(study, dataset, cells, tmp_path / "study")
        return tmp_path / "study", dataset, cells

    return prepare


def test_only_labels_of_some_cell_and_no_test_scan_is_prepared(prepared):
    folder, _, cells = prepared()
    store = PreparedStore(folder / "store")
    assert len(store) == 4
    assert not set(store.ids) & set(cells[0].split.test)
    assert {case for case in store.ids if store.case(case).has_label} == {
        case for cell in cells for case in cell.split.labelled
    }


def test_joined_labels_give_a_truth_that_predictions_can_be_scored_against(prepared):
    folder, dataset, cells = prepared()
    assert class_names(folder) == {1: "foreground"}
    assert scans_to_predict(folder) == folder / "test.csv"
    case_id = cells[0].split.test[0]
    original = read_image(dataset[case_id].label).array
    truth = read_image(folder / TRUTH / f"{case_id}.nii.gz").array
    assert np.array_equal(truth, original > 0)
    # a prediction of everything but background is perfect
    result = evaluate(folder / TRUTH, folder / "test.csv", names=class_names(folder))
    assert result.case_ids == tuple(sorted(cells[0].split.test))
    assert result.row("foreground", "dice").mean == 1.0


def test_labels_as_they_are_need_no_copy(prepared):
    folder, dataset, cells = prepared(planning={})
    assert not (folder / TRUTH).exists()
    assert class_names(folder) == {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}
    assert str(dataset[cells[0].split.test[0]].label) in (folder / "test.csv").read_text(encoding="utf-8")


def test_nothing_is_done_twice(prepared, monkeypatch):
    prepared()

    def fail(*args, **kwargs):
        raise AssertionError("prepared again")

    monkeypatch.setattr("fewscan.experiments.preparation.study_plan", fail)
    prepared()
    with pytest.raises(AssertionError, match="prepared again"):
        prepared(seeds=[0, 1, 2], labelled=[2])


def test_other_test_cases_leave_no_test_scan_in_the_store(prepared):
    prepared(test=["case0", "case1"])
    folder, _, _ = prepared(test=["case4", "case5"])
    assert set(PreparedStore(folder / "store").ids) == {"case0", "case1", "case2", "case3"}


def test_changed_files_are_noticed(prepared, real):
    folder, dataset, cells = prepared()
    before = input_digest(cells[0], folder)
    test_label = dataset[cells[0].split.test[0]].label
    write_image(test_label, np.ones(SIZE, np.uint8), Geometry.identity(SIZE))
    prepared()
    changed = input_digest(cells[0], folder)
    assert changed != before
    train_label = dataset[cells[0].split.labelled[0]].label
    write_image(train_label, np.ones(SIZE, np.uint8), Geometry.identity(SIZE))
    prepared()
    assert input_digest(cells[0], folder) != changed


def test_a_cell_that_is_not_prepared_is_refused(prepared, make_study, real):
    folder, dataset, _ = prepared()
    other = list_cells(make_study(real, labelled=["all"], test=2, seeds=[0], upper_bound=False), dataset)[0]
    with pytest.raises(DataError, match="not prepared for cell supervised-recommended-all"):
        input_digest(other, folder)


def test_unknown_wish_for_the_plan(prepared):
    with pytest.raises(UsageError, match="planning: unknown key 'join_label': did you mean 'join_labels'"):
        prepared(planning={"join_label": True})


def test_a_given_plan_is_used(prepared, tmp_path):
    folder, _, _ = prepared()
    text = (folder / "store" / "plan.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace("name: foreground", "name: whole tumour"))
    folder, _, _ = prepared(plan=str(tmp_path / "mine.yaml"), planning={})
    assert class_names(folder) == {1: "whole tumour"}


def test_one_file_with_all_channels_is_predicted_by_path(make_study, tmp_path):
    root = tmp_path / "Task"
    rng = np.random.default_rng(0)
    entries = []
    for number in range(4):
        image = np.stack([rng.normal(100, 10, SIZE)] * 2, axis=-1).astype(np.float32)
        _write_4d(root / f"imagesTr/c{number}.nii.gz", image)
        label = rng.integers(0, 2, SIZE).astype(np.uint8)
        write_image(root / f"labelsTr/c{number}.nii.gz", label, Geometry.identity(SIZE))
        entries.append({"image": f"./imagesTr/c{number}.nii.gz", "label": f"./labelsTr/c{number}.nii.gz"})
    header = {"modality": {"0": "A", "1": "B"}, "labels": {"0": "background", "1": "x"}, "training": entries}
    (root / "dataset.json").write_text(json.dumps({**header, "test": [], "tensorImageSize": "4D"}))
    dataset = load_dataset(root)
    study = make_study(root, labelled=[1], seeds=[0], test=["c3"], upper_bound=False)
    prepare_study(study, dataset, list_cells(study, dataset), tmp_path / "study")
    assert scans_to_predict(tmp_path / "study") == [root / "imagesTr/c3.nii.gz"]


def _write_4d(path, array):
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, -1.0, 1.0, 1.0])), path)
