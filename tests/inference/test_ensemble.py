"""Several models made one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import read_image, write_image
from fewscan.data.plan import Plan
from fewscan.data.prepare import prepare_image
from fewscan.errors import DataError, UsageError
from fewscan.inference.ensemble import ensemble
from fewscan.inference.model_file import ModelSpec, load_model, save_model
from fewscan.inference.predict import predict
from fewscan.inference.predictor import Predictor
from fewscan.networks.registry import NetworkSpec, build_network

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path, make_plan: Callable[..., Plan]) -> Save:
    """Return a function that writes an untrained model into a run folder and returns the folder."""

    def write(
        name: str, *, seed: int, network: NetworkSpec | None = None, details: dict[str, Any] | None = None, **plan: Any
    ) -> Path:
        torch.manual_seed(seed)
        network = network or NetworkSpec(name="unet", options={"filters": [4, 6], "dropout": 0.0})
        wanted = make_plan(**plan)
        built = build_network(
            network,
            dimensions=wanted.dimensions,
            channels=len(wanted.channels),
            classes=None if network.name == "mrregnet" else wanted.class_count,
        )
        spec = ModelSpec(plan=wanted, network=network, method=name, details={"seed": seed, **(details or {})})
        save_model(tmp_path / name / "model.safetensors", built, spec)
        return tmp_path / name

    return write


def probabilities(model: Path, image: np.ndarray) -> torch.Tensor:
    """Return what a model says of a prepared image."""
    predictor = Predictor.load(model, device=torch.device("cpu"), precision="fp32")
    return predictor.probabilities(image, (0.0,))


def test_it_answers_with_the_mean_of_the_probabilities(save: Save, tmp_path: Path) -> None:
    runs = [save("a", seed=1), save("b", seed=2), save("c", seed=3)]
    file = ensemble(runs, tmp_path / "all.safetensors")
    image = np.random.default_rng(0).standard_normal((1, 16, 16, 16), dtype=np.float32)
    each = torch.stack([probabilities(run, image) for run in runs])
    assert not torch.allclose(each[0], each[1])
    torch.testing.assert_close(probabilities(file, image), each.mean(dim=0), atol=1e-5, rtol=1e-4)


def test_it_predicts_scans_as_any_model_does(save: Save, tmp_path: Path) -> None:
    geometry = Geometry((20, 17, 18), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    scan = tmp_path / "scans" / "x.nii.gz"
    write_image(scan, np.random.default_rng(0).standard_normal(geometry.size, dtype=np.float32), geometry)
    file = ensemble([save("a", seed=1), save("b", seed=2)], tmp_path / "all.safetensors")
    written = predict(file, scan, tmp_path / "out", precision="fp32")
    found = read_image(written[0])
    assert found.geometry.size == geometry.size
    image = prepare_image((scan,), load_model(file)[1].plan, case_id="x").image
    assert np.array_equal(probabilities(file, image).argmax(0).numpy() == 1, found.array == 2)


def test_windows_suit_every_member(save: Save, tmp_path: Path) -> None:
    """Sides of 24 and 20, halved three times by one and once by the other: 24."""
    deep = NetworkSpec(name="unet", options={"filters": [4, 4, 4, 4], "dropout": 0.0})
    runs = [save("a", seed=1, patch_size=(20, 12, 20)), save("b", seed=2, network=deep, patch_size=(16, 8, 24))]
    _, spec = load_model(ensemble(runs, tmp_path / "all.safetensors"))
    assert spec.plan.patch_size == (24, 16, 24)


def test_it_remembers_what_its_members_saw(save: Save, tmp_path: Path) -> None:
    runs = [
        save("a", seed=1, details={"labelled": ["x"], "validation": ["v"], "unlabelled": ["u", "y"]}),
        save("b", seed=2, details={"labelled": ["y"], "unlabelled": ["x", "u"], "flip_axes": [0, 2]}),
    ]
    _, spec = load_model(ensemble(runs, tmp_path / "all.safetensors"))
    known = {key: spec.details[key] for key in ("labelled", "validation", "unlabelled", "annotation_cost")}
    assert known == {"labelled": ["x", "y"], "validation": ["v"], "unlabelled": ["u"], "annotation_cost": 3}
    assert spec.details["flip_axes"] == [0, 2]
    assert [(member["method"], member["seed"]) for member in spec.details["members"]] == [("a", 1), ("b", 2)]
    assert spec.method == "ensemble"


def test_ensembles_can_be_members(save: Save, tmp_path: Path) -> None:
    pair = ensemble([save("a", seed=1), save("b", seed=2)], tmp_path / "pair.safetensors")
    file = ensemble([pair, save("c", seed=3)], tmp_path / "all.safetensors")
    image = np.ones((1, 16, 16, 16), dtype=np.float32)
    expected = (probabilities(pair, image) + probabilities(tmp_path / "c", image)) / 2
    torch.testing.assert_close(probabilities(file, image), expected, atol=1e-5, rtol=1e-4)


def test_models_of_different_data_are_refused_with_every_difference(save: Save, tmp_path: Path) -> None:
    a = save("a", seed=1)
    b = save("b", seed=2, channels=("T2",))
    c = save("c", seed=3, preparation={"normalisation": "zscore", "clip_percentiles": None})
    with pytest.raises(DataError) as caught:
        ensemble([a, b, c], tmp_path / "all.safetensors")
    assert "b/model.safetensors: channels is ['T2'], and ['T1'] in" in caught.value.message
    assert "c/model.safetensors: preparation.normalisation is zscore, and none in" in caught.value.message
    assert not (tmp_path / "all.safetensors").exists()


def test_other_classes_are_told_one_by_one(save: Save, tmp_path: Path, make_plan: Callable[..., Plan]) -> None:
    fewer = make_plan().classes[:2]
    with pytest.raises(DataError, match=r"class count is 2, and 3 in"):
        ensemble([save("a", seed=1), save("b", seed=2, classes=fewer)], tmp_path / "all.safetensors")


def test_one_model_is_no_ensemble(save: Save, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two models or more"):
        ensemble([save("a", seed=1)], tmp_path / "all.safetensors")


def test_the_same_model_twice_is_refused(save: Save, tmp_path: Path) -> None:
    run = save("a", seed=1)
    with pytest.raises(UsageError, match="among the models already"):
        ensemble([run, run / "model.safetensors"], tmp_path / "all.safetensors")


def test_registration_models_are_refused(save: Save, tmp_path: Path) -> None:
    network = NetworkSpec(name="mrregnet", options={"filters": [4, 4]})
    with pytest.raises(UsageError, match="registration model"):
        ensemble([save("a", seed=1), save("b", seed=2, network=network)], tmp_path / "all.safetensors")


def test_models_that_need_whole_scans_are_refused(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [save("a", seed=1), save("b", seed=2)]
    monkeypatch.setattr(nn.Module, "whole_scans", True, raising=False)
    with pytest.raises(UsageError, match="lays annotated scans"):
        ensemble(runs, tmp_path / "all.safetensors")


@pytest.mark.parametrize("name", ["all", "all.pt"])
def test_the_file_is_told_by_its_name(save: Save, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"ends in \.safetensors") as caught:
        ensemble([save("a", seed=1), save("b", seed=2)], tmp_path / name)
    assert caught.value.mend == "Give --out all.safetensors."


def test_nothing_is_overwritten(save: Save, tmp_path: Path) -> None:
    run = save("a", seed=1)
    with pytest.raises(UsageError, match="is there already"):
        ensemble([run, save("b", seed=2)], run / "model.safetensors")
    assert load_model(run)[1].method == "a"
