import json

import pytest
from typer.testing import CliRunner

from fewscan.cli.app import app
from fewscan.cli.cohort import parse_size
from fewscan.data.image_io import read_geometry
from fewscan.errors import UsageError

run = CliRunner().invoke


def test_sizes_are_read():
    assert parse_size(None) is None
    assert parse_size("64") == 64
    assert parse_size("96x112") == (96, 112)
    assert parse_size("48X56X48") == (48, 56, 48)
    for text in ("", "96,112", "96x", "big"):
        with pytest.raises(UsageError, match=r"--size .*expected voxels"):
            parse_size(text)


def test_a_cohort_is_made_and_described(tmp_path):
    out = tmp_path / "c"
    result = run(
        app, ["cohort", "--out", str(out), "--cases", "2", "--labelled", "1", "--test", "1", "--size", "32x40"]
    )
    assert result.exit_code == 0, result.output
    assert "2 training scans, 1 of them annotated, and 1 test scans" in result.output
    assert "cortex, white matter, deep grey matter, ventricles" in result.output
    assert f"fewscan train {out}" in result.output
    assert sorted(path.name for path in out.rglob("*.nii.gz")) == [
        "patient_001.nii.gz",
        "patient_001_0000.nii.gz",
        "patient_002_0000.nii.gz",
        "test_001.nii.gz",
        "test_001_0000.nii.gz",
    ]
    assert read_geometry(out / "imagesTs" / "test_001_0000.nii.gz").size == (32, 40)


def test_json_is_one_document(tmp_path):
    result = run(
        app,
        ["cohort", "--out", str(tmp_path), "--cases", "1", "--labelled", "0", "--test", "0", "--size", "24", "--json"],
    )
    assert result.exit_code == 0, result.output
    content = json.loads(result.output)
    assert content["cases"] == 1
    assert content["labels"]["ventricles"] == 4


def test_more_labels_than_scans_are_refused(tmp_path):
    result = run(app, ["cohort", "--out", str(tmp_path / "c"), "--cases", "2", "--labelled", "3"])
    assert isinstance(result.exception, UsageError)
    assert "3 labelled" in str(result.exception)
