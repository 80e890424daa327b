import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fewscan.cli.evaluate import evaluate
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.errors import DataError

app = typer.Typer()
app.command()(evaluate)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    array = np.zeros((8, 8, 8), np.uint8)
    array[2:6, 2:6, 2:6] = 1
    for case in "ab":
        write_image(tmp_path / "true" / f"{case}.nii.gz", array, Geometry.identity((8, 8, 8)))
        write_image(tmp_path / "pred" / f"{case}.nii.gz", np.roll(array, 1, axis=0), Geometry.identity((8, 8, 8)))
    return str(tmp_path / "pred"), str(tmp_path / "true")


def test_prints_the_table_and_writes_beside_the_predictions(folders: tuple[str, str]) -> None:
    result = CliRunner().invoke(app, folders)
    assert result.exit_code == 0
    assert "0.750 ± 0.000" in result.output
    names = {file.name for file in Path(folders[0]).iterdir()}
    assert {"scores.csv", "summary.csv", "evaluation.json"} <= names
    # a second time the tables lie among the predictions
    assert CliRunner().invoke(app, folders).exit_code == 0


def test_json_is_the_whole_output(folders: tuple[str, str], tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, [*folders, "--json", "--baseline", folders[1], "--out", str(tmp_path / "out"), "--largest-component"]
    )
    assert result.exit_code == 0
    data = json.loads(result.output)
    assert data["cases"] == 2
    assert data["largest_component"] is True
    assert data["comparison"][0]["worse"] == 2
    assert str(tmp_path / "out" / "comparison.csv") in data["files"]


def test_all_metrics_are_printed_on_request(folders: tuple[str, str]) -> None:
    assert "HD95 voxels" not in CliRunner().invoke(app, folders).output
    assert "HD95 voxels" in CliRunner().invoke(app, [*folders, "--all-metrics"]).output


def test_a_comparison_of_earlier_scores_is_removed_and_that_is_said(folders: tuple[str, str]) -> None:
    CliRunner().invoke(app, [*folders, "--baseline", folders[1]])
    comparison = Path(folders[0]) / "comparison.csv"
    assert comparison.is_file()
    result = CliRunner().invoke(app, folders)
    assert not comparison.exists()
    assert f"removed {comparison}: a comparison of earlier scores" in result.output
    assert "removed" not in CliRunner().invoke(app, folders).output


def test_cases_that_were_trained_on_are_named(folders: tuple[str, str]) -> None:
    record = {"training_cases": {"labelled": ["b", "z"], "validation": []}}
    (Path(folders[0]) / "prediction.json").write_text(json.dumps(record))
    result = CliRunner().invoke(app, folders)
    assert result.exit_code == 0
    warning = "1 of 2 cases was trained on: b; its score says nothing about new scans"
    assert f"WARNING: {warning}" in result.output
    found = json.loads((Path(folders[0]) / "evaluation.json").read_text())
    assert (found["trained_on"], found["validated_on"], found["warnings"]) == (["b"], [], [warning])


def test_one_file_writes_into_its_folder(folders: tuple[str, str]) -> None:
    predictions, labels = folders
    result = CliRunner().invoke(app, [f"{predictions}/a.nii.gz", f"{labels}/a.nii.gz"])
    assert result.exit_code == 0
    assert (Path(predictions) / "scores.csv").exists()


def test_missing_prediction_is_a_data_error(folders: tuple[str, str]) -> None:
    (Path(folders[0]) / "b.nii.gz").unlink()
    result = CliRunner().invoke(app, folders)
    assert isinstance(result.exception, DataError)
    assert result.exception.exit_code == 3
    assert not (Path(folders[0]) / "scores.csv").exists()
    allowed = CliRunner().invoke(app, [*folders, "--allow-missing"])
    assert allowed.exit_code == 0
    assert "NOT SCORED, no prediction: b" in allowed.output
