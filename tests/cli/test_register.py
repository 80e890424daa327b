import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fewscan.cli.register import register
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.errors import DataError, UsageError
from fewscan.registration import register as register_module
from fewscan.registration.record import Registration

app = typer.Typer()
app.command()(register)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What the command asked of the library, which is replaced."""
    noted: list[tuple[Any, dict[str, Any]]] = []

    def stand_in(model: Any, **options: Any) -> Registration:
        progress = options.pop("progress")
        for name in ("a_to_b", "c_to_b"):
            progress(name, 2)
        noted.append((model, options))
        return Registration(options["out"], {"pairs": []}, {})

    monkeypatch.setattr(register_module, "register", stand_in)
    return noted


def test_the_defaults(calls: list[tuple[Any, dict[str, Any]]]) -> None:
    result = CliRunner().invoke(app, ["run", "--moving", "a.nii", "--fixed", "b.nii", "--out", "out"])
    assert result.exit_code == 0, result.output
    model, options = calls[0]
    assert model == Path("run")
    assert options == {
        "out": Path("out"),
        "moving": Path("a.nii"),
        "fixed": Path("b.nii"),
        "all_pairs": None,
        "pairs": None,
        "moving_labels": None,
        "fixed_labels": None,
        "classical": None,
        "align": "centre",
        "refine": 0,
        "max_folds": 0.005,
        "metric": "mutual-information",
        "seed": 0,
        "threads": 1,
        "device": "auto",
        "precision": "auto",
    }
    assert "registering: 2/2" in result.output
    assert "0 pairs registered, in out" in result.output


def test_every_option_arrives(calls: list[tuple[Any, dict[str, Any]]]) -> None:
    options = (
        "--classical demons --pairs p.csv --all-pairs folder --moving-labels l --fixed-labels m --align none "
        "--refine 5 --max-folds 0.1 --metric correlation --seed 4 --threads 2 --device cpu --precision fp32 --out out"
    )
    result = CliRunner().invoke(app, options.split())
    assert result.exit_code == 0, result.output
    model, given = calls[0]
    assert model is None
    assert given == {
        "out": Path("out"),
        "moving": None,
        "fixed": None,
        "all_pairs": Path("folder"),
        "pairs": Path("p.csv"),
        "moving_labels": Path("l"),
        "fixed_labels": Path("m"),
        "classical": "demons",
        "align": "none",
        "refine": 5,
        "max_folds": 0.1,
        "metric": "correlation",
        "seed": 4,
        "threads": 2,
        "device": "cpu",
        "precision": "fp32",
    }


def test_classical_registration_of_files_as_json(tmp_path: Path) -> None:
    grid = Geometry.identity((32, 32))
    x, y = np.indices(grid.size)
    for name, shift in (("a", 2), ("b", 0)):
        image = np.exp(-((x - 15 - shift) ** 2 + (y - 14) ** 2) / 60) + 0.1 * np.sin(x / 3) * np.cos(y / 4)
        write_image(tmp_path / f"{name}.nii.gz", image.astype(np.float32), grid)
    options = ["--classical", "affine", "--moving", str(tmp_path / "a.nii.gz"), "--fixed", str(tmp_path / "b.nii.gz")]
    result = CliRunner().invoke(app, [*options, "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["pairs"][0]["id"] == "a_to_b"
    assert printed["pairs"][0]["similarity"]["after"] > printed["pairs"][0]["similarity"]["before"]
    assert printed["out"] == str(tmp_path / "out")


def test_errors_keep_their_kind(tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*out, "--moving", "a", "--fixed", "b"])
    assert isinstance(result.exception, UsageError)
    result = CliRunner().invoke(app, [*out, str(tmp_path / "run"), "--moving", "a", "--fixed", "b"])
    assert isinstance(result.exception, UsageError)
    assert "no such model file" in str(result.exception)
    (tmp_path / "run").mkdir()  # a run that has no model yet is no mistake in the command
    result = CliRunner().invoke(app, [*out, str(tmp_path / "run"), "--moving", "a", "--fixed", "b"])
    assert isinstance(result.exception, DataError)
    assert CliRunner().invoke(app, ["--moving", "a", "--fixed", "b"]).exit_code == 2  # no --out
    assert CliRunner().invoke(app, [*out, "--refine", "-1"]).exit_code == 2
