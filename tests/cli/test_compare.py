import json

import pytest
import typer
import yaml
from typer.testing import CliRunner

from fewscan.cli.compare import compare
from fewscan.errors import DataError, UsageError

app = typer.Typer()
app.command()(compare)


@pytest.fixture
def study_file(tmp_path):
    """A study of three labelled scans and one test scan; listing cells opens no image."""
    data = tmp_path / "Dataset001_X"
    for part, ids in (("Tr", "abc"), ("Ts", "d")):
        for name in ids:
            for folder, ending in ((f"images{part}", "_0000.nii.gz"), (f"labels{part}", ".nii.gz")):
                (data / folder).mkdir(parents=True, exist_ok=True)
                (data / folder / f"{name}{ending}").write_bytes(b"x")
    header = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "x": 1}, "file_ending": ".nii.gz"}
    (data / "dataset.json").write_text(json.dumps({**header, "numTraining": 3}))
    path = tmp_path / "study.yaml"
    study = {"name": "s", "data": data.name, "methods": ["supervised"], "labelled": [1, "all"], "seeds": [0]}
    path.write_text(yaml.safe_dump(study))
    return path


def test_dry_run_lists_cells_and_writes_nothing(study_file):
    out = study_file.parent / "out"
    result = CliRunner().invoke(app, [str(study_file), "--out", str(out), "--dry-run"])
    assert result.exit_code == 0
    first, second, last = result.output.splitlines()
    assert first.startswith("waiting   supervised-recommended-n1-seed0-")
    assert second.startswith("waiting   supervised-recommended-all-seed0-")
    assert last == "2 cells"
    assert not out.exists()


def test_dry_run_as_json(study_file):
    result = CliRunner().invoke(app, [str(study_file), "--out", "out", "--dry-run", "--json"])
    cells = json.loads(result.output)["cells"]
    assert [cell["state"] for cell in cells] == ["waiting", "waiting"]


def test_tables_of_an_unfinished_study(study_file):
    out = study_file.parent / "out"
    result = CliRunner().invoke(app, [str(study_file), "--out", str(out), "--tables-only"])
    assert result.exit_code == 0
    assert "NOT FINISHED: 0 of 2 cells" in result.output
    assert f"{out / 'tables.md'}" in result.output
    assert "Surface distances" not in result.output
    assert (out / "dice.png").is_file()


def test_failed_cells_are_an_error_after_the_tables(study_file):
    from fewscan.experiments.compare import open_study
    from fewscan.experiments.state import cell_folder, note_failure

    out = study_file.parent / "out"
    cell = open_study(study_file, out).cells[0]
    note_failure(cell_folder(out, cell), "no memory")
    result = CliRunner().invoke(app, [str(study_file), "--out", str(out), "--tables-only", "--json"])
    assert isinstance(result.exception, DataError)
    assert "1 of 2 cells failed" in str(result.exception)
    assert json.loads(result.output)["failed"] == {cell.name: "no memory"}


def test_unknown_cell_and_contradicting_options(study_file):
    command = [str(study_file), "--out", str(study_file.parent / "out")]
    result = CliRunner().invoke(app, [*command, "--cell", "supervised"])
    assert isinstance(result.exception, UsageError)
    assert "the study has no cell 'supervised'" in str(result.exception)
    result = CliRunner().invoke(app, [*command, "--dry-run", "--tables-only"])
    assert "exclude each other" in str(result.exception)
