"""Whole runs on a tiny data set: what a run leaves, and that it cannot lose work."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from fewscan.errors import DataError, InterruptedRunError, UsageError
from fewscan.inference.model_file import load_model
from fewscan.tensor_file import read_tensors
from fewscan.training.checkpoint import checkpoint_files, newest_checkpoint
from fewscan.training.log import read_log
from fewscan.training.loop import Training
from fewscan.training.run import Run, train


def _train(data, out, fast, **changes):
    asked = {"method": "supervised", "settings": fast | changes.pop("settings", {})}
    return train(data, out, **(asked | changes), quiet=True, device="cpu")


def _weights(run):
    return newest_checkpoint(run.folder / "checkpoints").parts


def _assert_same_weights(first, second):
    a, b = _weights(first), _weights(second)
    assert a.keys() == b.keys()
    for part in a:
        assert a[part].keys() == b[part].keys()
        for name in a[part]:
            assert torch.equal(a[part][name], b[part][name]), f"{part}/{name}"


@pytest.fixture(scope="module")
def unbroken(store, fast, tmp_path_factory):
    return _train(store, tmp_path_factory.mktemp("runs") / "unbroken", fast)


def test_run_leaves_everything_about_itself(unbroken):
    names = {path.name for path in unbroken.folder.iterdir()}
    assert names >= {
        "settings.yaml", "plan.yaml", "split.json", "environment.json", "run.json",
        "log.jsonl", "curves.png", "checkpoints", "model.safetensors",
    }  # fmt: skip
    assert unbroken.finished
    assert ".lock" not in names
    assert set(unbroken.split.labelled) == {"scan0", "scan1", "scan2", "scan3"}
    assert unbroken.split.test == ("scan6", "scan7")
    assert unbroken.summary["peak_memory_mib"] > 0


def test_log_has_raw_value_weight_and_product(unbroken):
    records = read_log(unbroken.folder / "log.jsonl")
    assert [record["step"] for record in records] == list(range(8))
    for record in records:
        products = sum(term["product"] for term in record["terms"].values())
        assert record["loss"] == pytest.approx(products, rel=1e-6)
        assert record["samples_per_second"] > 0


def test_model_file_holds_the_last_weights(unbroken):
    network, spec = load_model(unbroken.folder / "model.safetensors")
    assert spec.plan == unbroken.plan
    assert spec.details["annotation_cost"] == 4
    last = _weights(unbroken)["method"]
    for name, value in network.state_dict().items():
        assert torch.equal(value, last[f"network.{name}"])


def test_same_seed_same_weights_other_seed_other_weights(unbroken, store, fast, tmp_path):
    _assert_same_weights(unbroken, _train(store, tmp_path / "again", fast))
    other = _train(store, tmp_path / "other", fast, seed=1)
    name = next(iter(_weights(other)["method"]))
    assert not torch.equal(_weights(other)["method"][name], _weights(unbroken)["method"][name])


def test_training_learns(store, fast, tmp_path):
    run = _train(store, tmp_path / "run", fast, settings={"iterations": 40, "augmentation": "none"}, validation=1)
    validated = [record for record in read_log(run.folder / "log.jsonl") if record["kind"] == "validation"]
    assert validated[-1]["mean_dice"] > 0.8
    assert (run.folder / "model_best.safetensors").is_file()
    assert len(run.split.labelled) == 3
    assert load_model(run.folder / "model.safetensors")[1].details["annotation_cost"] == 4


@pytest.mark.parametrize("extra", [{}, {"optimiser": {"name": "sgd"}, "ema_decay": 0.9}])
def test_resume_after_any_step_is_bit_equal(store, fast, tmp_path, monkeypatch, extra):
    whole = _train(store, tmp_path / "whole", fast, settings=extra)
    broken = Run(tmp_path / "broken")
    original = Training._step

    def failing(self, step, patches):
        if step == 5:
            raise RuntimeError("power cut")
        return original(self, step, patches)

    monkeypatch.setattr(Training, "_step", failing)
    with pytest.raises(RuntimeError, match="power cut"):
        _train(store, broken.folder, fast, settings=extra)
    monkeypatch.undo()
    assert newest_checkpoint(broken.folder / "checkpoints").step == 3
    train(store, broken.folder, resume=True, quiet=True, device="cpu")
    _assert_same_weights(whole, broken)
    assert [r["step"] for r in read_log(broken.folder / "log.jsonl")] == list(range(8))


def test_resume_before_the_first_checkpoint_starts_over(unbroken, store, fast, tmp_path, monkeypatch):
    def failing(self, step, patches):
        raise RuntimeError("power cut")

    monkeypatch.setattr(Training, "_step", failing)
    with pytest.raises(RuntimeError, match="power cut"):
        _train(store, tmp_path / "run", fast)
    monkeypatch.undo()
    _assert_same_weights(unbroken, train(store, tmp_path / "run", resume=True, quiet=True, device="cpu"))


def test_kill_9_at_random_moments(unbroken, store, fast, tmp_path):
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
    _assert_same_weights(unbroken, Run(out))


def test_sigterm_saves_and_asks_to_resume(unbroken, store, fast, tmp_path, monkeypatch):
    original = Training._step

    def signalled(self, step, patches):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, step, patches)

    monkeypatch.setattr(Training, "_step", signalled)
    with pytest.raises(InterruptedRunError, match=r"(?s)stopped after step 5 of 8.*--resume"):
        _train(store, tmp_path / "run", fast)
    monkeypatch.undo()
    assert newest_checkpoint(tmp_path / "run" / "checkpoints").step == 5
    _assert_same_weights(unbroken, train(store, tmp_path / "run", resume=True, quiet=True, device="cpu"))


def test_resuming_a_finished_run_changes_nothing(unbroken, store):
    before = checkpoint_files(unbroken.folder / "checkpoints")[-1].stat().st_mtime_ns
    assert train(store, unbroken.folder, resume=True, quiet=True).finished
    assert checkpoint_files(unbroken.folder / "checkpoints")[-1].stat().st_mtime_ns == before


def test_existing_folder_is_never_trained_into(unbroken, store, fast):
    with pytest.raises(UsageError, match=r"(?s)not empty.*--resume"):
        _train(store, unbroken.folder, fast)


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


def test_what_is_left_out_on_resume_is_as_it_was(dataset, fast, tmp_path, monkeypatch):
    """Stopped while the plan is made: neither the number of labels nor the dimensions are told again."""

    def power_cut(*arguments, **options):
        raise RuntimeError("power cut")

    out = tmp_path / "run"
    wishes = {"labelled": 2, "planning": {"dimensions": 2}, "settings": {"patch_size": [16, 16], "iterations": 1}}
    with monkeypatch.context() as patched:
        patched.setattr("fewscan.data.fingerprint.take_fingerprint", power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            _train(dataset, out, fast, **wishes)
    (out / "split.json").unlink()
    run = train(dataset, out, resume=True, quiet=True, device="cpu")
    assert run.plan.dimensions == 2
    assert len(run.split.labelled) == 2


def test_a_wish_that_cannot_be_met_leaves_no_run(store, dataset, fast, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(UsageError, match="99 cases asked for"):
        _train(store, out, fast, labelled=99)
    with pytest.raises(UsageError, match="prepared store already"):
        _train(store, out, fast, store=tmp_path / "elsewhere")
    assert list(out.iterdir()) == []


def test_a_lock_left_by_a_killed_process_is_no_run(store, fast, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("{}")
    assert _train(store, tmp_path / "run", fast, settings={"iterations": 1}).finished


def test_same_command_with_a_settings_file_resumes(unbroken, store, fast, tmp_path):
    config = tmp_path / "fast.yaml"
    config.write_text(json.dumps(fast | {"iterations": 1}))
    same = {"config": config, "method": "mean_teacher", "preset": "paper", "quiet": True, "device": "cpu"}
    out = tmp_path / "run"
    train(store, out, **same)
    assert train(store, out, **same, resume=True).finished
    with pytest.raises(UsageError, match="other settings: preset"):
        train(store, out, **(same | {"preset": "recommended"}), resume=True)


def test_an_edited_settings_file_is_refused_on_resume(store, fast, tmp_path):
    run = _train(store, tmp_path / "run", fast, settings={"iterations": 2})
    (run.folder / "run.json").unlink()
    changed = run.settings.model_copy(update={"seed": 7, "log_every": 5})
    changed.write(run.folder / "settings.yaml")
    with pytest.raises(UsageError, match="checkpoint of step 2 was made with other seed"):
        train(store, run.folder, resume=True, quiet=True, device="cpu")


def test_gradient_that_is_not_finite_never_reaches_the_weights(store, fast, tmp_path, monkeypatch):
    from fewscan.methods.supervised import Supervised

    original = Supervised.loss

    def broken(self, batch, step):
        terms = original(self, batch, step)
        # the root of 0 is 0, and its slope is infinite
        spike = next(self.parameters()).mul(0).sum().sqrt()
        return {name: term + spike if step == 5 else term for name, term in terms.items()}

    monkeypatch.setattr(Supervised, "loss", broken)
    for clip in (12.0, None):
        out = tmp_path / f"run{clip}"
        settings = {"optimiser": {"clip_gradient_norm": clip}}
        with pytest.raises(DataError, match=r"step 5: the gradient is not finite; the batch held scan\d"):
            _train(store, out, fast, settings=settings)
        checkpoint = newest_checkpoint(out / "checkpoints")
        assert checkpoint.step == 3
        assert all(torch.isfinite(value).all() for value in checkpoint.parts["method"].values())


def test_nan_names_the_cases_and_keeps_the_checkpoint(store, fast, tmp_path, monkeypatch):
    from fewscan.methods.supervised import Supervised

    original = Supervised.loss

    def broken(self, batch, step):
        terms = original(self, batch, step)
        return {name: term * float("nan") if step == 4 else term for name, term in terms.items()}

    monkeypatch.setattr(Supervised, "loss", broken)
    with pytest.raises(DataError, match=r"(?s)step 4: the loss is not finite \(supervised\); the batch held scan\d"):
        _train(store, tmp_path / "run", fast)
    assert newest_checkpoint(tmp_path / "run" / "checkpoints").step == 3


def test_straight_from_a_data_set_and_labels_of_unlabelled_cases_are_never_opened(dataset, fast, tmp_path):
    import shutil

    copy = tmp_path / "data"
    shutil.copytree(dataset, copy)
    for name in ("scan1", "scan2", "scan3"):
        (copy / "labelsTr" / f"{name}.nii.gz").write_bytes(b"unreadable")
    (copy / "labelsTs" / "scan6.nii.gz").write_bytes(b"unreadable")
    (copy / "imagesTs" / "scan6_0000.nii.gz").write_bytes(b"unreadable")
    run = _train(copy, tmp_path / "run", fast, labelled=["scan0"])
    assert run.split.labelled == ("scan0",)
    assert set(run.split.unlabelled) == {"scan1", "scan2", "scan3", "scan4", "scan5"}
    assert run.finished


def test_class_without_any_labelled_voxel_is_an_error(dataset, fast, tmp_path):
    import shutil

    from fewscan.data.image_io import read_image, write_image

    copy = tmp_path / "data"
    shutil.copytree(dataset, copy)
    for path in (copy / "labelsTr").iterdir():
        image = read_image(path)
        write_image(path, np.zeros_like(image.array), image.geometry)
    with pytest.raises(DataError, match="no labelled case contains ball"):
        _train(copy, tmp_path / "run", fast)


def test_patch_is_rounded_up_to_what_the_network_divides(store, fast, tmp_path):
    run = _train(store, tmp_path / "run", fast, settings={"patch_size": [15, 9, 13], "iterations": 1})
    assert run.plan.patch_size == (16, 10, 14)
    strided = {"name": "unet", "options": {"filters": [4, 8, 8], "strides": [[2, 2, 1], [2, 2, 2]]}}
    run = _train(
        store, tmp_path / "thin", fast, settings={"patch_size": [15, 9, 5], "iterations": 1, "network": strided}
    )
    assert run.plan.patch_size == (16, 12, 6)  # multiples of 4, 4 and 2


def test_patch_of_other_dimensions_is_an_error(store, fast, tmp_path):
    with pytest.raises(UsageError, match="patch_size needs 3 entries"):
        _train(store, tmp_path / "run", fast, settings={"patch_size": [16, 16]})


def test_checkpoint_of_another_architecture_is_refused(unbroken, store, fast, tmp_path):
    run = _train(store, tmp_path / "run", fast, settings={"network": {"name": "unet", "options": {"filters": [2, 4]}}})
    target = checkpoint_files(run.folder / "checkpoints")[-1]
    target.write_bytes(checkpoint_files(unbroken.folder / "checkpoints")[-1].read_bytes())
    (run.folder / "run.json").write_text('{"state": "started"}')
    with pytest.raises(DataError, match="does not fit"):
        train(store, run.folder, resume=True, quiet=True, device="cpu")


def test_checkpoints_are_not_pickles(unbroken):
    tensors, description = read_tensors(checkpoint_files(unbroken.folder / "checkpoints")[-1])
    assert tensors
    assert description["step"] == 8
