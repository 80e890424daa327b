"""Labelled and unlabelled scans side by side, in whole runs of every method that draws patches of both.

Methods of whole scans have runs of their own: test_registration_runs, test_multi_atlas_runs.
"""

import json
import shutil

import pytest
import torch

from fewscan.methods.registry import method_class, method_names
from fewscan.training.checkpoint import newest_checkpoint
from fewscan.training.log import read_log
from fewscan.training.run import train

TWO_STREAMS = [
    name for name in method_names() if method_class(name).uses_unlabelled and not method_class(name).whole_scans
]
SMALL = {
    "discriminator_width": 4,
    # the transformer itself needs larger patches
    "transformer": {"name": "unet", "options": {"filters": [4, 8, 8], "residual": True}},
}

every_two_stream_method = pytest.mark.parametrize("name", TWO_STREAMS)


def _train(data, out, fast, *, name, quiet=True, **changes):
    # three levels: some methods compare scales of the decoder
    three = {"network": {"name": "unet", "options": {"filters": [4, 8, 8]}}}
    known = method_class(name).hyper_parameters.model_fields
    hyper = {key: value for key, value in SMALL.items() if key in known}
    settings = fast | three | {"iterations": 2, "hyper": hyper} | changes.pop("settings", {})
    return train(data, out, method=name, settings=settings, quiet=quiet, device="cpu", **changes)


def _terms(run):
    return [record["terms"].keys() for record in read_log(run.folder / "log.jsonl") if record["kind"] == "step"]


def _weights(run):
    return newest_checkpoint(run.folder / "checkpoints").parts["method"]


@every_two_stream_method
@pytest.mark.parametrize(("labelled", "unlabelled"), [(1, 3), (3, 1), (2, 2)])
def test_any_composition_of_the_batch(name, labelled, unlabelled, store, fast, tmp_path):
    batch = {"batch": {"labelled": labelled, "unlabelled": unlabelled}}
    run = _train(store, tmp_path / "run", fast, name=name, settings=batch, labelled=2)
    assert len(run.split.labelled) == 2
    assert len(run.split.unlabelled) == 4
    assert all(len(terms) > 1 for terms in _terms(run))


@every_two_stream_method
def test_labels_of_unlabelled_scans_are_never_opened(name, dataset, fast, tmp_path):
    """Neither unreadable labels nor none at all change a single weight."""
    junk, absent = tmp_path / "Dataset001_Junk", tmp_path / "Dataset001_Absent"
    labelled = ["scan0", "scan1"]
    runs = []
    for root in (junk, absent):
        shutil.copytree(dataset, root)
        for label in sorted((root / "labelsTr").iterdir()):
            if label.name.removesuffix(".nii.gz") not in labelled:
                label.unlink()
                if root is junk:
                    label.write_bytes(b"not an image")
        description = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
        (root / "dataset.json").write_text(json.dumps(description | {"numTraining": len(labelled)}))
        run = _train(root, tmp_path / f"run-{root.name}", fast, name=name, labelled=labelled)
        assert len(run.split.unlabelled) == 4
        runs.append(run)
    first, second = (_weights(run) for run in runs)
    assert all(torch.equal(first[key], second[key]) for key in first)


@every_two_stream_method
def test_without_unlabelled_scans_it_trains_supervised_and_says_so(name, store, fast, tmp_path, capsys):
    note = f"no unlabelled scans, so {name} trains on the labelled ones alone"
    none = {"batch": {"labelled": 2, "unlabelled": 0}}
    run = _train(store, tmp_path / "run", fast, name=name, settings=none, labelled=1, quiet=False)
    assert note in capsys.readouterr().out
    assert run.finished
    assert all(term.startswith("supervised") for terms in _terms(run) for term in terms)
    _train(store, tmp_path / "both", fast, name=name, labelled=1, quiet=False)
    assert note not in capsys.readouterr().out


@every_two_stream_method
def test_one_labelled_scan_is_enough(name, store, fast, tmp_path):
    run = _train(store, tmp_path / "run", fast, name=name, labelled=1)
    assert run.finished
    assert len(run.split.labelled) == 1
    assert len(run.split.unlabelled) == 5
