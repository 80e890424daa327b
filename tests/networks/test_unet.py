"""The two U-Nets: sizes, counts, thin axes, shortcuts."""

from itertools import pairwise

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.networks.residual_unet import ResidualBlock, ResidualUNet, ResidualUNetOptions
from fewscan.networks.unet import DoubleConvolution, UNet, UNetOptions


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_the_unet_of_paper_2():
    # encoder: pairs of convolutions (in + out) * out * 27, plus scale and offset of two norms, 4 * out
    widths = [1, 16, 32, 64, 128, 256]
    encoder = sum(27 * (a + b) * b + 4 * b for a, b in pairwise(widths))
    # decoder: the first convolution of each level sees the skip and all channels from below
    pairs = [(16, 32), (32, 64), (64, 128), (128, 256)]
    decoder = sum(27 * (fine + coarse + fine) * fine + 4 * fine for fine, coarse in pairs)
    head = 16 * 2 + 2
    assert count(UNet(dimensions=3, channels=1, classes=2)) == encoder + decoder + head == 5_885_522


def test_thin_axes_can_be_spared():
    options = {"filters": (4, 8, 8), "strides": ((2, 2, 1), (2, 2, 2))}
    for network in (
        UNet(dimensions=3, channels=1, classes=2, options=UNetOptions(**options)),
        ResidualUNet(dimensions=3, channels=1, classes=2, options=ResidualUNetOptions(**options)),
    ):
        assert network.divisors == (4, 4, 2)
        assert network(torch.randn(1, 1, 8, 8, 6)).shape == (1, 2, 8, 8, 6)
        assert [tuple(skip.shape[2:]) for skip in network.encode(torch.randn(1, 1, 8, 8, 6))][1] == (4, 4, 6)
        with pytest.raises(UsageError, match="an input of 8x8x5 is not a multiple of 4x4x2"):
            network(torch.randn(1, 1, 8, 8, 5))


def test_residual_block_without_weights_hands_on_its_activated_input():
    block = ResidualBlock(3, 3, dimensions=2, norm="instance", residual=True)
    torch.nn.init.zeros_(block.second.conv.weight)
    x = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(block(x), torch.nn.functional.leaky_relu(x, 0.01))


def test_shortcuts_cost_only_their_projections():
    plain = ResidualUNet(dimensions=3, channels=2, classes=2, options=ResidualUNetOptions(residual=False))
    residual = ResidualUNet(dimensions=3, channels=2, classes=2)
    widths = [2, 16, 32, 64, 128, 256]
    down = sum(a * b for a, b in pairwise(widths))
    up = sum(2 * width * width for width in widths[1:-1])
    assert count(residual) - count(plain) == down + up


def test_paper_defaults():
    assert UNetOptions().model_dump() == {
        "filters": (16, 32, 64, 128, 256),
        "dropout": 0.3,
        "norm": "instance",
        "strides": None,
        "upsampling": "linear",
        "residual": False,
    }
    assert ResidualUNetOptions().dropout == 0.2
    assert UNet(dimensions=2, channels=1, classes=2).divisors == (16, 16)


def test_neither_residual_levels_nor_nearest_upsampling_change_a_parameter():
    plain = UNet(dimensions=2, channels=1, classes=2, options=UNetOptions(filters=(4, 8)))
    other = UNet(
        dimensions=2, channels=1, classes=2, options=UNetOptions(filters=(4, 8), upsampling="nearest", residual=True)
    )
    other.load_state_dict(plain.state_dict())  # strict: same names and shapes
    images = torch.randn(1, 1, 8, 8)
    assert not torch.allclose(plain.eval()(images), other.eval()(images))


def test_a_residual_level_without_second_convolution_hands_on_its_first():
    level = DoubleConvolution(1, 3, dimensions=2, norm="instance", residual=True)
    torch.nn.init.zeros_(level[1].conv.weight)
    x = torch.randn(1, 1, 4, 4)
    # the normalisation of zeros is zero; the leaky ReLU of slope 0.01 is applied twice
    torch.testing.assert_close(level(x), torch.nn.functional.leaky_relu(level[0](x), 0.01))
