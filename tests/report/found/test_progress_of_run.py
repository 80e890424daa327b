import math

import pytest
import torch

from fewscan.files import write_json
from fewscan.report.found.progress_of_run import progress_of
from fewscan.report.page import compose
from fewscan.training.checkpoint import Checkpoint, save_checkpoint
from fewscan.training.run import Run


def save(folder, step, seconds):
    tensors = {"method": {"w": torch.zeros(1)}}
    return save_checkpoint(folder / "checkpoints", Checkpoint(step, tensors, {"seconds": seconds, "best": {}}))


def tiles(report):
    return {tile.label: tile.value for tile in report.tiles}


def test_a_checkpoint_tells_of_steps_after_the_last_logged_one(tmp_path, make_run, make_steps):
    folder = make_run(tmp_path / "run", finished=False, records=make_steps(30, supervised=1.0))  # logs 0, 10 and 20
    save(folder, 29, 75.0)
    found = progress_of(Run(folder))
    assert (found.logged, found.saved, found.done, found.seconds) == (21, 29, 29, 75.0)
    report = compose(folder)
    assert report.state == "NOT FINISHED: 29 steps done of 100. The same command with --resume continues."
    assert tiles(report)["training time so far"] == "1 min 15 s"


def test_steps_that_are_logged_but_not_saved_are_told_apart(tmp_path, make_run, make_steps):
    folder = make_run(tmp_path / "run", finished=False, records=make_steps(50, supervised=1.0))
    save(folder, 25, 60.0)
    report = compose(folder)
    assert report.state.startswith("NOT FINISHED: 41 steps logged of 100 (25 of them saved).")
    # sixteen more steps of half a second each
    assert tiles(report)["training time so far"] == "about 1 min 08 s"


def test_without_a_checkpoint_the_log_tells_about_the_time(tmp_path, make_run, make_steps):
    folder = make_run(tmp_path / "run", finished=False, records=make_steps(50, supervised=1.0))
    assert progress_of(Run(folder)).seconds == pytest.approx(20.5)
    assert tiles(compose(folder))["training time so far"] == "about 20 s"


def test_a_damaged_checkpoint_is_passed_over(tmp_path, make_run, make_steps):
    folder = make_run(tmp_path / "run", finished=False, records=make_steps(30, supervised=1.0))
    save(folder, 25, 60.0)
    save(folder, 29, 75.0).write_bytes(b"torn")
    assert progress_of(Run(folder)).saved == 25


def test_nothing_done_and_everything_done(tmp_path, make_run):
    begun = progress_of(Run(make_run(tmp_path / "begun", finished=False, records=[])))
    assert begun.done == 0
    assert math.isnan(begun.seconds)
    finished = compose(make_run(tmp_path / "finished"))
    assert tiles(finished)["training time"] == "2 min 45 s"


def test_stages_add_up(tmp_path, make_run, make_steps):
    folder = make_run(tmp_path / "run", finished=False, records=[])
    first = make_run(folder / "stages" / "0-segmentation", records=make_steps(100, supervised=1.0))
    write_json(first / "run.json", {"state": "finished", "training_seconds": 40.0})
    second = make_run(folder / "stages" / "0-registration", finished=False, records=make_steps(30, s=1.0))
    save(second, 25, 20.0)
    found = progress_of(Run(folder))
    assert (found.done, found.seconds) == (91 + 25, 60.0)
