"""Pictures of a study of written cells; its scans are noise, and predictions the truth moved by the method's number."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.layouts import load_dataset
from fewscan.experiments.cells import list_cells
from fewscan.experiments.collect import collect
from fewscan.experiments.compare import compare
from fewscan.experiments.outputs import Outputs
from fewscan.experiments.state import cell_folder
from fewscan.experiments.study_pictures import choose_cases, draw_pictures

DICE = [0.5, 0.9, 0.7, 0.7, 0.6, 0.8]
SIZES = {2: (20, 24), 3: (20, 24, 16)}


def label(size, shift=0):
    mask = np.zeros(size, np.uint8)
    mask[(slice(5, 12),) * len(size)] = 1
    return np.roll(mask, shift, axis=0)


def write_scans(data, folder, size):
    """Give the test cases content, and the study its list of them."""
    folder.mkdir(exist_ok=True)
    rows = ["id,image,label,part"]
    for path in sorted((data / "labelsTs").iterdir()):
        case_id = path.name.removesuffix(".nii.gz")
        scan = data / "imagesTs" / f"{case_id}_0000.nii.gz"
        noise = np.random.default_rng(0).normal(100, 10, size).astype(np.float32)
        write_image(scan, noise, Geometry.identity(size))
        write_image(path, label(size), Geometry.identity(size))
        rows.append(f"{case_id},{scan},{path},test")
    (folder / "test.csv").write_text("\n".join(rows) + "\n")


def write_cell(folder, cell, size, shift):
    """Add the log and the predictions to a finished cell."""
    place = cell_folder(folder, cell)
    (place / "run").mkdir()
    terms = {"supervised": {"value": 1.0, "weight": 1.0, "product": 1.0}}
    records = [{"kind": "step", "step": k, "terms": terms, "loss": 1.0} for k in (0, 10)]
    (place / "run" / "log.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    for case_id in cell.split.test:
        write_image(place / "predictions" / f"{case_id}.nii.gz", label(size, shift), Geometry.identity(size))


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Draw small pictures, which takes less time."""
    for module in ("compared_planes", "compared_surfaces", "loss_curves"):
        monkeypatch.setattr(f"fewscan.pictures.{module}.DPI", 30)


@pytest.fixture
def drawable(data, make_study, finish, tmp_path):
    """Make a study of one count and two seeds whose finished cells have everything; returns it and its folder."""

    def make(dimensions=2, *, shift=1, skip=()):
        study = make_study(data, labelled=[3], upper_bound=False)
        cells, folder, size = list_cells(study, load_dataset(data)), tmp_path / "out", SIZES[dimensions]
        write_scans(data, folder, size)
        for cell in cells:
            if (cell.row.method, cell.seed) not in skip:
                finish(folder, cell, DICE)
                write_cell(folder, cell, size, shift if cell.row.method == "other" else 0)
        return study, cells, folder

    return make


def draw(study, cells, folder):
    return draw_pictures(Outputs(study, cells, collect(folder, cells)), load_dataset(study.data), folder)


def test_slices_have_losses_and_planes(drawable):
    study, cells, folder = drawable()
    drawn = draw(study, cells, folder)
    assert drawn.failed == {}
    assert [path.name for path in drawn.files] == ["training_loss.png", "cases_n3.png"]
    assert all(path.stat().st_size > 0 for path in drawn.files)


def test_volumes_have_surfaces_too_and_pictures_show_the_predictions(drawable):
    study, cells, folder = drawable(3)
    assert draw(study, cells, folder).files[-1].name == "surfaces_n3.png"
    before = {name: imread(folder / name) for name in ("cases_n3.png", "surfaces_n3.png")}
    for cell in cells:
        if cell.row.method == "other":
            for path in (cell_folder(folder, cell) / "predictions").iterdir():
                # seed 1 is not shown
                shift = 3 if cell.seed == 0 else 9
                write_image(path, label(SIZES[3], shift), Geometry.identity(SIZES[3]))
    draw(study, cells, folder)
    for name, picture in before.items():
        after = imread(folder / name)
        assert after.shape != picture.shape or np.abs(after - picture).max() > 0.2


def test_best_median_and_worst_case_of_the_baseline(drawable):
    _, cells, folder = drawable()
    result = collect(folder, cells)[0]
    # 0.9, 0.8, 0.7 (two cases, by id), 0.6, 0.5: the fourth of six is the later of the two
    assert choose_cases(result, "ball") == {"best": ("test1", 0.9), "median": ("test3", 0.7), "worst": ("test0", 0.5)}


@pytest.mark.parametrize(
    ("skip", "columns"), [([("other", 0)], 1), ([("supervised", 0)], 2), ([("supervised", 0), ("supervised", 1)], 0)]
)
def test_the_first_seed_that_the_baseline_has_is_shown_with_the_methods_that_have_it(
    drawable, skip, columns, monkeypatch
):
    shown = []
    monkeypatch.setattr(
        "fewscan.pictures.compared_planes.save_planes",
        lambda path, cases, *, class_names, title: shown.append((len(cases[0].predictions), title)),
    )
    study, cells, folder = drawable(skip=skip)
    assert draw(study, cells, folder).failed == {}
    seed = 1 if ("supervised", 0) in skip else 0
    title = f"balls: 3 labelled, seed {seed}; cases ranked by Dice of supervised"
    assert shown == ([(columns, title)] if columns else [])


def test_a_study_without_results_has_no_pictures(study, cells, tmp_path):
    drawn = draw_pictures(Outputs(study, cells, []), load_dataset(study.data), tmp_path)
    assert (drawn.files, drawn.failed) == ([], {})


def test_without_scans_the_losses_are_drawn(drawable):
    study, cells, folder = drawable()
    drawn = draw_pictures(Outputs(study, cells, collect(folder, cells)), None, folder)
    assert ([path.name for path in drawn.files], drawn.failed) == (["training_loss.png"], {})


def test_without_logs_an_earlier_picture_stays(drawable):
    study, cells, folder = drawable()
    (folder / "training_loss.png").write_bytes(b"earlier")
    for log in folder.glob("cells/*/run/log.jsonl"):
        log.unlink()
    assert [path.name for path in draw(study, cells, folder).files] == ["cases_n3.png"]
    assert (folder / "training_loss.png").read_bytes() == b"earlier"


def test_a_picture_that_fails_is_told_and_stops_nothing(drawable, capsys):
    study, cells, folder = drawable()
    (folder / "study.yaml").touch()
    for path in (cell_folder(folder, cells[0]) / "predictions").iterdir():
        path.unlink()
    outputs = compare(study, folder, tables_only=True)
    assert list(outputs.undrawn) == ["cases_n3.png"]
    assert "holds no predictions" in outputs.undrawn["cases_n3.png"]
    assert "note: cases_n3.png could not be drawn: " in capsys.readouterr().out
    assert (folder / "training_loss.png").is_file()
    assert (folder / "tables.md").is_file()
