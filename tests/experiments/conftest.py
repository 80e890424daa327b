"""A study whose cells are never trained: their scores are written as a finished cell would leave them."""

import json
from pathlib import Path

import pytest

from fewscan.data.layouts import load_dataset
from fewscan.experiments.cells import list_cells
from fewscan.experiments.state import AS_PREDICTED, CELL_FILE, EVALUATIONS, cell_folder
from fewscan.experiments.study import Study
from fewscan.metrics.case_scores import METRICS

TEST_CASES = [f"test{k}" for k in range(6)]


def _make_dataset(root: Path, *, cases: int = 6) -> Path:
    """NnU-Net raw without content: ``cases`` labelled training scans and six test scans. Listing opens no image."""
    for part, ids in (("Tr", [f"scan{k}" for k in range(cases)]), ("Ts", TEST_CASES)):
        for folder in (f"images{part}", f"labels{part}"):
            (root / folder).mkdir(parents=True)
        for case_id in ids:
            (root / f"images{part}" / f"{case_id}_0000.nii.gz").write_bytes(b"image")
            (root / f"labels{part}" / f"{case_id}.nii.gz").write_bytes(b"label")
    header = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "ball": 1},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(header))
    return root


def _make_study(data: Path, **changes) -> Study:
    """Two lines of the same method, two counts, two seeds, and the upper bound."""
    values = {
        "name": "balls",
        "data": str(data),
        "methods": ["supervised", {"method": "supervised", "name": "other", "settings": {"hyper.dice_weight": 0.5}}],
        "labelled": [1, 3],
        "seeds": [0, 1],
        "upper_bound": True,
    }
    return Study.parse(values | changes, source="study")


def _entry(values, index):
    return values[index] if isinstance(values, list) else values


def _score_row(case_id, value, dice, hd95_mm, jaccard):
    scores = dict.fromkeys(METRICS, 1.0)
    scores |= {"dice": dice, "jaccard": jaccard or dice / (2 - dice), "ravd": 0.1}
    scores |= {"hd95_mm": hd95_mm, "asd_mm": hd95_mm / 2, "hd95_vox": 2 * hd95_mm, "asd_vox": hd95_mm}
    plain = {metric: "inf" if score == float("inf") else score for metric, score in scores.items()}
    return {"case_id": case_id, "value": value, "prediction_voxels": 10, "truth_voxels": 12, "scores": plain}


def _finish(
    folder: Path,
    cell,
    dice,
    *,
    second_dice=None,
    dice_largest=None,
    hd95_mm=2.0,
    jaccard=None,
    seconds=60.0,
    memory=100.0,
):
    """Write what a finished cell leaves; ``dice`` (and ``hd95_mm``) is one number or one per test case.

    Jaccard follows from Dice, RAVD is 0.1, distances in voxels are twice those in mm, and ASD is half of HD95. There is
    a second class if ``second_dice`` is given.
    """
    place = cell_folder(folder, cell)
    for scored, name in EVALUATIONS.items():
        values = {1: dice if scored == AS_PREDICTED or dice_largest is None else dice_largest}
        if second_dice is not None:
            values[2] = second_dice
        rows = [
            _score_row(case_id, value, _entry(of_class, index), _entry(hd95_mm, index), jaccard)
            for index, case_id in enumerate(TEST_CASES)
            for value, of_class in values.items()
        ]
        names = {str(value): title for value, title in ((1, "ball"), (2, "box")) if value in values}
        (place / name).mkdir(parents=True, exist_ok=True)
        (place / name / "evaluation.json").write_text(json.dumps({"names": names, "scores": rows}))
    record = {"state": "finished", "inputs": "x", "training_seconds": seconds, "peak_memory_mib": memory}
    (place / CELL_FILE).write_text(json.dumps(record))


@pytest.fixture
def make_dataset():
    return _make_dataset


@pytest.fixture
def make_study():
    return _make_study


@pytest.fixture
def finish():
    return _finish


@pytest.fixture
def data(tmp_path):
    return _make_dataset(tmp_path / "Dataset001_Balls")


@pytest.fixture
def study(data):
    return _make_study(data)


@pytest.fixture
def cells(study, data):
    return list_cells(study, load_dataset(data))


# Mean Dice over the six cases of each cell, by method and labelled count: one number per seed.
DICE = {
    ("supervised", 1): (0.60, 0.64),  # mean 0.62
    ("other", 1): (0.70, 0.74),  # mean 0.72
    ("supervised", 3): (0.80, 0.80),
    ("other", 3): (0.79, 0.79),
    ("supervised", 6): (0.82, 0.82),
}


@pytest.fixture
def finished(study, cells, tmp_path):
    """A whole study with the scores of `DICE`; returns its folder."""
    folder = tmp_path / "study"
    for cell in cells:
        dice = DICE[cell.row.method, cell.row.labelled.count][cell.seed]
        # case k is 0.001 k better with the other method, so that no two differences tie
        step = 0.001 if cell.row.method == "other" else 0.0
        _finish(folder, cell, [dice + step * (k - 2.5) for k in range(6)], seconds=60.0 + 10 * cell.seed)
    return folder
