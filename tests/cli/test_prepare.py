import json
import subprocess
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fewscan.cli.prepare import prepare
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.store import PreparedStore
from fewscan.errors import UsageError

app = typer.Typer()
app.command()(prepare)


@pytest.fixture
def data(tmp_path):
    """Two labelled training scans, one without label, and an unreadable test scan."""
    root = tmp_path / "Dataset001_Box"
    grid = Geometry.identity((20, 18, 6), (1.0, 1.0, 4.0))
    label = np.zeros(grid.size, np.uint8)
    label[5:15, 5:12, 2:4], label[5:8, 5:8, 2] = 1, 2
    for number in range(3):
        write_image(root / "imagesTr" / f"s{number}_0000.nii.gz", np.float32(100 + 50 * label), grid)
        if number < 2:
            write_image(root / "labelsTr" / f"s{number}.nii.gz", label, grid)
    (root / "imagesTs").mkdir()
    (root / "imagesTs" / "t0_0000.nii.gz").write_bytes(b"garbage")
    header = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "a": 1, "b": 2},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(header))
    return root


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in (*arguments, "--workers", 1)])


def test_prints_what_was_found_planned_and_done(data, tmp_path):
    result = run(data, "--out", tmp_path / "store")
    assert result.exit_code == 0, result.output
    assert "3 training scans, 3-D, median size 20 x 18 x 6, median spacing 1 x 1 x 4 mm" in result.output
    assert "patch 24 x 24 x 8, classes background, a, b, zscore" in result.output
    assert "disk: at most 0.1 MB for 3 cases" in result.output
    assert "3 cases ready, 2 of them with labels" in result.output
    assert f"plan: {tmp_path / 'store' / 'plan.yaml'}" in result.output
    assert PreparedStore(tmp_path / "store").ids == ("s0", "s1", "s2")


def test_json_is_the_whole_output(data, tmp_path):
    result = run(
        *(data, "--out", tmp_path / "store", "--json", "--dimensions", 2, "--slice-axis", 0),
        *("--spacing", "1,2,4", "--normalisation", "minmax", "--join-labels"),
    )
    payload = json.loads(result.output)
    assert payload["cases"] == 3
    assert payload["labelled"] == 2
    assert payload["bytes"] > 0
    assert payload["fingerprint"]["case_count"] == 3
    plan = PreparedStore(tmp_path / "store").plan
    assert payload["plan"] == plan.model_dump(mode="json")
    assert (plan.dimensions, plan.slice_axis) == (2, 0)
    assert plan.preparation.spacing_mm == (1, 2, 4)
    assert plan.preparation.normalisation == "minmax"
    assert plan.class_count == 2


def test_an_edited_plan_is_used(data, tmp_path):
    run(data, "--out", tmp_path / "store")
    plan = tmp_path / "store" / "plan.yaml"
    plan.write_text(plan.read_text(encoding="utf-8").replace("zscore", "none"))
    assert isinstance(run(data, "--out", tmp_path / "store").exception, UsageError)
    result = run(data, "--out", tmp_path / "store", "--plan", plan)
    assert result.exit_code == 0, result.output
    assert PreparedStore(tmp_path / "store").case("s0").image().max() == 200


def test_a_store_of_another_plan_is_not_replaced(data, tmp_path):
    store = tmp_path / "store"
    run(data, "--out", store)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    result = run(data, "--out", store, "--join-labels")
    assert isinstance(result.exception, UsageError)
    assert "was prepared with another plan (not the same: classes" in result.exception.message
    assert "choose another folder, or delete this one" in result.exception.mend
    assert "classes background" not in result.output  # refused before anything is said of the new plan
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    assert run(data, "--out", store).exit_code == 0
    assert run(data, "--out", store, "--plan", store / "plan.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--spacing", "1,x,1"), "not a list of numbers"),
        (("--spacing", "1,1"), "spacing needs 3 entries"),
        (("--normalisation", "z"), "normalisation"),
        (("--plan", "plan.yaml", "--join-labels"), "--plan leaves nothing to join_labels"),
        (("--plan", "absent.yaml"), "no such file"),
    ],
)
def test_contradictions_are_refused(data, tmp_path, options, message):
    result = run(data, "--out", tmp_path / "store", *options)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
    assert not (tmp_path / "store").exists()


def test_the_command_is_light_to_load():
    code = "import sys, fewscan.cli.prepare; print({'torch', 'numpy', 'pydantic', 'SimpleITK'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
