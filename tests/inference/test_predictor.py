from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fewscan.augment.views import views as make_views
from fewscan.data.geometry import Geometry
from fewscan.data.plan import Plan
from fewscan.data.scan_meta import ScanMeta
from fewscan.errors import DataError, UsageError
from fewscan.inference.model_file import ModelSpec, save_model
from fewscan.inference.predictor import Predictor

CPU = torch.device("cpu")


@pytest.fixture
def model(
    tmp_path: Path, make_spec: Callable[..., ModelSpec], make_network: Callable[[ModelSpec], nn.Module]
) -> Callable[..., Path]:
    def write(plan: Plan | None = None, **details: object) -> Path:
        spec = make_spec(plan).model_copy(update={"details": details})
        save_model(tmp_path / "model.safetensors", make_network(spec), spec)
        return tmp_path / "model.safetensors"

    return write


def scan(*size: int) -> tuple[np.ndarray, ScanMeta]:
    grid = Geometry.identity(size)
    image = np.random.default_rng(0).normal(size=(1, *size)).astype(np.float32)
    return image, ScanMeta("a", grid, (0,) * len(size), grid, grid, (0.0,), ("a.nii.gz",))


def test_one_window_equals_the_network_itself(
    model: Callable[..., Path], make_spec: Callable[..., ModelSpec], make_network: Callable[[ModelSpec], nn.Module]
) -> None:
    image, meta = scan(16, 16, 16)
    predictor = Predictor.load(model(), device=CPU, precision="fp32")
    with torch.no_grad():
        expected = make_network(make_spec()).eval()(torch.from_numpy(image)[None])[0].softmax(0)
    assert torch.allclose(predictor.probabilities(image, (0.0,)), expected, atol=1e-5)
    found = predictor.predict(image, meta, confidence=True)
    np.testing.assert_array_equal(found.labels, np.array([0, 2, 300])[expected.argmax(0).numpy()])
    assert found.labels.dtype == np.uint16
    assert found.confidence is not None
    np.testing.assert_allclose(found.confidence, expected.max(0).values.numpy(), atol=1e-5)


def test_slices_of_a_volume_equal_the_slices_alone(model: Callable[..., Path], make_plan: Callable[..., Plan]) -> None:
    file = model(make_plan(2, image_dimensions=3, slice_axis=1))
    image, _ = scan(15, 5, 16)
    predictor = Predictor.load(file, device=CPU, precision="fp32")
    found = predictor.probabilities(image, (0.0,))
    assert found.shape == (3, 15, 5, 16)
    padded = torch.zeros(1, 1, 16, 16)
    padded[0, 0, :15] = torch.from_numpy(image[0, :, 2])
    with torch.no_grad():
        expected = predictor.network(padded)[0].softmax(0)[:, :15]
    assert torch.allclose(found[:, :, 2], expected, atol=1e-5)


def test_views_make_the_prediction_of_a_flipped_image_the_flipped_prediction(model: Callable[..., Path]) -> None:
    image, _ = scan(16, 16, 16)
    flipped = np.ascontiguousarray(image[:, ::-1])
    alone = Predictor.load(model(), device=CPU, precision="fp32")
    assert not torch.allclose(alone.probabilities(flipped, (0.0,)).flip(1), alone.probabilities(image, (0.0,)))
    together = Predictor.load(model(), device=CPU, precision="fp32", views=2)
    assert [view.name for view in together.views] == ["identity", "flip 0"]
    # the mean over both views does not depend on which of them comes first
    assert torch.allclose(
        together.probabilities(flipped, (0.0,)).flip(1), together.probabilities(image, (0.0,)), atol=1e-5
    )


def test_only_the_axes_that_training_flipped_are_flipped(model: Callable[..., Path]) -> None:
    predictor = Predictor.load(model(flip_axes=[2]), device=CPU, views=2)
    assert [view.name for view in predictor.views] == ["identity", "flip 2"]


def test_the_precision_asked_for_is_taken(model: Callable[..., Path]) -> None:
    assert Predictor.load(model(), device=CPU, precision="bf16").dtype is torch.bfloat16
    with pytest.raises(UsageError, match="unknown precision"):
        Predictor.load(model(), device=CPU, precision="double")


def test_output_that_is_not_finite_is_an_error(model: Callable[..., Path]) -> None:
    image, meta = scan(16, 16, 16)
    image[0, 3, 3, 3] = np.inf
    with pytest.raises(DataError, match="not finite"):
        Predictor.load(model(), device=CPU).predict(image, meta)


class Whole(nn.Module):
    """Takes whole scans; keeps what it is shown, and where that is said to have data."""

    whole_scans = True

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, images: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        self.shown.append((images.clone(), inside.clone()))
        return torch.cat([images, -images, inside], dim=1)


def test_a_network_of_whole_scans_is_told_where_they_have_data(
    make_spec: Callable[..., ModelSpec], make_plan: Callable[..., Plan]
) -> None:
    """13 of 16 rows, one before and two behind; in mirrored views the other way round, and in any contrast."""
    network = Whole().eval()
    chosen = tuple(make_views(2, 3, flip_axes=(0,)))
    predictor = Predictor(network=network, spec=make_spec(make_plan(2)), device=CPU, views=chosen)
    image, _ = scan(13, 20)
    found = predictor.probabilities(image, (-7.0,))
    assert found.shape == (3, 13, 20)
    inside = torch.zeros(16, 20)
    inside[1:14] = 1
    assert [view.name for view in chosen] == ["identity", "flip 0", "gamma 0.8"]
    for (images, said), expected in zip(network.shown, (inside, inside.flip(0), inside), strict=True):
        assert images.shape == (1, 1, 16, 20)
        assert torch.equal(said, expected[None, None])
    assert torch.equal(network.shown[0][0][0, 0, 1:14], torch.from_numpy(image[0]))
    assert (network.shown[0][0][0, 0, [0, 14, 15]] == -7).all()
    everywhere, _ = scan(16, 20)
    network.shown.clear()
    predictor.probabilities(everywhere, (0.0,))
    assert all(bool((said == 1).all()) for _, said in network.shown)
