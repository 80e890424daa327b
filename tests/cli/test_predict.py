import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fewscan.cli.predict import predict
from fewscan.errors import UsageError
from fewscan.inference import predict as predict_module
from fewscan.inference.predictions import Predictions

app = typer.Typer()
app.command()(predict)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What the command asked of the library, which is replaced."""
    noted: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def stand_in(*args: Any, **options: Any) -> Predictions:
        progress = options.pop("progress")
        for name in ("a", "b"):
            progress(name, 2)
        noted.append((args, options))
        out = args[2]
        files = [out / "a.nii.gz", out / "b.nii.gz"]
        return Predictions(out, files, record=out / "prediction.json", removed=("report.html", "scores.csv"))

    monkeypatch.setattr(predict_module, "predict", stand_in)
    return noted


def test_the_defaults(calls: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
    result = CliRunner().invoke(app, ["run", "scans", "--out", "out"])
    assert result.exit_code == 0, result.output
    assert calls == [
        (
            (Path("run"), [Path("scans")], Path("out")),
            {
                "predictor": None,
                "device": "auto",
                "precision": "auto",
                "views": 1,
                "overlap": 0.5,
                "confidence": False,
                "largest_component": False,
            },
        )
    ]
    assert "predicting: 2/2" in result.output
    assert "2 predictions in out" in result.output
    assert "removed report.html, scores.csv: made of the predictions that were here before\n" in result.output


def test_every_option_arrives(calls: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
    options = "--out out --confidence --largest-component --views 4 --overlap 0.25 --device cpu --precision bf16"
    scans = ["one.nii.gz", "two.nii.gz"]
    result = CliRunner().invoke(app, ["run", *scans, *options.split(), "--predictor", "combined"])
    assert result.exit_code == 0, result.output
    args, given = calls[0]
    assert args[1] == [Path("one.nii.gz"), Path("two.nii.gz")]
    assert given == {
        "predictor": "combined",
        "device": "cpu",
        "precision": "bf16",
        "views": 4,
        "overlap": 0.25,
        "confidence": True,
        "largest_component": True,
    }


def test_json_and_nothing_else(calls: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
    result = CliRunner().invoke(app, ["run", "scans", "--out", "out", "--json"])
    assert calls
    assert json.loads(result.stdout) == {
        "out": "out",
        "predictions": [str(Path("out/a.nii.gz")), str(Path("out/b.nii.gz"))],
        "removed": ["report.html", "scores.csv"],
    }


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "run"), str(tmp_path), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, UsageError)
    assert "no such model file" in str(result.exception)


def test_no_views_at_all_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["run", "scans", "--out", "out", "--views", "0"]).exit_code == 2
