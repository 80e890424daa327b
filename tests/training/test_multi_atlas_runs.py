"""Whole runs of the method `multi_atlas`, from a data set to label maps."""

import numpy as np
import pytest
import torch

from fewscan.data.image_io import read_image
from fewscan.data.prepared import PreparedStore
from fewscan.errors import UsageError
from fewscan.inference.model_file import load_model
from fewscan.inference.predict import predict
from fewscan.inference.predictor import Predictor
from fewscan.metrics.overlap import count_overlap
from fewscan.registration.multi_atlas import MultiAtlas
from fewscan.training.checkpoint import newest_checkpoint
from fewscan.training.log import read_log
from fewscan.training.loop import Training
from fewscan.training.run import Run, train

SETTINGS = {
    "network": {"name": "mrregnet", "options": {"filters": [8, 8], "output_stride": 2}},
    "iterations": 4,
    "batch": {"labelled": 2, "unlabelled": 2},
    "checkpoint_every": 2,
    "log_every": 1,
    "validate_every": 2,
    "precision": "fp32",
}


def _train(data, out, *, settings=None, **changes):
    settings = SETTINGS | (settings or {})
    return train(data, out, method="multi_atlas", settings=settings, quiet=True, device="cpu", **changes)


@pytest.fixture(scope="module")
def finished(store, tmp_path_factory):
    return _train(store, tmp_path_factory.mktemp("runs") / "run", labelled=2, validation=1)


def test_the_model_holds_the_labelled_scans(finished, store):
    network, spec = load_model(finished.folder / "model.safetensors")
    assert isinstance(network, MultiAtlas)
    assert spec.plan.patch_size == (20, 18, 16)
    scans = [PreparedStore(store).case(name) for name in finished.split.labelled]
    assert np.array_equal(network.atlases.images, [scan.image() for scan in scans])
    assert np.array_equal(network.atlases.labels[:, 0], [scan.label() for scan in scans])


def test_validation_is_dice_of_the_fused_labels(finished, store):
    records = [r for r in read_log(finished.folder / "log.jsonl") if r["kind"] == "validation"]
    assert [record["step"] for record in records] == [1, 3]
    (name,) = finished.split.validation
    case = PreparedStore(store).case(name)
    predictor = Predictor.load(finished.folder, device=torch.device("cpu"), precision="fp32")
    found = predictor.probabilities(np.array(case.image()), case.background).argmax(0).numpy()
    truth = case.label()
    expected = 2 * np.sum(found & truth) / (found.sum() + truth.sum())
    assert records[-1]["mean_dice"] == pytest.approx(expected, abs=1e-3)


def test_it_learns_to_segment_better_than_without_registration(store, dataset, tmp_path):
    learning = {
        "network": {"name": "mrregnet", "options": {"filters": [8, 8, 8], "output_stride": 2}},
        "iterations": 100,
        "optimiser": {"learning_rate": 3e-3},
        "hyper": {"label_weight": 1.0, "smoothness_weight": 0.05, "fusion": "average"},
    }
    still = learning | {"iterations": 1, "optimiser": {"learning_rate": 1e-6}}
    scores = {}
    for name, settings in {"still": still, "trained": learning}.items():
        run = _train(store, tmp_path / name, settings=settings, labelled=2)
        paths = predict(run.folder, dataset / "imagesTs", tmp_path / f"{name}-maps", device="cpu")
        pairs = [(read_image(path), read_image(dataset / "labelsTs" / path.name)) for path in paths]
        scores[name] = np.mean([count_overlap(found.array > 0, truth.array > 0).dice for found, truth in pairs])
    assert scores["trained"] > 0.8
    assert scores["trained"] > scores["still"] + 0.15


def test_resume_is_bit_equal(finished, store, tmp_path, monkeypatch):
    broken, original = Run(tmp_path / "broken"), Training._step

    def failing(self, step, patches):
        if step == 3:
            raise RuntimeError("power cut")
        return original(self, step, patches)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_step", failing)
        with pytest.raises(RuntimeError, match="power cut"):
            _train(store, broken.folder, labelled=2, validation=1)
    assert newest_checkpoint(broken.folder / "checkpoints").step == 2
    train(store, broken.folder, resume=True, quiet=True, device="cpu")
    first, second = (load_model(run.folder / "model.safetensors")[0].state_dict() for run in (finished, broken))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_one_labelled_scan_is_single_atlas_segmentation(store, tmp_path):
    run = _train(store, tmp_path / "run", labelled=1, settings={"ema_decay": 0.9})
    network, _ = load_model(run.folder / "model.safetensors")
    assert len(network.atlases) == 1
    assert network.atlases.labels.max() == 1  # the average of the weights leaves the atlases alone


def test_labels_and_a_registration_network_are_needed(store, tmp_path):
    with pytest.raises(UsageError, match="at least one"):
        _train(store, tmp_path / "none", labelled=0)
    with pytest.raises(UsageError, match="'unet' does not register images"):
        _train(store, tmp_path / "unet", settings={"network": {"name": "unet"}})
