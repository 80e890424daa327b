import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.metrics.jensen import jensen_check

# Table 1 of the third founding paper (left atrium): mean Dice and mean Jaccard in percent, two decimals
BASELINES = [
    (82.53, 70.62),
    (81.24, 69.51),
    (81.23, 69.12),
    (82.36, 71.32),
    (83.44, 72.96),
    (86.29, 76.23),
    (87.62, 78.19),
    (87.36, 78.15),
    (87.48, 78.21),
    (86.91, 76.96),
    (87.59, 78.13),
    (88.16, 79.63),
]
HALF_A_DIGIT = 0.00005


@pytest.mark.parametrize(("dice", "jaccard"), BASELINES)
def test_baseline_rows_are_possible(dice: float, jaccard: float) -> None:
    assert jensen_check(dice / 100, jaccard / 100, rounding=HALF_A_DIGIT).possible


@pytest.mark.parametrize(
    ("dice", "jaccard", "needed"),
    # 0.8796 / 1.1204 = 0.78508; 0.8924 / 1.1076 = 0.80571
    [(87.96, 77.64, 0.78508), (89.24, 80.52, 0.80571)],
)
def test_the_papers_own_rows_are_impossible(dice: float, jaccard: float, needed: float) -> None:
    check = jensen_check(dice / 100, jaccard / 100, rounding=HALF_A_DIGIT)
    assert not check.possible
    assert check.lower == pytest.approx(needed, abs=5e-6)


def test_swapped_columns_are_impossible() -> None:
    assert not jensen_check(0.70, 0.82).possible


def test_rounding_is_allowed_for() -> None:
    # equal Dice of 0.8 in all cases: Jaccard 2/3 = 0.66666..., printed 0.67 with Dice 0.8, or cut off to 0.66
    assert not jensen_check(0.8, 0.66, rounding=0.0).possible
    assert jensen_check(0.8, 0.66, rounding=0.005).possible
    assert jensen_check(0.8, 0.8 / 1.2).possible


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_every_set_of_cases_passes(dice: list[float]) -> None:
    d = np.array(dice)
    assert jensen_check(float(d.mean()), float((d / (2 - d)).mean())).possible
