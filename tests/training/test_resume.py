"""Runs that were stopped, killed or finished, and go on: that nothing is lost, and no other run goes on in them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from fewscan.data.image_io import read_image, write_image
from fewscan.errors import DataError, InterruptedRunError, UsageError
from fewscan.training.checkpoint import checkpoint_files, newest_checkpoint
from fewscan.training.log import read_log
from fewscan.training.loop import Training
from fewscan.training.run import Run, train


def power_cut(*arguments, **options):
    """Stand in for what is at work when the power goes."""
    raise RuntimeError("power cut")


@pytest.mark.parametrize("extra", [{}, {"optimiser": {"name": "sgd"}, "ema_decay": 0.9}])
def test_resume_after_any_step_is_bit_equal(store, tmp_path, monkeypatch, extra, train_fast, assert_same_weights):
    whole = train_fast(store, tmp_path / "whole", settings=extra)
    broken = Run(tmp_path / "broken")
    original = Training._step

    def failing(self, step, patches):
        if step == 5:
            raise RuntimeError("power cut")
        return original(self, step, patches)

    monkeypatch.setattr(Training, "_step", failing)
    with pytest.raises(RuntimeError, match="power cut"):
        train_fast(store, broken.folder, settings=extra)
    monkeypatch.undo()
    assert newest_checkpoint(broken.folder / "checkpoints").step == 3
    train(store, broken.folder, resume=True, quiet=True, device="cpu")
    assert_same_weights(whole, broken)
    assert [r["step"] for r in read_log(broken.folder / "log.jsonl")] == list(range(8))


def test_resume_before_the_first_checkpoint_starts_over(
    unbroken, store, tmp_path, monkeypatch, train_fast, assert_same_weights
):
    def failing(self, step, patches):
        raise RuntimeError("power cut")

    monkeypatch.setattr(Training, "_step", failing)
    with pytest.raises(RuntimeError, match="power cut"):
        train_fast(store, tmp_path / "run")
    monkeypatch.undo()
    assert_same_weights(unbroken, train(store, tmp_path / "run", resume=True, quiet=True, device="cpu"))


def test_kill_9_at_random_moments(unbroken, store, fast, tmp_path, assert_same_weights):
    """Kill the real process again and again; the weights come out as if nothing had happened."""
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "fewscan",
        "train",
        str(store),
        "--method",
        "supervised",
        "--out",
        str(out),
        "--device",
        "cpu",
    ]
    start = [*command]
    for key, value in fast.items():
        start += ["--set", f"{key}={json.dumps(value)}"]
    kills = 0
    for attempt in range(12):
        process = subprocess.Popen(
            start if not (out / "settings.yaml").is_file() else [*command, "--resume"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # wait until it has begun to log, then kill it a little later, each time at another moment
        deadline = time.monotonic() + 60
        steps = len(read_log(out / "log.jsonl"))
        while process.poll() is None and len(read_log(out / "log.jsonl")) <= steps and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.004 * (attempt % 3))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        if Run(out).finished:
            break
        if kills == 3:
            subprocess.run([*command, "--resume"], check=True, capture_output=True)
            break
    assert kills
    assert Run(out).finished
    assert_same_weights(unbroken, Run(out))


def test_sigterm_saves_and_asks_to_resume(unbroken, store, tmp_path, monkeypatch, train_fast, assert_same_weights):
    original = Training._step

    def signalled(self, step, patches):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, step, patches)

    monkeypatch.setattr(Training, "_step", signalled)
    with pytest.raises(InterruptedRunError, match=r"(?s)stopped after step 5 of 8.*--resume"):
        train_fast(store, tmp_path / "run")
    monkeypatch.undo()
    assert newest_checkpoint(tmp_path / "run" / "checkpoints").step == 5
    assert_same_weights(unbroken, train(store, tmp_path / "run", resume=True, quiet=True, device="cpu"))


def test_resuming_a_finished_run_changes_nothing(unbroken, store):
    before = checkpoint_files(unbroken.folder / "checkpoints")[-1].stat().st_mtime_ns
    assert train(store, unbroken.folder, resume=True, quiet=True).finished
    assert checkpoint_files(unbroken.folder / "checkpoints")[-1].stat().st_mtime_ns == before


def test_nothing_to_resume_is_an_error(store, tmp_path):
    with pytest.raises(UsageError, match="no run to resume"):
        train(store, tmp_path / "nothing", resume=True, quiet=True)


def test_other_settings_are_refused_on_resume(unbroken, store):
    with pytest.raises(UsageError, match="cannot resume with other settings: iterations"):
        train(store, unbroken.folder, resume=True, iterations=99, quiet=True)


def test_other_wishes_are_refused_on_resume(unbroken, store, dataset, tmp_path):
    for wish in ({"labelled": 2}, {"validation": 1}, {"test": 1}, {"planning": {"dimensions": 2}}):
        with pytest.raises(UsageError, match=f"other wishes than it was started with: {next(iter(wish))}"):
            train(store, unbroken.folder, resume=True, quiet=True, **wish)
    with pytest.raises(UsageError, match=r"with: data \(.*store\)"):
        train(dataset, unbroken.folder, resume=True, quiet=True)


def test_what_is_left_out_on_resume_is_as_it_was(dataset, tmp_path, monkeypatch, train_fast):
    """Stopped while the plan is made: neither the number of labels nor the dimensions are told again."""

    out = tmp_path / "run"
    wishes = {"labelled": 2, "planning": {"dimensions": 2}, "settings": {"patch_size": [16, 16], "iterations": 1}}
    with monkeypatch.context() as patched:
        patched.setattr("fewscan.data.fingerprint.take_fingerprint", power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            train_fast(dataset, out, **wishes)
    (out / "split.json").unlink()
    run = train(dataset, out, resume=True, quiet=True, device="cpu")
    assert run.plan.dimensions == 2
    assert len(run.split.labelled) == 2


def test_same_command_with_a_settings_file_resumes(unbroken, store, fast, tmp_path):
    config = tmp_path / "fast.yaml"
    config.write_text(json.dumps(fast | {"iterations": 1}))
    same = {"config": config, "method": "mean_teacher", "preset": "paper", "quiet": True, "device": "cpu"}
    out = tmp_path / "run"
    train(store, out, **same)
    assert train(store, out, **same, resume=True).finished
    with pytest.raises(UsageError, match="other settings: preset"):
        train(store, out, **(same | {"preset": "recommended"}), resume=True)


def test_an_edited_settings_file_is_refused_on_resume(store, tmp_path, train_fast):
    run = train_fast(store, tmp_path / "run", settings={"iterations": 2})
    (run.folder / "run.json").unlink()
    changed = run.settings.model_copy(update={"seed": 7, "log_every": 5})
    changed.write(run.folder / "settings.yaml")
    with pytest.raises(UsageError, match="checkpoint of step 2 was made with other seed"):
        train(store, run.folder, resume=True, quiet=True, device="cpu")


def test_a_refusal_takes_nothing_back_from_a_run_that_was_stopped(dataset, tmp_path, monkeypatch, train_fast):
    """Killed while the plan is made; on resume the patch turns out not to fit the scans."""

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr("fewscan.data.fingerprint.take_fingerprint", power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            train_fast(dataset, out, settings={"patch_size": [16, 16]})
    before = {path.name for path in out.iterdir()}
    with pytest.raises(UsageError, match="patch_size needs 3 entries"):
        train(dataset, out, resume=True, quiet=True, device="cpu")
    assert {path.name for path in out.iterdir()} == before == {"settings.yaml", "split.json", "run.json"}


def test_scans_that_changed_are_refused_on_resume_until_they_are_back(dataset, tmp_path, monkeypatch, train_fast):
    data, out = tmp_path / "Dataset003_Changing", tmp_path / "run"
    shutil.copytree(dataset, data)
    with monkeypatch.context() as patched:
        patched.setattr(Training, "fit", power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            train_fast(data, out, labelled=2)
    labelled, unlabelled = Run(out).split.labelled[0], Run(out).split.unlabelled[0]
    image, label = data / "imagesTr" / f"{unlabelled}_0000.nii.gz", data / "labelsTr" / f"{labelled}.nii.gz"
    kept = {path: path.read_bytes() for path in (image, label)}
    for path in kept:
        found = read_image(path)
        write_image(path, found.array[::-1], found.geometry)
    with pytest.raises(DataError, match=f"images of {unlabelled}; labels of {labelled}") as caught:
        train(data, out, resume=True, quiet=True, device="cpu")
    assert "former files back" in caught.value.mend
    label.unlink()
    with pytest.raises(DataError, match=f"images of {unlabelled}; labels of {labelled}"):
        train(data, out, resume=True, quiet=True, device="cpu")
    for path, content in kept.items():
        path.write_bytes(content)
    assert train(data, out, resume=True, quiet=True, device="cpu").finished


def test_checkpoint_of_another_architecture_is_refused(unbroken, store, tmp_path, train_fast):
    run = train_fast(store, tmp_path / "run", settings={"network": {"name": "unet", "options": {"filters": [2, 4]}}})
    target = checkpoint_files(run.folder / "checkpoints")[-1]
    target.write_bytes(checkpoint_files(unbroken.folder / "checkpoints")[-1].read_bytes())
    (run.folder / "run.json").write_text('{"state": "started"}')
    with pytest.raises(DataError, match="does not fit"):
        train(store, run.folder, resume=True, quiet=True, device="cpu")
