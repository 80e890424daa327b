"""Whole runs of the method `registration`: whole scans, pairs, few labels or none."""

import shutil

import numpy as np
import pytest
import torch

from fewscan.data.image_io import read_image, write_image
from fewscan.data.prepared import PreparedStore
from fewscan.errors import UsageError
from fewscan.inference.predict import predict
from fewscan.registration.predictor import RegistrationPredictor
from fewscan.training.checkpoint import newest_checkpoint
from fewscan.training.log import read_log
from fewscan.training.loop import Training
from fewscan.training.run import Run, train

SETTINGS = {
    "network": {"name": "mrregnet", "options": {"filters": [4, 4], "output_stride": 2}},
    "iterations": 4,
    "batch": {"labelled": 2, "unlabelled": 2},
    "checkpoint_every": 2,
    "log_every": 1,
    "precision": "fp32",
}


def _train(data, out, *, settings=None, **changes):
    return train(
        data, out, method="registration", settings=SETTINGS | (settings or {}), quiet=True, device="cpu", **changes
    )


def _records(run, kind):
    return [record for record in read_log(run.folder / "log.jsonl") if record["kind"] == kind]


def _same_weights(first, second):
    a, b = (newest_checkpoint(run.folder / "checkpoints").parts for run in (first, second))
    return all(torch.equal(a[part][name], b[part][name]) for part in a for name in a[part])


@pytest.fixture(scope="module")
def finished(store, tmp_path_factory):
    return _train(store, tmp_path_factory.mktemp("runs") / "run", labelled=2, validation=2)


def test_a_run_ends_in_a_model_that_registers(finished, store):
    assert finished.finished
    assert finished.plan.patch_size == (20, 18, 16)  # whole scans, though the plan's patch is another
    predictor = RegistrationPredictor.load(finished.folder, device=torch.device("cpu"), precision="fp32")
    assert predictor.spec.details["hyper"]["label_weight"] == 5.0
    scans = [np.array(PreparedStore(store).case(name).image()) for name in ("scan0", "scan4")]
    assert predictor.displacement(*scans).shape == (3, 20, 18, 16)


def test_no_scan_is_laid_onto_a_mirror_image(store, tmp_path):
    """Flips and turns are all that the preset `flips` does, so leaving them out is no augmentation at all."""
    mirrored, plain, augmented = (
        _train(store, tmp_path / name, labelled=2, settings={"augmentation": name})
        for name in ("flips", "none", "standard")
    )
    assert _same_weights(mirrored, plain)
    assert not _same_weights(augmented, plain)


def test_every_term_is_logged_and_every_step_has_labelled_pairs(finished):
    for record in _records(finished, "step"):
        assert list(record["terms"]) == ["similarity", "labels", "smoothness"]
        assert record["loss"] == pytest.approx(sum(term["product"] for term in record["terms"].values()), rel=1e-5)


def test_validation_is_on_pairs_and_chooses_the_best(finished):
    (record,) = _records(finished, "validation")
    assert set(record) == {"kind", "step", "dice", "mean_dice", "similarity", "folds", "sd_log_jacobian"}
    assert 0 < record["dice"]["ball"] <= 1
    assert record["folds"] == 0
    assert finished.summary["best_validation"] == {"step": 4, "mean_dice": record["mean_dice"]}
    assert (finished.folder / "model_best.safetensors").is_file()


def test_resume_is_bit_equal(finished, store, tmp_path, monkeypatch):
    broken = Run(tmp_path / "broken")
    original = Training._step

    def failing(self, step, patches):
        if step == 3:
            raise RuntimeError("power cut")
        return original(self, step, patches)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_step", failing)
        with pytest.raises(RuntimeError, match="power cut"):
            _train(store, broken.folder, labelled=2, validation=2)
    assert newest_checkpoint(broken.folder / "checkpoints").step == 2
    train(store, broken.folder, resume=True, quiet=True, device="cpu")
    assert _same_weights(finished, broken)


def _without_labels(dataset, folder, *, junk):
    """Copy the data set with labels that cannot be read, or without any."""
    shutil.copytree(dataset, folder)
    for label in (folder / "labelsTr").iterdir():
        label.write_bytes(b"not an image") if junk else label.unlink()
    if not junk:
        (folder / "labelsTr").rmdir()
    return folder


