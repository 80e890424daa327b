"""Two scans of any sizes, and where the voxels of one lie in the other."""

import numpy as np
import pytest
import torch
from torch import nn

from fewscan.data.plan import LabelClass, Plan
from fewscan.errors import DataError, UsageError
from fewscan.inference.model_file import ModelSpec, save_model
from fewscan.inference.predictor import Predictor
from fewscan.networks.registry import NetworkSpec, build_network
from fewscan.registration.predictor import RegistrationPredictor

CPU = torch.device("cpu")
SPEC = NetworkSpec(name="mrregnet", options={"filters": [4, 4]})


def plan_of(*patch, channels=1):
    return Plan(
        name="pairs",
        dimensions=len(patch),
        image_dimensions=len(patch),
        channels=tuple(f"c{k}" for k in range(channels)),
        classes=(LabelClass(name="background", values=(0,), output=0), LabelClass(name="one", values=(1,), output=1)),
        patch_size=patch,
    )


class Constant(nn.Module):
    """Answers with one displacement everywhere, and keeps what it was shown."""

    def __init__(self, *by):
        super().__init__()
        self.by = torch.tensor(by)

    def displacement(self, moving, fixed):
        self.moving, self.fixed = moving, fixed
        shape = (len(moving), len(self.by), *moving.shape[2:])
        return self.by.reshape(1, -1, *[1] * len(self.by)).expand(shape).clone()


def predictor(network, plan, **details):
    spec = ModelSpec(plan=plan, network=SPEC, method="registration", details=details)
    return RegistrationPredictor(network=network, spec=spec, device=CPU)


def scan(*size, channels=1, low=-2.0):
    image = np.random.default_rng(0).normal(size=(channels, *size)).astype(np.float32)
    image.flat[0] = low
    return image


def test_scans_are_centred_and_padded_with_their_background():
    network = Constant(0.0, 0.0)
    made = predictor(network, plan_of(8, 6))
    moving, fixed = scan(4, 6), scan(7, 3, low=-5.0)
    made.displacement(moving, fixed, moving_background=(9.0,))
    assert network.moving.shape == network.fixed.shape == (1, 1, 8, 6)
    # four of eight: two on each side; seven of eight: none before, one behind; three of six: one before, two behind
    assert np.array_equal(network.moving[0, 0, 2:6], moving[0])
    assert (network.moving[0, 0, [0, 1, 6, 7]] == 9).all()
    assert np.array_equal(network.fixed[0, 0, :7, 1:4], fixed[0])
    # padded with the lowest value unless told
    assert (network.fixed[0, 0, 7] == -5).all()


@pytest.mark.parametrize(
    ("moving", "fixed", "patch"),
    [((4, 6), (7, 3), (8, 6)), ((9, 5), (4, 4), (2, 2)), ((5, 5), (5, 5), (6, 9)), ((3, 3), (10, 12), (4, 4))],
)
def test_displacement_counts_from_fixed_to_moving_index(moving, fixed, patch):
    """If nothing moves on the common grid, p + u(p) is the moving voxel that lies where p of the fixed scan does."""
    network = Constant(0.0, 0.0)
    a, b = (np.arange(np.prod(size), dtype=np.float32).reshape(1, *size) for size in (moving, fixed))
    found = predictor(network, plan_of(*patch)).displacement(a, b, moving_background=(-1.0,), fixed_background=(-1.0,))
    assert found.shape == (2, *fixed)
    assert found.dtype == np.float32
    seen, met = 0, network.moving[0, 0].numpy()
    for p in np.ndindex(*fixed):
        (place,) = np.argwhere(network.fixed[0, 0].numpy() == b[(0, *p)])
        there = tuple(int(v) for v in np.array(p) + found[(slice(None), *p)])
        if all(0 <= v < n for v, n in zip(there, moving, strict=True)):
            assert a[(0, *there)] == met[tuple(place)]
            seen += 1
        else:
            assert met[tuple(place)] == -1
    assert seen == (np.minimum(moving, fixed)).prod()


