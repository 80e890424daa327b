"""Whole studies, with cells that are written instead of trained, and one that is trained."""

import json
from dataclasses import replace

import numpy as np
import pytest

import fewscan
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.errors import DataError, InterruptedRunError, UsageError
from fewscan.experiments.cells import Cell
from fewscan.experiments.compare import StudyFolder, _Reporter, compare, failed_cells, open_study
from fewscan.experiments.preparation import input_digest
from fewscan.experiments.state import State, cell_folder, note_failure, state_of
from fewscan.experiments.worker import run_cell
from fewscan.files import write_json

SIZE = (16, 16, 16)


def make_balls(root, *, training=3, test=2):
    """Bright balls in dark boxes, nnU-Net raw."""
    rng = np.random.default_rng(0)
    for number in range(training + test):
        part = "Tr" if number < training else "Ts"
        distance = np.sqrt(((np.indices(SIZE).T - rng.uniform(6, 10, 3)) ** 2).sum(-1).T)
        label = (distance < 4).astype(np.uint8)
        image = (100 + 100 * label + rng.normal(0, 5, SIZE)).astype(np.float32)
        write_image(root / f"images{part}/scan{number}_0000.nii.gz", image, Geometry.identity(SIZE))
        write_image(root / f"labels{part}/scan{number}.nii.gz", label, Geometry.identity(SIZE))
    header = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "ball": 1}, "numTraining": training}
    (root / "dataset.json").write_text(json.dumps({**header, "file_ending": ".nii.gz"}))
    return root


@pytest.fixture
def balls(tmp_path):
    return make_balls(tmp_path / "Dataset002_Balls")


@pytest.fixture
def small(balls, make_study):
    """Two methods, one count, two seeds."""
    return make_study(balls, labelled=[1], upper_bound=False)


class Writing:
    """An executor whose cells end at once: as ``outcome`` says for each cell."""

    def __init__(self, outcome):
        self.outcome, self.ran = outcome, []

    def submit(self, cell: Cell):
        self.ran.append(cell.name)
        self.code = self.outcome(cell)
        return self

    def poll(self):
        return self.code

    def stop(self):
        raise AssertionError("nobody stopped it")

    kill = stop


@pytest.fixture
def writing(finish, tmp_path):
    """An executor that finishes cells with plausible scores, but for those of ``bad``."""

    def make(bad=lambda cell: False, code=1):
        def outcome(cell):
            folder = cell_folder(tmp_path / "out", cell)
            folder.mkdir(parents=True, exist_ok=True)
            if bad(cell):
                return code
            finish(tmp_path / "out", cell, 0.8 if cell.row.method == "other" else 0.7)
            record = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
            (folder / "cell.json").write_text(json.dumps(record | {"inputs": input_digest(cell, tmp_path / "out")}))
            return 0

        return Writing(outcome)

    return make


def test_is_public():
    assert fewscan.compare is compare


def test_finished_cells_are_kept(small, writing, tmp_path, capsys):
    first = writing()
    outputs = compare(small, tmp_path / "out", executor=first)
    assert len(first.ran) == len(outputs.results) == 4
    assert "4 cells: 0 finished" in capsys.readouterr().out
    second = writing()
    compare(small, tmp_path / "out", executor=second, quiet=True)
    assert second.ran == []
    assert capsys.readouterr().out == ""
    assert (tmp_path / "out" / "tables.md").is_file()


def test_each_end_is_told(small, writing, tmp_path, capsys):
    compare(small, tmp_path / "out", executor=writing(lambda cell: cell.row.method == "other" and cell.seed == 1))
    out = capsys.readouterr().out
    assert "1/4 finished  supervised-recommended-n1-seed0" in out
    assert ": Dice % 70.00 ball" in out
    assert "FAILED: its process ended with code 1" in out


def test_the_result_told_is_that_of_the_predictions_as_they_are(small, finish, tmp_path, capsys):
    opened = open_study(small, tmp_path / "out")
    cell = opened.cells[0]
    finish(opened.folder, cell, 0.5917, second_dice=0.7083, dice_largest=0.47)
    _Reporter(opened, quiet=False)(cell, State.FINISHED)
    line = capsys.readouterr().out
    # (59.17 + 70.83) / 2 = 65
    assert line.rstrip().endswith(f"{cell.name}: Dice % 59.17 ball, 70.83 box, 65.00 mean over classes")


