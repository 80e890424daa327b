from math import inf, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.metrics.overlap import count_overlap


def box(shape: tuple[int, ...], *sides: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in sides)] = True
    return mask


def test_shifted_cube() -> None:
    # two cubes of 4x4x4 = 64 voxels, shifted by one: 3x4x4 = 48 in common, union 64 + 64 - 48 = 80
    truth, prediction = box((8, 8, 8), (1, 5), (1, 5), (1, 5)), box((8, 8, 8), (2, 6), (1, 5), (1, 5))
    overlap = count_overlap(prediction, truth)
    assert (overlap.prediction, overlap.truth, overlap.both) == (64, 64, 48)
    assert overlap.dice == pytest.approx(96 / 128)
    assert overlap.jaccard == pytest.approx(48 / 80)
    assert overlap.ravd == 0.0


def test_ravd_has_no_sign_and_is_relative_to_the_truth() -> None:
    small, large = box((4, 4), (0, 2), (0, 2)), box((4, 4), (0, 3), (0, 2))  # 4 and 6 pixels
    assert count_overlap(large, small).ravd == pytest.approx(2 / 4)
    assert count_overlap(small, large).ravd == pytest.approx(2 / 6)


def test_empty_prediction_scores_zero() -> None:
    overlap = count_overlap(np.zeros((3, 3), bool), np.eye(3, dtype=bool))
    assert (overlap.dice, overlap.jaccard, overlap.ravd) == (0.0, 0.0, 1.0)
    assert not overlap.absent


def test_prediction_where_nothing_is() -> None:
    overlap = count_overlap(np.eye(3, dtype=bool), np.zeros((3, 3), bool))
    assert (overlap.dice, overlap.jaccard, overlap.ravd) == (0.0, 0.0, inf)


def test_absent_from_both_is_not_a_number() -> None:
    overlap = count_overlap(np.zeros((3, 3), bool), np.zeros((3, 3), bool))
    assert overlap.absent
    assert all(isnan(v) for v in (overlap.dice, overlap.jaccard, overlap.ravd))


def test_shapes_are_not_broadcast() -> None:
    with pytest.raises(ValueError, match="different shape"):
        count_overlap(np.ones((3, 3), bool), np.ones((1, 3), bool))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_dice_is_a_fraction_and_gives_jaccard(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    prediction, truth = rng.random((5, 4, 3)) < share, rng.random((5, 4, 3)) < 0.5
    truth[0, 0, 0] = True
    overlap = count_overlap(prediction, truth)
    assert 0.0 <= overlap.dice <= 1.0
    assert overlap.jaccard == pytest.approx(overlap.dice / (2 - overlap.dice))
    assert overlap.dice == pytest.approx(count_overlap(truth, prediction).dice)
