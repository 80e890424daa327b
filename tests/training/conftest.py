"""A data set small enough to train on in a second: a bright ball in a dark box."""

import json

import numpy as np
import pytest
import torch

from fewscan.data.geometry import Geometry

SIZE = (20, 18, 16)

# A network and a schedule that learn the ball in a few steps.
FAST = {
    "network": {"name": "unet", "options": {"filters": [4, 8]}},
    "iterations": 8,
    "batch": {"labelled": 2, "unlabelled": 1},
    "patch_size": [16, 16, 16],
    "checkpoint_every": 3,
    "log_every": 1,
    "precision": "fp32",
}


def make_scan(seed):
    """Return image and label of one scan."""
    rng = np.random.default_rng(seed)
    centre = np.array(SIZE) / 2 + rng.uniform(-2, 2, 3)
    distance = np.sqrt(((np.indices(SIZE).T - centre) ** 2).sum(-1).T)
    label = (distance < 5).astype(np.uint8)
    image = 100 + 100 * label + rng.normal(0, 10, SIZE)
    return image.astype(np.float32), label


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """nnU-Net raw: scans 0 to 3 labelled, 4 and 5 unlabelled, 6 and 7 for testing."""
    from fewscan.data.image_io import write_image

    root = tmp_path_factory.mktemp("Dataset001_Ball")
    for number in range(8):
        part = "Tr" if number < 6 else "Ts"
        image, label = make_scan(number)
        grid = Geometry.identity(SIZE)
        write_image(root / f"images{part}" / f"scan{number}_0000.nii.gz", image, grid)
        if number not in (4, 5):
            write_image(root / f"labels{part}" / f"scan{number}.nii.gz", label, grid)
    (root / "dataset.json").write_text(
        json.dumps(
            {
                "channel_names": {"0": "MRI"},
                "labels": {"background": 0, "ball": 1},
                "numTraining": 4,
                "file_ending": ".nii.gz",
            }
        )
    )
    return root


@pytest.fixture(scope="session")
def store(dataset, tmp_path_factory):
    """The data set, prepared."""
    from fewscan.data.fingerprint import take_fingerprint
    from fewscan.data.layouts import load_dataset
    from fewscan.data.planning import derive_plan
    from fewscan.data.store import prepare_store

    cases = load_dataset(dataset)
    ids = [case.id for case in cases]
    plan = derive_plan(cases, take_fingerprint(cases, ids, label_ids=ids[:4]))
    place = tmp_path_factory.mktemp("prepared") / "store"
    prepare_store(cases, plan, place, workers=1)
    return place


@pytest.fixture(scope="session")
def fast():
    """Settings of a training that takes a second."""
    return FAST


@pytest.fixture(scope="session")
def train_fast(fast):
    """Return a function that trains in about a second; ``settings`` are laid over the fast ones."""
    from fewscan.training.run import train

    def run(data, out, *, settings=None, **changes):
        asked = {"method": "supervised", "settings": fast | (settings or {})}
        return train(data, out, **(asked | changes), quiet=True, device="cpu")

    return run


@pytest.fixture(scope="session")
def unbroken(store, train_fast, tmp_path_factory):
    """A run that was never stopped."""
    return train_fast(store, tmp_path_factory.mktemp("runs") / "unbroken")


@pytest.fixture(scope="session")
def last_weights():
    """Return a function that gives the tensors of a run's last checkpoint."""
    from fewscan.training.checkpoint import newest_checkpoint

    return lambda run: newest_checkpoint(run.folder / "checkpoints").parts


@pytest.fixture(scope="session")
def assert_same_weights(last_weights):
    """Return a function that compares the last checkpoints of two runs, bit for bit."""

    def compare(first, second):
        a, b = last_weights(first), last_weights(second)
        assert a.keys() == b.keys()
        for part in a:
            assert a[part].keys() == b[part].keys()
            for name in a[part]:
                assert torch.equal(a[part][name], b[part][name]), f"{part}/{name}"

    return compare
