"""Whole runs on a tiny data set: what a run leaves, and what it refuses."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewscan.data.image_io import read_image, write_image
from fewscan.data.prepared import PreparedStore
from fewscan.errors import DataError, UsageError
from fewscan.inference.model_file import load_model
from fewscan.tensor_file import read_tensors
from fewscan.training.checkpoint import checkpoint_files, newest_checkpoint
from fewscan.training.fabric import make_fabric
from fewscan.training.log import read_log
from fewscan.training.run import train
from fewscan.training.start import start_training


@pytest.fixture
def copied_dataset(dataset, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(dataset, tmp_path / "Dataset002_Copy")


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


def test_model_file_holds_the_last_weights(unbroken, last_weights):
    network, spec = load_model(unbroken.folder / "model.safetensors")
    assert spec.plan == unbroken.plan
    assert spec.details["annotation_cost"] == 4
    last = last_weights(unbroken)["method"]
    for name, value in network.state_dict().items():
        assert torch.equal(value, last[f"network.{name}"])


def test_model_file_says_which_scans_the_training_read(store, tmp_path, train_fast):
    """Also without its run folder; supervised training does not look at unlabelled scans."""
    found = {}
    for method in ("supervised", "mean_teacher"):
        run = train_fast(store, tmp_path / method, method=method, labelled=2, validation=1, settings={"iterations": 1})
        found[method] = load_model(shutil.copy(run.folder / "model.safetensors", tmp_path / "moved.safetensors"))[1]
        assert found[method].details["labelled"] == list(run.split.labelled)
        assert found[method].details["validation"] == list(run.split.validation)
        assert len(run.split.unlabelled) == 3
    assert found["supervised"].details["unlabelled"] == []
    assert found["mean_teacher"].details["unlabelled"] == sorted(run.split.unlabelled)


def test_weights_of_an_earlier_stage_bring_what_it_saw(store, tmp_path, train_fast):
    first = train_fast(store, tmp_path / "first", method="mean_teacher", labelled=2, settings={"iterations": 1})
    second = train_fast(store, tmp_path / "second", labelled=2, settings={"iterations": 1})
    fabric = make_fabric(torch.device("cpu"), torch.float32)
    start_training(
        second, PreparedStore(store), second.split, second.plan, second.settings, fabric,
        quiet=True, initial=first.folder / "model.safetensors",
    )  # fmt: skip
    details = load_model(second.folder / "model.safetensors")[1].details
    assert details["unlabelled"] == sorted(first.split.unlabelled)


def test_same_seed_same_weights_other_seed_other_weights(
    unbroken, store, tmp_path, train_fast, assert_same_weights, last_weights
):
    assert_same_weights(unbroken, train_fast(store, tmp_path / "again"))
    other = train_fast(store, tmp_path / "other", seed=1)
    name = next(iter(last_weights(other)["method"]))
    assert not torch.equal(last_weights(other)["method"][name], last_weights(unbroken)["method"][name])


def test_training_learns(store, tmp_path, train_fast):
    run = train_fast(store, tmp_path / "run", settings={"iterations": 40, "augmentation": "none"}, validation=1)
    validated = [record for record in read_log(run.folder / "log.jsonl") if record["kind"] == "validation"]
    assert validated[-1]["mean_dice"] > 0.8
    assert (run.folder / "model_best.safetensors").is_file()
    assert len(run.split.labelled) == 3
    assert load_model(run.folder / "model.safetensors")[1].details["annotation_cost"] == 4


def test_existing_folder_is_never_trained_into(unbroken, store, train_fast):
    with pytest.raises(UsageError, match=r"(?s)not empty.*--resume"):
        train_fast(store, unbroken.folder)


def test_a_wish_that_cannot_be_met_leaves_no_run(store, dataset, tmp_path, train_fast):
    out = tmp_path / "run"
    with pytest.raises(UsageError, match="99 cases asked for"):
        train_fast(store, out, labelled=99)
    with pytest.raises(UsageError, match="prepared store already"):
        train_fast(store, out, store=tmp_path / "elsewhere")
    assert list(out.iterdir()) == []


def test_a_shared_store_is_never_prepared_anew(copied_dataset, tmp_path, train_fast):
    shared, out = tmp_path / "shared", tmp_path / "second"
    train_fast(copied_dataset, tmp_path / "first", store=shared, settings={"iterations": 1})
    before = {path: path.stat().st_mtime_ns for path in shared.rglob("*") if path.is_file() and path.suffix == ".npy"}
    with pytest.raises(UsageError, match=r"prepared with another plan \(not the same: preparation"):
        train_fast(copied_dataset, out, store=shared, planning={"normalisation": "none"}, settings={"iterations": 1})
    assert list(out.iterdir()) == []
    assert train_fast(copied_dataset, out, store=shared, settings={"iterations": 1}).finished
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_scan_that_cannot_be_looked_at_leaves_no_run(copied_dataset, tmp_path, train_fast):
    bad, out = copied_dataset / "imagesTr" / "scan1_0000.nii.gz", tmp_path / "run"
    good = bad.read_bytes()
    bad.write_bytes(b"hello")
    with pytest.raises(DataError) as caught:
        train_fast(copied_dataset, out)
    assert f"`fewscan check {copied_dataset}` lists every problem" in caught.value.mend
    assert "repeat the same command; nothing was left" in caught.value.mend
    assert "--resume" not in caught.value.mend
    bad.write_bytes(good)
    assert train_fast(copied_dataset, out, settings={"iterations": 1}).finished  # as the message says


def test_a_label_that_cannot_be_prepared_leaves_a_run_to_resume(copied_dataset, tmp_path, train_fast):
    label, out = copied_dataset / "labelsTr" / "scan1.nii.gz", tmp_path / "run"
    good = read_image(label)
    write_image(label, good.array, replace(good.geometry, origin_mm=(5.0, 0.0, 0.0)))
    with pytest.raises(DataError, match="lies elsewhere in space") as caught:
        train_fast(copied_dataset, out, settings={"iterations": 1})
    assert "the same command with --resume continues" in caught.value.mend
    write_image(label, good.array, good.geometry)
    with pytest.raises(UsageError, match="not empty"):
        train_fast(copied_dataset, out, settings={"iterations": 1})
    assert train_fast(copied_dataset, out, settings={"iterations": 1}, resume=True).finished


def test_a_lock_left_by_a_killed_process_is_no_run(store, tmp_path, train_fast):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("{}")
    assert train_fast(store, tmp_path / "run", settings={"iterations": 1}).finished


def test_gradient_that_is_not_finite_never_reaches_the_weights(store, tmp_path, monkeypatch, train_fast):
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
            train_fast(store, out, settings=settings)
        checkpoint = newest_checkpoint(out / "checkpoints")
        assert checkpoint.step == 3
        assert all(torch.isfinite(value).all() for value in checkpoint.parts["method"].values())


def test_nan_names_the_cases_and_keeps_the_checkpoint(store, tmp_path, monkeypatch, train_fast):
    from fewscan.methods.supervised import Supervised

    original = Supervised.loss

    def broken(self, batch, step):
        terms = original(self, batch, step)
        return {name: term * float("nan") if step == 4 else term for name, term in terms.items()}

    monkeypatch.setattr(Supervised, "loss", broken)
    with pytest.raises(DataError, match=r"(?s)step 4: the loss is not finite \(supervised\); the batch held scan\d"):
        train_fast(store, tmp_path / "run")
    assert newest_checkpoint(tmp_path / "run" / "checkpoints").step == 3


def test_straight_from_a_data_set_and_labels_of_unlabelled_cases_are_never_opened(dataset, tmp_path, train_fast):
    import shutil

    copy = tmp_path / "data"
    shutil.copytree(dataset, copy)
    for name in ("scan1", "scan2", "scan3"):
        (copy / "labelsTr" / f"{name}.nii.gz").write_bytes(b"unreadable")
    (copy / "labelsTs" / "scan6.nii.gz").write_bytes(b"unreadable")
    (copy / "imagesTs" / "scan6_0000.nii.gz").write_bytes(b"unreadable")
    run = train_fast(copy, tmp_path / "run", labelled=["scan0"])
    assert run.split.labelled == ("scan0",)
    assert set(run.split.unlabelled) == {"scan1", "scan2", "scan3", "scan4", "scan5"}
    assert run.finished


def test_class_without_any_labelled_voxel_is_an_error(dataset, tmp_path, train_fast):
    import shutil

    from fewscan.data.image_io import read_image, write_image

    copy = tmp_path / "data"
    shutil.copytree(dataset, copy)
    for path in (copy / "labelsTr").iterdir():
        image = read_image(path)
        write_image(path, np.zeros_like(image.array), image.geometry)
    with pytest.raises(DataError, match="no labelled case contains ball"):
        train_fast(copy, tmp_path / "run")


def test_patch_is_rounded_up_to_what_the_network_divides(store, tmp_path, train_fast):
    run = train_fast(store, tmp_path / "run", settings={"patch_size": [15, 9, 13], "iterations": 1})
    assert run.plan.patch_size == (16, 10, 14)
    strided = {"name": "unet", "options": {"filters": [4, 8, 8], "strides": [[2, 2, 1], [2, 2, 2]]}}
    run = train_fast(store, tmp_path / "thin", settings={"patch_size": [15, 9, 5], "iterations": 1, "network": strided})
    assert run.plan.patch_size == (16, 12, 6)  # multiples of 4, 4 and 2


def test_patch_is_enlarged_where_a_single_voxel_would_remain(store, tmp_path, train_fast):
    """It cannot be normalised."""
    deep = {"name": "unet", "options": {"filters": [4, 8, 8, 8]}}
    run = train_fast(store, tmp_path / "deep", settings={"patch_size": [8, 7, 8], "iterations": 1, "network": deep})
    assert run.plan.patch_size == (8, 8, 16)


def test_a_refused_patch_leaves_no_run(store, dataset, tmp_path, train_fast):
    out = tmp_path / "run"
    for data in (store, dataset):
        with pytest.raises(UsageError, match="patch_size needs 3 entries"):
            train_fast(data, out, settings={"patch_size": [16, 16]})
        assert list(out.iterdir()) == []
    assert train_fast(store, out, settings={"iterations": 1}).finished


def test_checkpoints_are_not_pickles(unbroken):
    tensors, description = read_tensors(checkpoint_files(unbroken.folder / "checkpoints")[-1])
    assert tensors
    assert description["step"] == 8


def test_a_finished_run_says_that_it_is(copied_dataset, tmp_path, train_fast, capsys):
    train_fast(copied_dataset, tmp_path / "run", settings={"iterations": 1})
    capsys.readouterr()
    assert train(copied_dataset, tmp_path / "run", resume=True, device="cpu").finished
    assert f"{tmp_path / 'run'}: finished already, nothing is left to train" in capsys.readouterr().out
