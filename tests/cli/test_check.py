import json

import nibabel as nib
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fewscan.cli.check import check
from fewscan.errors import UsageError

app = typer.Typer()
app.command()(check)


@pytest.fixture
def folder(tmp_path):
    """Plain folders with two labelled scans and one that is not."""
    root = tmp_path / "set"
    label = np.zeros((9, 10, 11), np.uint8)
    label[3:6, 3:6, 3:6] = 1
    for number in range(3):
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / "labels").mkdir(exist_ok=True)
        scan = np.random.default_rng(number).integers(0, 99, label.shape).astype(np.int16)
        nib.save(nib.Nifti1Image(scan, np.eye(4)), root / "images" / f"s{number}.nii.gz")
        if number < 2:
            nib.save(nib.Nifti1Image(label, np.eye(4)), root / "labels" / f"s{number}.nii.gz")
    return root


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_clean_data_exits_0(folder):
    result = run(folder, "--workers", 1)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("check: 3/3 in")
    assert "  cases    3 (2 labelled, 1 unlabelled)" in lines
    assert lines[-1] == "0 errors, 0 warnings in 3 cases"


def test_errors_exit_3_after_the_whole_report(folder):
    (folder / "images" / "s2.nii.gz").write_bytes(b"")
    result = run(folder)
    assert result.exit_code == 3
    assert "images/s2.nii.gz" in result.stdout
    assert "empty" in result.stdout
    assert result.stdout.splitlines()[-1] == "1 error, 0 warnings in 3 cases"


def test_json_is_one_document_with_the_documented_keys(folder):
    (folder / "images" / "s2.nii.gz").write_bytes(b"")
    result = run(folder, "--json")
    assert result.exit_code == 3
    data = json.loads(result.stdout)
    for key in ("root", "case_count", "counts", "problems", "summary"):
        assert key in data
        assert f"{key} " in check.__doc__
    assert data["problems"][0]["case"] == "s2"
    assert all(f"{key}" in check.__doc__ for key in (*data["problems"][0], *data["summary"]))


def test_no_data_set_is_bad_usage(tmp_path):
    result = run(tmp_path / "gone")
    assert isinstance(result.exception, UsageError)
    assert "no such file or folder" in str(result.exception)


def test_bare_images_are_told_where_they_belong(folder):
    result = run(folder / "images")
    assert result.exit_code == 3
    assert f"give the folder above, {folder}" in result.stdout
    (folder / "images").rename(folder / "scans")
    result = run(folder / "scans")
    images, labels = folder / "scans" / "images", folder / "scans" / "labels"
    assert f"put the images into {images} (and the labels into {labels})" in result.stdout


def test_fix_geometry_reports_on_the_copy(folder, tmp_path):
    path = folder / "images" / "s2.nii.gz"
    shear = np.eye(4)
    shear[0, 1] = 0.1
    image = nib.load(path)
    image = nib.Nifti1Image(np.asanyarray(image.dataobj), np.eye(4))
    image.set_sform(shear, 1)
    image.set_qform(None, 0)
    nib.save(image, path)
    assert run(folder).exit_code == 3
    result = run(folder, "--fix-geometry", tmp_path / "copy", "--json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert data["root"] == str(tmp_path / "copy")
    assert [item["file"] for item in data["corrected"]] == [str(tmp_path / "copy" / "images" / "s2.nii.gz")]
    text = run(folder, "--fix-geometry", tmp_path / "copy2").stdout
    assert "voxels moved by up to" in text
    assert "wrote a copy with 1 corrected file to" in text
