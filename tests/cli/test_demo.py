import json
import shutil
from pathlib import Path

import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from fewscan.cli.app import app
from fewscan.cli.demo import (
    CONTENTS,
    MARKER,
    clear_folder,
    describe,
    dice_per_case,
    dice_summary,
    foreground_names,
    save_test_cases,
)
from fewscan.data.cohort import make_cohort
from fewscan.data.image_io import read_image, write_image
from fewscan.errors import UsageError
from fewscan.metrics.evaluate import evaluate


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Three test patients: the first predicted perfectly, the second without ventricles, the third without anything."""
    folder = tmp_path_factory.mktemp("demo")
    make_cohort(folder / "cohort", cases=1, labelled=1, test=3, size=(32, 40))
    labels, predictions = folder / "cohort" / "labelsTs", folder / "predictions"
    shutil.copytree(labels, predictions)
    for number, hidden in ((2, 4), (3, 1)):
        path = predictions / f"test_{number:03d}.nii.gz"
        truth = read_image(path)
        write_image(path, truth.array * (truth.array < hidden), truth.geometry)
    return folder, evaluate(predictions, labels, names=foreground_names())


def test_the_dice_of_a_case_is_the_mean_over_its_classes(scored):
    # ventricles missed: Dice (1 + 1 + 1 + 0) / 4
    assert dice_per_case(scored[1]) == {"test_001": 1.0, "test_002": 0.75, "test_003": 0.0}


def test_the_summary_is_the_mean_over_cases(scored):
    summary = dice_summary(scored[1])
    assert summary["mean_dice"] == pytest.approx((1 + 0.75 + 0) / 3)
    low, high = summary["interval"]
    assert 0 <= low < summary["mean_dice"] < high <= 1
    assert summary["dice"]["ventricles"] == pytest.approx(1 / 3)
    assert summary["dice"]["cortex"] == pytest.approx(2 / 3)


def test_the_picture_shows_three_cases(scored, tmp_path):
    folder, result = scored
    save_test_cases(tmp_path / "p.png", folder / "cohort", folder / "predictions", result, title="title")
    height, width, _ = imread(tmp_path / "p.png").shape
    assert height > 900
    assert width > 900


def test_the_description_names_result_files_and_commands(scored):
    text = describe(scored[1], {"model": Path("a/model.safetensors")}, ["fewscan cohort --out a"], labelled=4)
    assert "Dice on 3 test scans, learned from 4 annotated scans: 0.583 (95 % interval" in text
    assert "a/model.safetensors" in text
    assert "  fewscan cohort --out a" in text


def test_a_new_folder_is_made_and_marked(tmp_path):
    clear_folder(tmp_path / "new" / "demo")
    assert [path.name for path in (tmp_path / "new" / "demo").iterdir()] == [MARKER]
    empty = tmp_path / "empty"
    empty.mkdir()
    clear_folder(empty)
    assert (empty / MARKER).is_file()


def test_an_earlier_demo_is_removed_and_nothing_else(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "scan").touch()
    demo = tmp_path / "demo"
    clear_folder(demo)
    (demo / "cohort" / "imagesTr").mkdir(parents=True)
    (demo / "test_cases.png").touch()
    (demo / "notes.txt").write_text("mine")
    (demo / "run").symlink_to(precious)
    clear_folder(demo)
    assert sorted(path.name for path in demo.iterdir()) == [MARKER, "notes.txt"]
    assert (precious / "scan").is_file()
    assert {"cohort", "run", "test_cases.png"} <= set(CONTENTS)


def test_a_folder_of_something_else_is_refused_and_kept(tmp_path):
    (tmp_path / "cohort").mkdir()
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match="not the folder of an earlier demo"):
            clear_folder(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort", "file"]


def test_the_demo_runs_from_cohort_to_pictures_and_runs_again(tmp_path):
    command = ["demo", "--out", str(tmp_path / "d"), "--cases", "3", "--labelled", "2", "--test", "2"]
    for seed in ("1", "2"):
        result = CliRunner().invoke(app, [*command, "--iterations", "2", "--seed", seed, "--device", "cpu", "--json"])
        assert result.exit_code == 0, result.output
        content = json.loads(result.output)
        assert 0 <= content["mean_dice"] <= 1
        assert set(content["dice"]) == set(foreground_names().values())
        for path in content["files"].values():
            assert Path(path).is_file()
        assert all(command.startswith("fewscan ") for command in content["commands"])
        assert f"--seed {seed}" in content["commands"][0]
