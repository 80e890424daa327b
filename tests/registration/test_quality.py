from math import inf, isnan, nan

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.registration.physical import affine_displacement_mm
from fewscan.registration.quality import LabelScores, Regularity, flags, gncc, label_scores, mean_dice, regularity

CALM = Regularity(fold_fraction=0.0, sd_log_jacobian=0.1, smallest_mm=0.0, largest_mm=1.0)


def test_gncc_by_hand() -> None:
    a, b = np.array([0.0, 1, 2, 9]), np.array([0.0, 2, 1, -5])
    inside = np.array([True, True, True, False])
    # deviations -1, 0, 1 and -1, 1, 0: product 1, lengths sqrt 2 each
    assert gncc([a], [b], inside) == pytest.approx(0.5)
    assert gncc([a], [3 * a + 7], inside) == pytest.approx(1.0)
    assert gncc([a, a], [a, -a], inside) == pytest.approx(0.0)  # the mean over the channels


def test_gncc_without_contrast_or_voxels() -> None:
    a = np.arange(4.0)
    assert gncc([a], [np.full(4, 0.1)], np.ones(4, bool)) == pytest.approx(0.0)
    assert isnan(gncc([a], [a], np.zeros(4, bool)))


def test_regularity_of_a_known_map() -> None:
    grid = Geometry((6, 5, 4), (1.0, 2.0, 0.5), (3.0, -2.0, 1.0), (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, -1.0))
    start = affine_displacement_mm(np.array([[1.0, 0, 0, 90], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), grid)
    moved = start.copy()
    moved[0] += 3
    moved[1] += 4
    found = regularity(moved, grid, start_mm=start, box=(slice(None),) * 3)
    assert found.fold_fraction == 0
    assert found.sd_log_jacobian == pytest.approx(0, abs=1e-5)
    assert found.smallest_mm == pytest.approx(5, abs=1e-4)  # without the start
    assert found.largest_mm == pytest.approx(5, abs=1e-4)


def test_folds_are_counted_in_the_box() -> None:
    grid = Geometry.identity((8, 4), (2.0, 3.0))
    field = np.zeros((2, 8, 4), np.float32)
    field[0, 4:] = -4 * np.arange(4).reshape(-1, 1)  # x -> x - 2 x: mirrored
    zero = np.zeros_like(field)
    assert regularity(field, grid, start_mm=zero, box=(slice(5, 8), slice(None))).fold_fraction == 1
    assert regularity(field, grid, start_mm=zero, box=(slice(0, 4), slice(None))).fold_fraction == 0
    assert 0.3 < regularity(field, grid, start_mm=zero, box=(slice(None), slice(None))).fold_fraction < 0.6


def test_label_scores_before_and_after() -> None:
    fixed, before, after = (np.zeros((6, 6), np.uint8) for _ in range(3))
    fixed[1:3, 1:3], before[3:5, 1:3], after[1:3, 1:3] = 1, 1, 1
    fixed[5, 5] = 4
    rows = label_scores(before, after, fixed, spacing_mm=(2.0, 1.0))
    assert [row.value for row in rows] == [1, 4]
    assert (rows[0].dice_before, rows[0].dice_after) == (0, 1)
    assert rows[0].hd95_mm_after == 0
    assert rows[0].hd95_mm_before == pytest.approx(4)
    assert rows[1] == LabelScores(4, 0, 0, inf, inf)
    assert mean_dice(rows) == {"before": 0.0, "after": 0.5}


def test_mean_dice_leaves_absent_classes_out() -> None:
    rows = [LabelScores(1, 0.5, 1.0, 0, 0), LabelScores(2, nan, nan, nan, nan)]
    assert mean_dice(rows) == {"before": 0.5, "after": 1.0}
    assert isnan(mean_dice([])["before"])


def test_flags() -> None:
    good = {"before": 0.5, "after": 0.9}
    assert flags(CALM, good, inside=1.0, max_folds=0.005) == []
    assert flags(CALM, {"before": 0.5, "after": 0.4995}, inside=1.0, max_folds=0.005) == []
    folded = Regularity(0.02, 0.1, 0.0, 1.0)
    (text,) = flags(folded, good, inside=1.0, max_folds=0.005)
    assert text == "folds: 2.00% of the voxels fold, more than 0.50%"
    assert flags(folded, good, inside=1.0, max_folds=0.02) == []
    assert flags(CALM, {"before": 0.5, "after": 0.4}, inside=1.0, max_folds=0)[0].startswith(
        "similarity: fell from 0.5"
    )
    nowhere, outside = flags(CALM, {"before": 0.5, "after": nan}, inside=0.0, max_folds=0)
    assert nowhere.startswith("similarity: cannot be told")
    assert outside.startswith("outside: only 0%")
    assert flags(CALM, {"before": nan, "after": 0.4}, inside=1.0, max_folds=0) == []
