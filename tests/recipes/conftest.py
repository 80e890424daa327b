"""Small prepared stores: a bright shape in a dark box, in 2-D with two structures and in 3-D with one."""

import json

import numpy as np
import pytest

from fewscan.data.fingerprint import take_fingerprint
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.layouts import load_dataset
from fewscan.data.planning import derive_plan
from fewscan.data.store import prepare_store
from fewscan.training.run import train

SIZES = {2: (20, 18), 3: (16, 14, 12)}
IDS = tuple(f"scan{k}" for k in range(6))

# Every stage of a run takes a moment: two rounds, one or two steps each.
TINY = {
    "network": {"name": "unet", "options": {"filters": [4, 8]}},
    "iterations": 12,
    "batch": {"labelled": 2, "unlabelled": 2},
    "checkpoint_every": 1,
    "log_every": 1,
    "precision": "fp32",
    "hyper.rounds": 2,
    "hyper.first_segmentation": 2,
    "hyper.first_registration": 2,
    "hyper.later_segmentation": 2,
    "hyper.later_registration": 2,
    "hyper.later_rate": 0.5,
    "hyper.views": 3,
    "hyper.registration.network.options.filters": [4, 4],
    "hyper.registration.batch.unlabelled": 2,
}


def _scan(number, size, structures):
    rng = np.random.default_rng(number)
    label = np.zeros(size, np.uint8)
    for index in range(structures):
        centre = np.array(size) / 2 + rng.uniform(-1, 1, len(size)) + (index - (structures - 1) / 2) * 5
        distance = np.sqrt(((np.indices(size).T - centre) ** 2).sum(-1).T)
        label[distance < 3.5] = index + 1
    image = 100 + 60 * label + rng.normal(0, 8, size)
    return image.astype(np.float32), label


def _store(root, *, dimensions, structures):
    """Make a data set and its store; every scan has a label."""
    for number, name in enumerate(IDS):
        # scans differ in size, as real ones do
        size = (SIZES[dimensions][0] - number % 2, *SIZES[dimensions][1:])
        image, label = _scan(number, size, structures)
        grid = Geometry.identity(size)
        write_image(root / "data" / "imagesTr" / f"{name}_0000.nii.gz", image, grid)
        write_image(root / "data" / "labelsTr" / f"{name}.nii.gz", label, grid)
    classes = {"background": 0, **{f"structure{k}": k for k in range(1, structures + 1)}}
    header = {"channel_names": {"0": "MRI"}, "labels": classes, "numTraining": len(IDS), "file_ending": ".nii.gz"}
    (root / "data" / "dataset.json").write_text(json.dumps(header))
    dataset = load_dataset(root / "data")
    plan = derive_plan(dataset, take_fingerprint(dataset, list(IDS), label_ids=list(IDS)))
    prepare_store(dataset, plan, root / "store", workers=1)
    return root / "store"


@pytest.fixture(scope="session")
def flat_store(tmp_path_factory):
    """2-D, three classes."""
    return _store(tmp_path_factory.mktemp("flat"), dimensions=2, structures=2)


@pytest.fixture(scope="session")
def volume_store(tmp_path_factory):
    """3-D, two classes."""
    return _store(tmp_path_factory.mktemp("volume"), dimensions=3, structures=1)


@pytest.fixture(scope="session")
def train_joint():
    """Train the joint framework in a moment, or continue; keywords as of `train`.

    Pictures take longer than such a training, so they are only made where asked for.
    """

    def run(store, out, *, settings=None, pictures=False, resume=False, **changes):
        values = {"quiet": True, "device": "cpu", **changes}
        if not resume:
            values = {"labelled": 2, "method": "joint", "settings": TINY | (settings or {}), **values}
        with pytest.MonkeyPatch.context() as patched:
            if not pictures:
                patched.setattr("fewscan.pictures.curves.save_learning_curves", lambda path, records: None)
                patched.setattr("fewscan.recipes.joint_rounds.draw", lambda place, folders: None)
            return train(store, out, resume=resume, **values)

    return run


@pytest.fixture(scope="session")
def finished(flat_store, train_joint, tmp_path_factory):
    """A finished run on two labelled and three unlabelled 2-D scans, with one for validation."""
    return train_joint(flat_store, tmp_path_factory.mktemp("runs") / "run", validation=1, pictures=True)