def test_no_labels_at_all(dataset, tmp_path):
    """None chosen and none there give the same weights: no label was opened."""
    junk = _without_labels(dataset, tmp_path / "Dataset001_Junk", junk=True)
    bare = _without_labels(dataset, tmp_path / "Dataset001_Bare", junk=False)
    runs = [_train(junk, tmp_path / "junk", labelled=0), _train(bare, tmp_path / "bare")]
    for run in runs:
        assert run.split.labelled == ()
        assert len(run.split.unlabelled) == 6
        assert {*_records(run, "step")[0]["terms"]} == {"similarity", "smoothness"}
        assert run.finished
    assert _same_weights(*runs)
    # resumed, it finds everything as it was
    (runs[0].folder / "run.json").write_text((runs[0].folder / "run.json").read_text().replace("finished", "started"))
    assert train(junk, runs[0].folder, labelled=0, resume=True, quiet=True, device="cpu").split.labelled == ()


def test_scans_of_any_layout_without_any_known_class(tmp_path, dataset):
    scans = tmp_path / "scans" / "images"
    shutil.copytree(dataset / "imagesTr", scans)
    run = _train(tmp_path / "scans", tmp_path / "run")
    assert run.finished
    assert run.plan.class_count == 1


def test_labels_are_a_wish_of_their_own_on_resume(finished, store):
    with pytest.raises(UsageError, match="other wishes than it was started with: labelled"):
        train(store, finished.folder, resume=True, labelled=0, quiet=True)


def test_a_segmentation_needs_labels(store, tmp_path):
    for method in ("supervised", "mean_teacher"):
        with pytest.raises(UsageError, match=r"(?s)labelled: 0 cases asked for.*at least one scan must be labelled"):
            train(store, tmp_path / method, method=method, labelled=0, quiet=True)


def test_scans_of_many_sizes_meet_on_the_largest(dataset, tmp_path):
    data = tmp_path / "Dataset001_Sizes"
    shutil.copytree(dataset, data)
    for number, cut in enumerate([(20, 18, 16), (17, 18, 16), (20, 11, 16), (20, 18, 13), (16, 16, 16), (19, 18, 15)]):
        for folder in ("imagesTr", "labelsTr"):
            name = f"scan{number}_0000.nii.gz" if folder == "imagesTr" else f"scan{number}.nii.gz"
            if (data / folder / name).is_file():
                image = read_image(data / folder / name)
                geometry = image.geometry.__class__.identity(cut)
                write_image(data / folder / name, image.array[tuple(slice(side) for side in cut)], geometry)
    run = _train(data, tmp_path / "run", settings={"iterations": 2})
    assert run.plan.patch_size == (20, 18, 16)
    other = _train(data, tmp_path / "other", labelled=["scan1"], settings={"iterations": 1}, test=["scan0", "scan2"])
    assert other.plan.patch_size == (20, 18, 16)
    assert all(np.isfinite(record["loss"]) for record in _records(run, "step"))


def test_slices_of_volumes_are_refused_before_anything_is_prepared(dataset, tmp_path):
    with pytest.raises(UsageError, match=r"(?s)takes whole scans and cannot train slice by slice.*--dimensions 2"):
        _train(dataset, tmp_path / "run", planning={"dimensions": 2})
    assert not (tmp_path / "run" / "store").exists()


def test_a_patch_size_is_refused(store, tmp_path):
    with pytest.raises(UsageError, match="no patch size to choose"):
        _train(store, tmp_path / "run", settings={"patch_size": [16, 16, 16]})


def test_too_little_memory_is_told_beforehand(store, tmp_path, monkeypatch):
    from types import SimpleNamespace

    from fewscan.training import whole_scans

    monkeypatch.setattr(whole_scans.psutil, "virtual_memory", lambda: SimpleNamespace(available=2**20))
    with pytest.raises(
        UsageError, match=r"(?s)4 whole scans of up to 20 x 18 x 16 voxels takes about .* GiB.*--spacing"
    ):
        _train(store, tmp_path / "run", labelled=2)


def test_other_networks_and_single_validation_cases_are_refused(store, tmp_path):
    with pytest.raises(UsageError, match="'unet' does not register images"):
        _train(store, tmp_path / "network", settings={"network": {"name": "unet"}})
    with pytest.raises(UsageError, match=r"(?s)there is one validation case.*--validation 2"):
        _train(store, tmp_path / "validation", validation=1)
    with pytest.raises(UsageError, match=r"hyper\.lambdas has 3 entries, but the network has 2 levels"):
        _train(store, tmp_path / "lambdas", settings={"hyper": {"lambdas": [4, 2, 1]}})


def test_predict_sends_to_register(finished, dataset, tmp_path):
    with pytest.raises(UsageError, match=r"(?s)is a registration model.*fewscan register"):
        predict(finished.folder, dataset / "imagesTs", tmp_path / "out", device="cpu")
