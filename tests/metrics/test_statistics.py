from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.metrics.statistics import bootstrap_interval, holm, paired_test


def test_interval_covers_the_mean_and_repeats() -> None:
    values = np.random.default_rng(0).normal(10, 2, size=40).tolist()
    low, high = bootstrap_interval(values)
    assert low < np.mean(values) < high
    # the normal interval is mean +- 1.96 * sd / sqrt(n); the bootstrap of 40 normal values lies near it
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(40)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(values, seed=1) != (low, high)


def test_interval_of_special_cases() -> None:
    assert bootstrap_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)
    for values in ([], [0.5], [0.5, inf]):
        assert all(isnan(v) for v in bootstrap_interval(values))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_interval_lies_within_the_data(values: list[float]) -> None:
    low, high = bootstrap_interval(values, resamples=500)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12


def test_signed_rank_by_hand() -> None:
    # differences 1, 2, 3, 4, -5: ranks 1..5, W+ = 10, W- = 5, rank-biserial (10 - 5) / 15.
    # Exact two-sided p: P(W- <= 5) of 2^5 = 32 sign patterns. Subsets of {1..5} with sum <= 5: sums 0, 1, 2, 3 (3 and
    # 1+2), 4 (4 and 1+3), 5 (5, 1+4, 2+3) = 1+1+1+2+2+3 = 10, so p = 2 * 10 / 32.
    test = paired_test([11, 12, 13, 14, 5], [10, 10, 10, 10, 10])
    assert (test.n, test.higher, test.lower) == (5, 4, 1)
    assert test.rank_biserial == pytest.approx(1 / 3)
    assert test.p == pytest.approx(20 / 32)
    assert test.mean_difference == pytest.approx(1.0)
    assert test.median_difference == 2.0


def test_six_improvements_of_six() -> None:
    # all signs equal: p = 2 / 2^6
    assert paired_test([0.9, 0.8, 0.95, 0.7, 0.6, 0.85], [0.5] * 6).p == pytest.approx(2 / 64)


def test_no_difference_is_no_evidence() -> None:
    test = paired_test([0.5, inf], [0.5, inf])
    assert (test.p, test.rank_biserial, test.higher, test.lower, test.mean_difference) == (1.0, 0.0, 0, 0, 0.0)


def test_differences_of_rounding_alone_are_none() -> None:
    # 0.1 + 0.2 is 0.30000000000000004
    only_noise = paired_test([0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2])
    assert (only_noise.p, only_noise.rank_biserial, only_noise.higher, only_noise.lower) == (1.0, 0.0, 0, 0)
    # with the noise left out the differences are 1, 2, 3, 4: W+ = 10 of 10, two of 2^4 sign patterns are as extreme
    mixed = paired_test([11, 0.1 + 0.2, 12, 13, 14], [10, 0.3, 10, 10, 10])
    assert (mixed.n, mixed.higher, mixed.lower) == (5, 4, 0)
    assert mixed.rank_biserial == 1
    assert mixed.p == pytest.approx(2 / 16)


def test_an_empty_prediction_ranks_worst() -> None:
    # differences -inf, 1, 1.5: the infinite one has rank 3, W+ = 1 + 2 = W-
    test = paired_test([2.0, 3.0, 3.5], [inf, 2.0, 2.0])
    assert test.rank_biserial == 0.0
    assert test.mean_difference == -inf
    assert test.median_difference == 1.0
    both_ways = paired_test([inf, 1.0], [1.0, inf])
    assert isnan(both_ways.mean_difference)
    assert isnan(both_ways.median_difference)


def test_no_pairs() -> None:
    test = paired_test([], [])
    assert test.n == 0
    assert isnan(test.p)


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError, match="as many"):
        paired_test([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="not NaN"):
        paired_test([nan], [1.0])


def test_holm_by_hand() -> None:
    # sorted .005, .01, .03, .04 times 4, 3, 2, 1 = .02, .03, .06, .04; made monotone: .02, .03, .06, .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_does_not_count_what_was_not_tested() -> None:
    corrected = holm([0.02, nan, 0.03])
    assert corrected[0] == pytest.approx(0.04)
    assert isnan(corrected[1])
    assert corrected[2] == pytest.approx(0.04)
