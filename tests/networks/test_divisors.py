"""Sizes that networks can take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fewscan.networks.divisors import common_divisors, divisors_of, rounded_up
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
