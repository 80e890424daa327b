"""Kaiming initialisation: variances by hand."""

import math

import pytest
import torch
from torch import nn

from fewscan.networks.initialise import kaiming_initialise


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Conv2d(32, 64, 3), 32 * 9),
        (nn.Conv3d(16, 32, 3), 16 * 27),
        (nn.Conv3d(16, 256, 2, stride=2), 16 * 8),
        # a transposed kernel of 2 and stride 2: every output voxel sees one voxel of each input channel
        (nn.ConvTranspose2d(256, 64, 2, stride=2), 256),
        (nn.ConvTranspose3d(128, 64, 2, stride=2), 128),
        # stride 1: it sees all nine taps
        (nn.ConvTranspose2d(64, 32, 3), 64 * 9),
    ],
)
@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_variance_is_that_of_he(layer, fan_in, slope):
    torch.manual_seed(0)
    kaiming_initialise(layer, negative_slope=slope)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (1 + slope**2) / fan_in), rel=0.05)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.05 / math.sqrt(fan_in))
    assert not layer.bias.any()


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_variance_survives_a_deep_stack(slope):
    torch.manual_seed(0)
    layers = [nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular") for _ in range(8)]
    stack = nn.Sequential(*(part for layer in layers for part in (layer, nn.LeakyReLU(slope))))
    kaiming_initialise(stack, negative_slope=slope)
    x = torch.randn(2, 64, 16, 16)
    assert 0.4 < (stack(x).square().mean() / x.square().mean()).item() < 2.5


def test_other_layers_are_left_alone():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm2d(2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    kaiming_initialise(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
