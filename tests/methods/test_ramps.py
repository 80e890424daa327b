import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.methods.ramps import ramp


def test_sigmoid_by_hand():
    # exp(-5 (1 - t)^2) at t = 0, 0.1, 0.25, 0.5, 0.75, 1
    expected = [0.0067, 0.0174, 0.0601, 0.2865, 0.7316, 1.0]
    got = [ramp("sigmoid", step, length=1.0, iterations=200) for step in (0, 20, 50, 100, 150, 200)]
    assert got == pytest.approx(expected, abs=5e-5)


def test_length_in_iterations_or_as_a_share():
    assert ramp("linear", 30, length=120, iterations=1000) == pytest.approx(0.25)
    assert ramp("linear", 30, length=0.4, iterations=300) == pytest.approx(0.25)
    # a length of 1 is the whole run
    assert ramp("linear", 30, length=1, iterations=120) == pytest.approx(0.25)


def test_full_from_its_end_on_and_none_from_the_start():
    assert ramp("sigmoid", 40, length=0.4, iterations=100) == 1.0
    assert ramp("sigmoid", 99, length=0.4, iterations=100) == 1.0
    assert ramp("none", 0, length=1.0, iterations=100) == 1.0
    assert ramp("linear", 0, length=1.0, iterations=100) == 0.0


def test_a_length_must_be_positive():
    with pytest.raises(ValueError, match="positive length, got 0"):
        ramp("linear", 0, length=0, iterations=10)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["sigmoid", "linear", "none"]),
    length=st.one_of(st.floats(0.01, 1), st.integers(2, 500)),
    iterations=st.integers(1, 1000),
)
def test_never_falls_and_stays_between_0_and_1(kind, length, iterations):
    values = [ramp(kind, step, length=length, iterations=iterations) for step in range(0, iterations, 7)]
    assert values == sorted(values)
    assert all(0 <= value <= 1 and math.isfinite(value) for value in values)