def test_the_networks_own_displacement_is_kept():
    made = predictor(Constant(1.5, -0.25, 2.0), plan_of(6, 6, 6))
    found = made.displacement(scan(6, 6, 6), scan(6, 6, 6))
    assert [np.unique(part).tolist() for part in found] == [[1.5], [-0.25], [2.0]]


@pytest.mark.parametrize("size", [(9, 11), (16, 16), (33, 20)])
def test_a_real_network_takes_any_size(size):
    made = predictor(build_network(SPEC, dimensions=2, channels=2).eval(), plan_of(16, 16, channels=2))
    assert made.displacement(scan(12, 17, channels=2), scan(*size, channels=2)).shape == (2, *size)


def blob(centre, size):
    axes = np.meshgrid(*(np.arange(side) for side in size), indexing="ij")
    return np.exp(-sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) / 18)[None].astype(np.float32)


def test_refinement_starts_at_the_networks_field_and_uses_its_settings():
    moving, fixed = blob((11, 12), (20, 20)), blob((9, 10), (20, 20))
    still = Constant(0.0, 0.0)
    loose, stiff = (predictor(still, plan_of(20, 20), hyper={"smoothness_weight": weight}) for weight in (0.01, 100.0))
    assert np.abs(stiff.displacement(moving, fixed, refine_steps=15)).max() < 0.2
    found = loose.displacement(moving, fixed, refine_steps=40)
    assert found[:, 9, 10] == pytest.approx([2, 2], abs=0.6)


def test_scans_that_do_not_fit_are_refused():
    made = predictor(Constant(0.0, 0.0), plan_of(8, 8))
    with pytest.raises(UsageError, match=r"2-D scans of 1 channel\(s\), got an array of shape \(2, 8, 8\)"):
        made.displacement(scan(8, 8, channels=2), scan(8, 8))
    with pytest.raises(UsageError, match="2-D scans"):
        made.displacement(scan(8, 8), scan(8, 8, 8))


def test_a_field_that_is_not_finite_is_an_error():
    with pytest.raises(DataError, match="displacement is not finite"):
        predictor(Constant(float("nan"), 0.0), plan_of(8, 8)).displacement(scan(8, 8), scan(8, 8))


def test_model_files_of_both_kinds_are_told_apart(tmp_path):
    network = build_network(SPEC, dimensions=2, channels=1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    spec = ModelSpec(plan=plan_of(8, 8), network=SPEC, method="registration")
    save_model(tmp_path / "model.safetensors", network, spec)
    loaded = RegistrationPredictor.load(tmp_path, device=CPU, precision="fp32")
    images = scan(9, 8), scan(8, 7)
    expected = RegistrationPredictor(network=network, spec=spec, device=CPU).displacement(*images)
    assert loaded.displacement(*images) == pytest.approx(expected, abs=1e-6)  # another memory layout
    assert np.abs(expected).max() > 0
    with pytest.raises(UsageError, match=r"(?s)is a registration model.*fewscan register"):
        Predictor.load(tmp_path, device=CPU)
    unet = NetworkSpec(name="unet", options={"filters": [2, 4]})
    segmenter = build_network(unet, dimensions=2, channels=1, classes=2)
    save_model(
        tmp_path / "seg.safetensors", segmenter, ModelSpec(plan=plan_of(8, 8), network=unet, method="supervised")
    )
    with pytest.raises(UsageError, match=r"(?s)segmentation model \(method supervised\).*--method registration"):
        RegistrationPredictor.load(tmp_path / "seg.safetensors", device=CPU)


def test_reduced_precision_stays_close():
    network = build_network(SPEC, dimensions=2, channels=1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    plan = plan_of(16, 16)
    spec = ModelSpec(plan=plan, network=SPEC, method="registration")
    exact, rough = (
        RegistrationPredictor(network=network, spec=spec, device=CPU, dtype=dtype).displacement(
            scan(16, 16), scan(16, 16)
        )
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert rough.dtype == np.float32
    assert np.abs(rough - exact).max() < 0.05 * np.abs(exact).max() + 1e-3
