"""Folders as the commands leave them, written by hand: nothing is trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.layouts import load_dataset
from fewscan.data.plan import Plan
from fewscan.experiments.cells import list_cells
from fewscan.experiments.state import CELL_FILE, EVALUATIONS, cell_folder
from fewscan.experiments.study import Study
from fewscan.files import write_json
from fewscan.metrics.case_scores import METRICS
from fewscan.metrics.evaluate import evaluate
from fewscan.registration.transform_file import write_displacement
from fewscan.training.settings import resolve_settings

HOSTILE = "<script>alert('x')</script>&\"$\\frac"
"""What no page may take as anything but text."""


def _steps(count, **weights):
    records = []
    for number in range(0, count, 10):
        values = {name: (2.0 - number / count, weight) for name, weight in weights.items()}
        terms = {name: {"value": v, "weight": w, "product": v * w} for name, (v, w) in values.items()}
        loss = sum(term["product"] for term in terms.values())
        speed = {"seconds": 0.5, "samples_per_second": 8.0, "peak_memory_mib": 300.0}
        records.append({"kind": "step", "step": number, "terms": terms, "loss": loss, "lr": 0.01, **speed})
    return records


def _make_run(
    folder: Path, *, method="mean_teacher", finished=True, records=None, data="DATA", names=("ball",)
) -> Path:
    """A training of 100 steps on scans a and b, with c unlabelled and v for validation."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = resolve_settings(method=method, config={}, overrides={"iterations": 100, "seed": 7})
    settings.write(folder / "settings.yaml")
    classes = [{"name": "background", "values": [0], "output": 0}]
    classes += [{"name": name, "values": [k + 1], "output": k + 1} for k, name in enumerate(names)]
    values = {"name": "Balls", "dimensions": 2, "image_dimensions": 2, "channels": ["MR"], "patch_size": [16, 16]}
    Plan.parse({**values, "classes": classes, "median_size": [16, 16]}, source="plan").write(folder / "plan.yaml")
    split = {"labelled": ["a", "b"], "unlabelled": ["c"], "validation": ["v"], "seed": 7}
    write_json(folder / "split.json", split)
    write_json(
        folder / "environment.json", {"fewscan": "9.8.7", "torch": "2.13.0", "processor": "a processor", "cores": 2}
    )
    asked = {"labelled": 2, "validation": 1, "test": None, "plan": None, "planning": None}
    record = {"state": "started", "data": str(data), "asked": asked}
    if finished:
        record |= {"state": "finished", "training_seconds": 165.0, "peak_memory_mib": 2048.0}
        record["best_validation"] = {"step": 100, "mean_dice": 0.81}
        (folder / "model.safetensors").write_bytes(b"weights")
    write_json(folder / "run.json", record)
    if records is None:
        records = _steps(100, supervised=1.0, consistency=0.1)
        records.append({"kind": "validation", "step": 99, "dice": {"ball": 0.81}, "mean_dice": 0.81})
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def _ball(shape, centre, radius):
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


