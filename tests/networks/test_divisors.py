"""Sizes that networks can take."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fewscan.networks.divisors import common_divisors, divisors_of, fitting_size, rounded_up
from fewscan.networks.registry import NetworkSpec, build_network

sides = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 32)), min_size=2, max_size=3)


def test_a_network_says_what_it_halves():
    spec = NetworkSpec(name="unet", options={"filters": [4, 8, 8], "strides": [[2, 2, 1], [2, 2, 2]]})
    assert divisors_of(build_network(spec, dimensions=3, channels=1, classes=2), 3) == (4, 4, 2)


def test_one_that_says_nothing_takes_any_size():
    assert divisors_of(nn.Conv2d(1, 1, 1), 2) == (1, 1)


def test_what_suits_several_networks():
    assert common_divisors([(4, 4, 2), (6, 4, 1)]) == (12, 4, 2)


def test_networks_of_other_dimensions_have_nothing_in_common():
    with pytest.raises(ValueError, match="zip"):
        common_divisors([(4, 4), (4, 4, 4)])


@given(sides)
def test_rounding_up_adds_less_than_one_multiple(pairs):
    size, divisors = zip(*pairs, strict=True)
    for side, divisor, found in zip(size, divisors, rounded_up(size, divisors), strict=True):
        assert found % divisor == 0
        assert 0 <= found - side < divisor


SWIN = NetworkSpec(
    name="monai:SwinUNETR",
    options={"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1], "window_size": 4},
)


@pytest.mark.parametrize(
    ("size", "fitting"), [((32, 32), (32, 64)), ((20, 12), (64, 32)), ((32, 33), (32, 64)), ((65, 32), (96, 32))]
)
def test_a_transformer_is_not_left_with_a_single_voxel(size, fitting):
    """It halves five times, and cannot normalise what it makes of 32x32."""
    network = build_network(SWIN, dimensions=2, channels=1, classes=2)
    assert fitting_size(network, size, channels=1) == fitting
    assert network.training


def test_a_network_that_takes_its_smallest_size_keeps_it():
    assert fitting_size(nn.Conv2d(1, 1, 1), (1, 1), channels=1) == (1, 1)


@pytest.mark.parametrize(("name", "options"), [("vnet", {}), ("unet", {"filters": [4, 4, 4, 4, 4]})])
def test_a_single_voxel_at_the_coarsest_level_cannot_be_trained(name, options):
    network = build_network(NetworkSpec(name=name, options=options), dimensions=2, channels=1, classes=2).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    assert fitting_size(network, (13, 16), channels=1) == (16, 32)
    assert not network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
