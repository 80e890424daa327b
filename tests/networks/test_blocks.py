"""Blocks against torch's own layers and numbers worked out by hand."""

import pytest
import torch
from torch import nn

from fewscan.networks.blocks import CHANNELS_LAST, ConvBlock, InstanceNorm, MaxPool, Upsample

TORCH_NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("channels_last", [False, True])
def test_instance_norm_equals_torchs_in_value_gradient_and_layout(dimensions, channels_last):
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn(2, 5, *[4, 6, 3][:dimensions])
    layout = CHANNELS_LAST[dimensions] if channels_last else torch.contiguous_format
    ours, theirs = InstanceNorm(5), TORCH_NORM[dimensions](5, affine=True)
    theirs.load_state_dict({"weight": torch.rand(5), "bias": torch.rand(5)})
    ours.load_state_dict(theirs.state_dict())
    results = []
    for norm, image in ((ours, x.clone().contiguous(memory_format=layout)), (theirs, x.clone())):
        image.requires_grad_()
        y = norm(image)
        (y * torch.linspace(0, 1, y.numel()).view(y.shape)).sum().backward()
        results.append((y, image.grad, norm.weight.grad, norm.bias.grad))
    assert results[0][0].is_contiguous(memory_format=layout)
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-4)


def test_instance_norm_by_hand():
    # (1, 3): mean 2, variance 1, so -1 and 1; a constant channel gives 0
    x = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    assert InstanceNorm(2, eps=0)(x)[:, :1].flatten().tolist() == [-1, 1]
    assert InstanceNorm(2)(x)[:, 1:].flatten().tolist() == pytest.approx([0, 0], abs=1e-4)


@pytest.mark.parametrize("channels_last", [False, True])
def test_max_pool_keeps_bfloat16_under_autocast(channels_last):
    x = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 2, 4, 4).bfloat16()
    x = x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = MaxPool((2, 1))(x)
    assert y.dtype == torch.bfloat16
    assert y[0, 0].tolist() == [[4, 5, 6, 7], [12, 13, 14, 15]]


def test_linear_upsampling_by_hand():
    x = torch.tensor([[[[0.0, 4.0]]]])
    # centres of the halves lie a quarter voxel off, and beyond the outermost centre the value stays
    assert Upsample((1, 2), mode="linear")(x).flatten().tolist() == [0, 1, 3, 4]
    # four values from corner to corner
    corners = Upsample((1, 2), mode="linear", align_corners=True)(x)
    assert corners.flatten().tolist() == pytest.approx([0, 4 / 3, 8 / 3, 4])


def test_nearest_upsampling_by_hand():
    x = torch.tensor([[[[0.0, 4.0]]]])
    assert Upsample((2, 2), mode="nearest")(x)[0, 0].tolist() == [[0, 0, 4, 4], [0, 0, 4, 4]]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_upsampling_in_front_of_a_concatenation_has_the_same_gradient_in_both_layouts(dimensions):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *[4] * dimensions)
    skip = torch.randn(2, 2, *[8] * dimensions)
    weight = torch.randn(2, 5, *[8] * dimensions)
    gradients = []
    for layout in (torch.contiguous_format, CHANNELS_LAST[dimensions]):
        image = x.clone(memory_format=layout).requires_grad_()
        up = Upsample((2,) * dimensions, mode="linear")(image)
        joined = torch.cat([skip.contiguous(memory_format=layout), up], dim=1)
        (joined * weight).sum().backward()
        gradients.append(image.grad)
    torch.testing.assert_close(*gradients)


def test_upsampling_hands_its_backward_a_dense_gradient():
    image = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    up = Upsample((2, 2), mode="linear")(image)
    seen = []
    up.grad_fn.register_prehook(lambda gradients: seen.append(gradients[0]))
    torch.cat([torch.zeros(2, 2, 8, 8).contiguous(memory_format=torch.channels_last), up], dim=1).sum().backward()
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_conv_block_keeps_the_size_and_has_a_bias_only_on_request():
    block = ConvBlock(2, 4, dimensions=3, norm="instance", negative_slope=0.01)
    assert block(torch.randn(1, 2, 4, 4, 6)).shape == (1, 4, 4, 4, 6)
    assert block.conv.bias is None
    linear = ConvBlock(2, 4, dimensions=2, norm="batch", negative_slope=None, bias=True)
    assert linear.conv.bias is not None
    # without an activation the normalised values are negative as often as positive
    assert linear(torch.randn(2, 2, 8, 8)).mean().item() == pytest.approx(0, abs=1e-5)