def _make_predictions(
    root: Path, *, shape=(20, 18), cases=("p0", "p1", "p2"), confidence=False, scored=True, model=None
):
    """Balls of radius 4; the prediction of case k is moved by k voxels along the first axis."""
    geometry = Geometry.identity(shape, (2.0,) * len(shape))
    rng = np.random.default_rng(0)
    centre = tuple(n // 2 for n in shape)
    folder = root / "predictions"
    for k, case in enumerate(cases):
        truth = _ball(shape, centre, 4).astype(np.uint8)
        scan = (100 * truth + 20 + 5 * rng.standard_normal(shape)).astype(np.float32)
        write_image(root / "scans" / f"{case}.nii.gz", scan, geometry)
        write_image(root / "labels" / f"{case}.nii.gz", truth, geometry)
        prediction = np.roll(truth, k, axis=0)
        write_image(folder / f"{case}.nii.gz", prediction, geometry)
        if confidence:
            sure = np.full(shape, 0.95 - 0.1 * k, np.float32)
            write_image(folder / f"{case}_confidence.nii.gz", sure, geometry)
    classes = [{"name": "background", "values": [0], "output": 0}, {"name": "ball", "values": [1], "output": 1}]
    record = {
        "classes": classes,
        "model": str(model or root / "gone" / "model.safetensors"),
        "method": "mean_teacher",
        "network": {"name": "unet", "options": {}},
        "settings": {"device": "cpu", "precision": "float32", "views": ["identity"], "overlap": 0.5},
        "versions": {"fewscan": "9.8.7", "torch": "2.13.0"},
        "scans": [{"id": case, "files": [f"{case}.nii.gz"], "seconds": 0.5 + k} for k, case in enumerate(cases)],
        "failures": {},
    }
    write_json(folder / "prediction.json", record)
    if scored:
        evaluate(folder, root / "labels").write(folder)
    return folder


def _make_registration(root: Path, *, shift=3, labels=True) -> Path:
    """One pair: the moving scan is the fixed one, ``shift`` voxels of 2 mm further along the first axis."""
    shape = (24, 20)
    geometry = Geometry.identity(shape, (2.0, 2.0))
    fixed = _ball(shape, (12, 10), 5)
    moving = np.roll(fixed, shift, axis=0)
    for side, array in (("fixed", fixed), ("moving", moving)):
        write_image(root / f"{side}.nii.gz", 50 * array.astype(np.float32) + 1, geometry)
    folder, pair = root / "registration", "moving_to_fixed"
    field = np.zeros((2, *shape), np.float32)
    field[0] = 2.0 * shift
    write_displacement(folder / f"{pair}_field.nii.gz", field, geometry)
    write_image(folder / f"{pair}.nii.gz", 50 * fixed.astype(np.float32) + 1, geometry)
    rows = []
    if labels:
        write_image(folder / f"{pair}_labels.nii.gz", fixed.astype(np.uint8), geometry)
        rows = [{"value": 1, "dice_before": 0.5, "dice_after": 1.0, "hd95_mm_before": 6.0, "hd95_mm_after": 0.0}]
    record = {
        "model": None,
        "classical": "demons",
        "settings": {
            "align": "none",
            "refine": 0,
            "max_folds": 0.005,
            "metric": "correlation",
            "seed": 3,
            "threads": 1,
        },
        "versions": {"fewscan": "9.8.7"},
        "labels": {"moving": "masks", "fixed": "truth.nii.gz"} if labels else {},
        "without_labels": {},
        "pairs": [
            {
                "id": pair,
                **{side: {"id": side, "images": [str(root / f"{side}.nii.gz")]} for side in ("moving", "fixed")},
                "files": [],
                "similarity": {"before": 0.3, "after": 0.9},
                "inside": 0.9,
                "fold_fraction": 0.0,
                "sd_log_jacobian": 0.0,
                "smallest_mm": 6.0,
                "largest_mm": 6.0,
                "labels": rows,
                "mean_dice": {"before": 0.5, "after": 1.0} if labels else None,
                "flags": [],
                "seconds": {"read": 0.1, "register": 2.0},
            }
        ],
        "failures": {},
    }
    write_json(folder / "registration.json", record)
    return folder


TESTS = [f"t{k}" for k in range(6)]
DICE = {"supervised": 0.6, "mean_teacher": 0.7}


def _make_study(root: Path, *, skip=(), pictures=True) -> Path:
    """Supervised and Mean Teacher with one label and two seeds; case k scores 0.01 k more than the first."""
    shape, geometry = (16, 16), Geometry.identity((16, 16))
    data, folder = root / "Dataset001_Balls", root / "study"
    ball = _ball(shape, (8, 8), 4).astype(np.uint8)
    for part, ids in (("Tr", ["s0", "s1", "s2"]), ("Ts", TESTS)):
        for case in ids:
            write_image(data / f"images{part}" / f"{case}_0000.nii.gz", 9 * ball.astype(np.float32), geometry)
            write_image(data / f"labels{part}" / f"{case}.nii.gz", ball, geometry)
    header = {"channel_names": {"0": "MR"}, "labels": {"background": 0, "ball": 1}, "file_ending": ".nii.gz"}
    (data / "dataset.json").write_text(json.dumps({**header, "numTraining": 3}))
    values = {
        "name": "balls",
        "data": str(data),
        "methods": ["supervised", {"method": "mean_teacher", "label": "Teacher"}],
        "labelled": [1],
        "seeds": [0, 1],
    }
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(values))
    lines = [f"{case},{data}/imagesTs/{case}_0000.nii.gz,{data}/labelsTs/{case}.nii.gz,test" for case in TESTS]
    (folder / "test.csv").write_text("\n".join(["id,image,label,part", *lines]) + "\n")
    study = Study.read(folder / "study.yaml")
    for cell in list_cells(study, load_dataset(data)):
        if (cell.row.method, cell.seed) not in skip:
            _finish(folder, cell, ball, geometry, pictures=pictures)
    return folder


def _finish(folder, cell, ball, geometry, *, pictures):
    place = cell_folder(folder, cell)
    rows = []
    for k, case in enumerate(TESTS):
        dice = DICE[cell.row.method] + 0.01 * k + 0.02 * cell.seed
        scores = dict.fromkeys(METRICS, 1.0) | {"dice": dice, "jaccard": dice / (2 - dice)}
        rows.append({"case_id": case, "value": 1, "prediction_voxels": 9, "truth_voxels": 10, "scores": scores})
        if pictures:
            write_image(place / "predictions" / f"{case}.nii.gz", np.roll(ball, 1, axis=0), geometry)
    for scored in EVALUATIONS:
        target = place / EVALUATIONS[scored]
        target.mkdir(parents=True, exist_ok=True)
        write_json(target / "evaluation.json", {"names": {"1": "ball"}, "scores": rows})
    _make_run(place / "run", method=cell.settings.method)
    cell.settings.write(place / "run" / "settings.yaml")
    write_json(place / "run" / "split.json", cell.split.model_dump(mode="json"))
    record = {"state": "finished", "inputs": "x", "method": cell.row.method, "preset": cell.row.preset, "labelled": 1}
    record |= {
        "digest": cell.digest,
        "seed": cell.seed,
        "test": TESTS,
        "training_seconds": 60.0,
        "peak_memory_mib": 99.0,
    }
    write_json(place / CELL_FILE, record | {"prediction_seconds_per_scan": 0.25})


@pytest.fixture(scope="session")
def hostile():
    return HOSTILE


def _of_kind(kind, blocks):
    return [block for block in blocks if isinstance(block, kind)]


def _blocks_in(report, name, kind=object):
    blocks = [block for section in report.sections if section.name == name for block in section.blocks]
    return _of_kind(kind, [each for block in blocks for each in (block, *getattr(block, "blocks", ()))])


@pytest.fixture(scope="session")
def of_kind():
    """Return a function that gives those of the blocks that are of a kind."""
    return _of_kind


@pytest.fixture(scope="session")
def blocks_in():
    """Return a function that gives the blocks of a section, of one kind or all, those inside of a fold included."""
    return _blocks_in


@pytest.fixture(scope="session")
def make_steps():
    return _steps


@pytest.fixture(scope="session")
def make_run():
    return _make_run


@pytest.fixture(scope="session")
def make_predictions():
    return _make_predictions


@pytest.fixture(scope="session")
def make_registration():
    return _make_registration


@pytest.fixture(scope="session")
def make_study():
    return _make_study
