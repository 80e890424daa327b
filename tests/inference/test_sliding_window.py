import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fewscan.errors import UsageError
from fewscan.inference.sliding_window import (
    Span,
    average_over_views,
    axis_spans,
    predict_probabilities,
    window_weight,
)


class VoxelWise:
    """A stand-in network: logits (-x, x) of the first channel; notes the shapes that pass."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.seen: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape))
        self.seen.append(x.clone())
        return torch.cat([-x[:, :1], x[:, :1]], dim=1)


def voxel_wise(image: Tensor) -> Tensor:
    """What `VoxelWise` gives without windows: softmax(-x, x) = (1 - s, s) with s = sigmoid(2 x)."""
    foreground = torch.sigmoid(2 * image[0])
    return torch.stack([1 - foreground, foreground])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 16), st.floats(0, 0.9))
def test_spans_cover_the_axis_and_weights_add_up_to_one(size: int, window: int, overlap: float) -> None:
    spans = axis_spans(size, window, overlap=overlap)
    total = torch.zeros(size)
    for span in spans:
        total[span.image] += span.weight
        assert span.image.stop - span.image.start == span.window.stop - span.window.start == len(span.weight)
        assert 0 <= span.window.start < span.window.stop <= window
    assert torch.allclose(total, torch.ones(size), atol=1e-6)
    assert spans[0].image.start == 0
    assert spans[-1].image.stop == size


@pytest.mark.parametrize(
    ("size", "window", "overlap", "starts"),
    [
        (8, 8, 0.5, [0]),
        (9, 8, 0.5, [0, 1]),
        (12, 8, 0.5, [0, 4]),
        (13, 8, 0.5, [0, 2, 5]),  # steps of at most 4: 5 / 4 -> 2 steps, at 0, 5 // 2, 5
        (16, 8, 0.0, [0, 8]),
        (17, 8, 0.0, [0, 4, 9]),
    ],
)
def test_the_least_windows_are_taken(size: int, window: int, overlap: float, starts: list[int]) -> None:
    assert [span.image.start for span in axis_spans(size, window, overlap=overlap)] == starts


def test_weights_are_gaussian_with_an_eighth_of_the_window() -> None:
    first, second = axis_spans(24, 16, overlap=0.5)
    # At voxel 10 the first window (centre 7.5) is off by 2.5, the second (centre 15.5) by -5.5; sigma = 16 / 8 = 2.
    near, far = math.exp(-0.5 * (2.5 / 2) ** 2), math.exp(-0.5 * (5.5 / 2) ** 2)
    assert first.weight[10].item() == pytest.approx(near / (near + far), rel=1e-6)
    assert second.weight[2].item() == pytest.approx(far / (near + far), rel=1e-6)
    assert first.weight[3].item() == 1  # only the first covers it


def test_the_weight_of_a_window_is_the_product_of_its_spans() -> None:
    spans = [Span(slice(0, len(w)), slice(0, len(w)), torch.tensor(w)) for w in ([1.0, 2.0], [3.0, 4.0, 5.0])]
    assert window_weight(spans).tolist() == [[3, 4, 5], [6, 8, 10]]


def test_an_axis_shorter_than_the_window_is_centred_in_it() -> None:
    (span,) = axis_spans(5, 8, overlap=0.5)
    assert (span.image, span.window) == (slice(0, 5), slice(1, 6))


@pytest.mark.parametrize("size", [(9, 12, 7), (16, 8, 8), (8, 8, 8), (3, 5, 20), (1, 1, 1)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_voxel_wise_network_is_reproduced_exactly(size: tuple[int, ...], batch_size: int) -> None:
    image = torch.randn(2, *size, generator=torch.Generator().manual_seed(0))
    network = VoxelWise()
    found = predict_probabilities(network, image, patch_size=(8, 8, 8), batch_size=batch_size)
    assert found.dtype == torch.float32
    assert torch.allclose(found, voxel_wise(image), atol=1e-6)
    assert all(shape[2:] == (8, 8, 8) and shape[0] <= batch_size for shape in network.shapes)


def test_one_pass_where_the_image_fits_the_window() -> None:
    network = VoxelWise()
    predict_probabilities(network, torch.zeros(1, 6, 8, 7), patch_size=(8, 8, 8))
    assert network.shapes == [(1, 1, 8, 8, 8)]


def test_hanging_over_is_filled_with_the_background_of_each_channel() -> None:
    network = VoxelWise()
    image = torch.ones(2, 2, 4)
    predict_probabilities(network, image, patch_size=(4, 4), background=(-3.0, 5.0))
    first = torch.tensor([[-3.0] * 4, [1.0] * 4, [1.0] * 4, [-3.0] * 4])
    second = torch.tensor([[5.0] * 4, [1.0] * 4, [1.0] * 4, [5.0] * 4])
    assert torch.equal(network.seen[0], torch.stack([first, second])[None])


def test_blending_of_two_windows_that_disagree() -> None:
    calls = iter([0.0, 10.0])

    def network(x: Tensor) -> Tensor:
        foreground = torch.full_like(x, next(calls))
        return torch.cat([torch.zeros_like(x), foreground], dim=1)

    found = predict_probabilities(network, torch.zeros(1, 12), patch_size=(8,), overlap=0.5)
    first, second = axis_spans(12, 8, overlap=0.5)
    sure = 1 / (1 + math.exp(-10))
    # voxel 5 is voxel 5 of the first window (p = 1/2) and voxel 1 of the second (p = sigmoid(10))
    expected = first.weight[5].item() * 0.5 + second.weight[1].item() * sure
    assert found[1, 5].item() == pytest.approx(expected, rel=1e-6)
    assert torch.allclose(found.sum(dim=0), torch.ones(12))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slice_wise_prediction(axis: int) -> None:
    size = [9, 10, 7]
    image = torch.randn(1, *size, generator=torch.Generator().manual_seed(1))
    network = VoxelWise()
    found = predict_probabilities(network, image, patch_size=(12, 12), slice_axis=axis, batch_size=4)
    assert torch.allclose(found, voxel_wise(image), atol=1e-6)
    assert sum(shape[0] for shape in network.shapes) == size[axis]  # every slice once
    assert all(len(shape) == 4 and shape[2:] == (12, 12) for shape in network.shapes)
    assert len(network.shapes) == math.ceil(size[axis] / 4)


def test_two_dimensional_images() -> None:
    image = torch.randn(1, 19, 6, generator=torch.Generator().manual_seed(2))
    found = predict_probabilities(VoxelWise(), image, patch_size=(8, 8), overlap=0.25)
    assert torch.allclose(found, voxel_wise(image), atol=1e-6)


class Flip:
    def __init__(self, *axes: int) -> None:
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        return x.flip(self.axes)

    def inverse(self, p: Tensor) -> Tensor:
        return p.flip(self.axes)


def test_views_are_averaged_after_going_back() -> None:
    def first_half(x: Tensor) -> Tensor:  # foreground in the first half of what it sees, whatever the image
        foreground = torch.zeros_like(x)
        foreground[:, :, :2] = 50
        return torch.cat([torch.zeros_like(x), foreground], dim=1)

    image = torch.zeros(1, 4, 4)
    found = predict_probabilities(first_half, image, patch_size=(4, 4), views=(Flip(), Flip(2)))
    # as it is: rows 0, 1 have p = 1 and rows 2, 3 p = 1/2; flipped and back the other way round: 3/4 everywhere
    assert torch.allclose(found[1], torch.full((4, 4), 0.75))
    image = torch.randn(1, 7, 9)
    found = predict_probabilities(VoxelWise(), image, patch_size=(4, 4), views=(Flip(), Flip(2), Flip(2, 3)))
    assert torch.allclose(found, voxel_wise(image), atol=1e-6)


def test_bfloat16_changes_little_and_gives_float32() -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 3, 3, padding=1)
    image = torch.randn(1, 12, 12)
    exact = predict_probabilities(network, image, patch_size=(8, 8))
    cast = predict_probabilities(network, image, patch_size=(8, 8), dtype=torch.bfloat16)
    assert cast.dtype == torch.float32
    assert not torch.equal(exact, cast)
    assert torch.allclose(exact, cast, atol=0.02)
    assert not exact.requires_grad
    exact.mul_(2)  # an ordinary tensor, to be changed by who receives it


def test_without_views_the_batch_is_taken_as_it_is() -> None:
    batch = torch.randn(2, 1, 4, 4)
    assert torch.equal(average_over_views(VoxelWise(), batch, ()), torch.cat([-batch, batch], dim=1))
    # (1, 3) backwards is (3, 1), which a running sum makes (3, 4), backwards (4, 3); that of (1, 3) is (1, 4)
    found = average_over_views(lambda x: x.cumsum(2), torch.tensor([[[1.0, 3.0]]]), (Flip(), Flip(2)))
    assert found.tolist() == [[[2.5, 3.5]]]


@pytest.mark.parametrize("overlap", [-0.1, 1.0])
def test_overlap_outside_its_range(overlap: float) -> None:
    with pytest.raises(UsageError, match="overlap"):
        predict_probabilities(VoxelWise(), torch.zeros(1, 4, 4), patch_size=(4, 4), overlap=overlap)


def test_a_patch_that_does_not_match_the_axes() -> None:
    with pytest.raises(UsageError, match="does not match an image with 3 axes"):
        predict_probabilities(VoxelWise(), torch.zeros(1, 4, 4, 4), patch_size=(4, 4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_result_on_a_cuda_device_equals_the_cpu() -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 3, 3, padding=1)
    image = torch.randn(1, 20, 17, 9)
    expected = predict_probabilities(network, image, patch_size=(8, 8, 8))
    found = predict_probabilities(network.cuda(), image, patch_size=(8, 8, 8), device=torch.device("cuda"))
    assert torch.allclose(found.cpu(), expected, atol=1e-3)
