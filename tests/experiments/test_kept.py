import json
import shutil

import pytest

from fewscan.errors import DataError
from fewscan.experiments.compare import open_study
from fewscan.experiments.kept import keep, write_tables
from fewscan.experiments.state import RUN, cell_folder


@pytest.fixture
def opened(study, finished):
    opened = open_study(study, finished)
    for cell in opened.cells:
        run = cell_folder(finished, cell) / RUN
        run.mkdir()
        (run / "environment.json").write_text('{"torch": "x"}')
    (finished / "training_loss.png").write_bytes(b"picture")
    (finished / "cases_n1.png").write_bytes(b"shows scans")
    return opened


def test_the_tables_of_what_is_kept_are_those_of_the_study(opened, finished, tmp_path):
    outputs = opened.outputs()
    kept = tmp_path / "kept"
    assert sorted(keep(opened, kept)) == sorted(cell.name for cell in opened.cells)
    assert (kept / "tables.md").read_text() == outputs.markdown()
    (kept / "tables.md").unlink()
    assert write_tables(kept).markdown() == outputs.markdown()
    assert (kept / "tables.md").is_file()


def test_neither_scans_nor_models_nor_paths_are_kept(opened, finished, tmp_path):
    first = cell_folder(finished, opened.cells[0])
    (first / "predictions").mkdir()
    (first / "predictions" / "test0.nii.gz").write_bytes(b"prediction")
    (first / RUN / "model.safetensors").write_bytes(b"weights")
    keep(opened, tmp_path / "kept")
    files = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".yaml", ".md", ".tex", ".csv", ".png"}
    assert {path.name for path in files if path.suffix == ".png"} == {"dice.png", "training_loss.png"}
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in files)


def test_an_unfinished_study_grows(opened, study, finished, tmp_path):
    kept, last = tmp_path / "kept", opened.cells[-1]
    record = cell_folder(finished, last) / "cell.json"
    whole = record.read_text()
    record.write_text(json.dumps({"state": "started"}))
    assert len(keep(opened, kept)) == len(opened.cells) - 1
    assert "NOT FINISHED: 9 of 10 cells" in (kept / "tables.md").read_text()
    record.write_text(whole)
    keep(opened, kept)
    assert "NOT FINISHED" not in (kept / "tables.md").read_text()


def test_a_cell_that_was_copied_from_a_kept_study_is_kept_with_its_environment(opened, finished, tmp_path):
    keep(opened, tmp_path / "kept")
    cell = opened.cells[0]
    shutil.rmtree(cell_folder(finished, cell))
    shutil.copytree(cell_folder(tmp_path / "kept", cell), cell_folder(finished, cell))
    keep(opened, tmp_path / "again")
    assert json.loads((cell_folder(tmp_path / "again", cell) / "environment.json").read_text()) == {"torch": "x"}


def test_cells_that_the_study_no_longer_names_go(opened, tmp_path):
    kept = tmp_path / "kept"
    keep(opened, kept)
    first = cell_folder(kept, opened.cells[0])
    first.rename(first.with_name("supervised-recommended-n1-seed0-00000000"))
    keep(opened, kept)
    assert {path.name for path in (kept / "cells").iterdir()} == {cell.name for cell in opened.cells}


def test_another_folder(tmp_path):
    with pytest.raises(DataError, match="holds no kept study"):
        write_tables(tmp_path)