def test_failed_cells_are_reported_and_skipped_until_asked_for(small, writing, tmp_path):
    outputs = compare(small, tmp_path / "out", executor=writing(lambda cell: cell.seed == 1), quiet=True)
    assert len(outputs.failed) == 2
    error = failed_cells(outputs)
    assert error.exit_code == 3
    assert "2 of 4 cells failed" in str(error)
    assert "seed1" in str(error)
    assert "NOT FINISHED: 2 of 4 cells, 2 failed" in (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    again = writing()
    compare(small, tmp_path / "out", executor=again, quiet=True)
    assert again.ran == []
    compare(small, tmp_path / "out", executor=again, retry_failed=True, quiet=True)
    assert [name for name in again.ran if "seed1" in name] == again.ran
    assert len(again.ran) == 2


def test_an_interrupted_study_exits_with_4_and_has_tables(small, writing, tmp_path):
    with pytest.raises(InterruptedRunError, match="2 of 4 cells are not finished") as caught:
        compare(small, tmp_path / "out", executor=writing(lambda cell: cell.seed == 1, code=4), quiet=True)
    assert caught.value.exit_code == 4
    assert "NOT FINISHED: 2 of 4 cells." in (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    again = writing()
    assert len(compare(small, tmp_path / "out", executor=again, quiet=True).results) == 4
    assert len(again.ran) == 2


def test_a_changed_setting_makes_new_cells_and_keeps_the_old(small, writing, tmp_path, capsys):
    compare(small, tmp_path / "out", executor=writing(), quiet=True)
    changed = small.model_copy(update={"settings": {"iterations": 7}})
    again = writing()
    outputs = compare(changed, tmp_path / "out", executor=again)
    assert len(again.ran) == 4
    assert len(outputs.results) == 4
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 8
    assert capsys.readouterr().out.count("belongs to an earlier form of this study") == 4


def test_changed_scans_stop_a_study_that_has_results(small, writing, balls, tmp_path):
    compare(small, tmp_path / "out", executor=writing(), quiet=True)
    write_image(balls / "labelsTs/scan4.nii.gz", np.ones(SIZE, np.uint8), Geometry.identity(SIZE))
    with pytest.raises(DataError, match="scans or labels have changed since it was begun"):
        compare(small, tmp_path / "out", executor=writing(), quiet=True)


def test_tables_only_runs_nothing_and_needs_no_scans(small, writing, tmp_path):
    compare(small, tmp_path / "out", executor=writing(), quiet=True)
    (tmp_path / "out" / "tables.md").unlink()
    outputs = compare(small, tmp_path / "out", tables_only=True)
    assert len(outputs.results) == 4
    assert (tmp_path / "out" / "tables.md").is_file()


def test_a_foreign_folder_is_refused(small, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").touch()
    with pytest.raises(UsageError, match=r"holds other things \(thesis.docx\)"):
        compare(small, tmp_path / "out")


def test_wrong_data_is_told(make_study, balls, tmp_path):
    with pytest.raises(UsageError, match="no such folder or file"):
        open_study(make_study(tmp_path / "nowhere"), tmp_path / "out")
    (balls / "store.json").touch()
    with pytest.raises(UsageError, match="is a prepared store"):
        open_study(make_study(balls), tmp_path / "out")


@pytest.fixture
def one_cell(small, tmp_path):
    return open_study(small, tmp_path / "out")


def test_one_cell_needs_a_prepared_study_and_writes_down_why_it_failed(one_cell: StudyFolder, monkeypatch):
    name = one_cell.cells[0].name
    with pytest.raises(DataError, match="not prepared for cell"):
        one_cell.run_cell(name)
    assert state_of(cell_folder(one_cell.folder, one_cell.cells[0])) is State.WAITING
    one_cell.prepare(quiet=True)

    def explode(*args, **kwargs):
        raise MemoryError("too big")

    monkeypatch.setattr("fewscan.experiments.worker.train", explode)
    with pytest.raises(MemoryError):
        one_cell.run_cell(name)
    record = json.loads((cell_folder(one_cell.folder, one_cell.cells[0]) / "failed.json").read_text(encoding="utf-8"))
    assert record["error"] == "MemoryError: too big"
    assert "explode" in record["details"]
    assert one_cell.failures == {name: "MemoryError: too big"}


def test_an_interrupted_cell_is_no_failure(one_cell: StudyFolder, monkeypatch):
    one_cell.prepare(quiet=True)

    def stop(*args, **kwargs):
        raise InterruptedRunError("stopped after step 3")

    monkeypatch.setattr("fewscan.experiments.worker.train", stop)
    with pytest.raises(InterruptedRunError):
        one_cell.run_cell(one_cell.cells[0].name)
    assert one_cell.states[one_cell.cells[0].name] is State.STARTED


def test_an_interrupted_cell_resumes_its_run_and_one_without_a_run_starts(one_cell: StudyFolder, monkeypatch):
    one_cell.prepare(quiet=True)
    calls = []

    def record(data, out, **options):
        calls.append((options.get("resume", False), options.get("labelled"), sorted(p.name for p in out.glob("*"))))
        raise InterruptedRunError("stopped")

    monkeypatch.setattr("fewscan.experiments.worker.train", record)
    cell = one_cell.cells[0]
    run = cell_folder(one_cell.folder, cell) / "run"
    run.mkdir(parents=True)
    (run / "half-written").touch()
    with pytest.raises(InterruptedRunError):
        one_cell.run_cell(cell.name)
    run.mkdir()
    (run / "settings.yaml").touch()
    with pytest.raises(InterruptedRunError):
        one_cell.run_cell(cell.name)
    assert calls == [(False, cell.split.labelled, []), (True, None, ["settings.yaml"])]


def test_a_cell_is_not_trained_on_other_cases_than_the_study_says(one_cell: StudyFolder, monkeypatch):
    one_cell.prepare(quiet=True)
    cell = one_cell.cells[0]
    fewer = cell.split.model_copy(update={"unlabelled": cell.split.unlabelled[1:]})
    with pytest.raises(DataError, match="gives other unlabelled cases"):
        run_cell(replace(cell, split=fewer), one_cell.folder)


def test_a_cell_predicts_with_the_training_of_another(balls, make_study, tmp_path, monkeypatch):
    methods = ["supervised", "joint", {"method": "joint", "name": "combined", "predictor": "combined"}]
    study = open_study(
        make_study(balls, methods=methods, labelled=[1], seeds=[0], upper_bound=False), tmp_path / "study"
    )
    study.prepare(quiet=True)
    cells = {cell.row.method: cell for cell in study.cells}
    owner, cell = cells["joint"], cells["combined"]
    with pytest.raises(InterruptedRunError, match="not finished yet"):
        study.run_cell(cell.name)
    assert state_of(cell_folder(study.folder, cell)) is State.STARTED
    write_json(cell_folder(study.folder, owner) / "run" / "run.json", {"state": "finished"})
    used = []
    monkeypatch.setattr(
        "fewscan.experiments.worker._predict_and_score",
        lambda run, folder, study_folder, *, model, device: used.append((run.folder, folder, model)),
    )
    monkeypatch.setattr("fewscan.experiments.worker._outcome", lambda run, folder: {})
    study.run_cell(cell.name)
    folders = (cell_folder(study.folder, owner) / "run", cell_folder(study.folder, cell))
    assert used == [(*folders, "model_combined.safetensors")]
    assert not (folders[1] / "run").exists()


def test_a_cell_fails_with_the_training_that_it_shares(balls, make_study, tmp_path):
    methods = ["supervised", "joint", {"method": "joint", "name": "combined", "predictor": "combined"}]
    study = open_study(
        make_study(balls, methods=methods, labelled=[1], seeds=[0], upper_bound=False), tmp_path / "study"
    )
    study.prepare(quiet=True)
    cells = {cell.row.method: cell for cell in study.cells}
    note_failure(cell_folder(study.folder, cells["joint"]), "no memory")
    with pytest.raises(DataError, match="failed: no memory"):
        study.run_cell(cells["combined"].name)


def test_a_finished_cell_is_not_run_again(one_cell: StudyFolder, finish, monkeypatch):
    finish(one_cell.folder, one_cell.cells[0], 0.5)
    note_failure(cell_folder(one_cell.folder, one_cell.cells[0]), "older than the success")
    monkeypatch.setattr("fewscan.experiments.worker.train", None)
    run_cell(one_cell.cells[0], one_cell.folder)
    assert one_cell.states[one_cell.cells[0].name] is State.FINISHED


@pytest.mark.slow
def test_a_real_study_end_to_end(balls, make_study, tmp_path, monkeypatch):
    """Two methods, one count, one seed: one cell in this process, the other in one of its own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study = make_study(
        balls,
        labelled=[1],
        seeds=[3],
        upper_bound=False,
        settings={
            "iterations": 4,
            "network": {"name": "unet", "options": {"filters": [4, 8]}},
            "batch": {"labelled": 1, "unlabelled": 1},
            "patch_size": [16, 16, 16],
            "precision": "fp32",
        },
    )
    opened = open_study(study, tmp_path / "out")
    opened.prepare(quiet=True)
    opened.run_cell(opened.cells[0].name, device="cpu")
    outputs = compare(study, tmp_path / "out", device="cpu", quiet=True)
    assert [line.row.method for line in outputs.lines] == ["supervised", "other"]
    for result in outputs.results:
        folder = cell_folder(tmp_path / "out", result.cell)
        split = json.loads((folder / "run/split.json").read_text(encoding="utf-8"))
        assert tuple(split["labelled"]) == result.cell.split.labelled
        assert set(split["unlabelled"]) == set(result.cell.split.unlabelled)
        assert {path.name for path in (folder / "predictions").iterdir()} == {
            "prediction.json", "scan3.nii.gz", "scan4.nii.gz",
        }  # fmt: skip
        assert result.record["peak_memory_mib"] > 0
        assert [row.case_id for row in result.scores["as predicted"]] == ["scan3", "scan4"]
    assert len(outputs.results) == 2, (folder / "log.txt").read_text(encoding="utf-8")
    text = (tmp_path / "out/tables.md").read_text(encoding="utf-8")
    assert "2 test cases" in text
    assert "NOT" not in text
    assert outputs.undrawn == {}
    for name in ("training_loss", "cases_n1", "surfaces_n1"):
        assert (tmp_path / f"out/{name}.png").is_file()
