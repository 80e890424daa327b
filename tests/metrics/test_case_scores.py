from math import inf, isnan

import numpy as np
import pytest

from fewscan.metrics.case_scores import METRICS, bounding_box, score_case, score_masks


def two_cubes() -> tuple[np.ndarray, np.ndarray]:
    """A cube of side 4 as class 2 and the same one moved by one voxel along z."""
    truth = np.zeros((9, 8, 10), np.uint8)
    truth[2:6, 2:6, 2:6] = 2
    return np.roll(truth, 1, axis=2), truth


def test_every_metric_of_a_shifted_cube() -> None:
    prediction, truth = two_cubes()
    (row,) = score_case(prediction, truth, values={0, 2}, spacing_mm=(1.0, 1.0, 5.0), case_id="a")
    assert (row.case_id, row.value, row.prediction_voxels, row.truth_voxels) == ("a", 2, 64, 64)
    assert set(row.scores) == set(METRICS)
    assert row.scores["dice"] == pytest.approx(0.75)  # 2 * 48 / 128
    assert row.scores["jaccard"] == pytest.approx(0.6)
    assert row.scores["ravd"] == 0.0
    assert (row.scores["hd_vox"], row.scores["hd_mm"]) == (1.0, 5.0)
    # surfaces: 64 - 8 = 56 voxels, in slices of 16, 12, 12, 16. The slice that sticks out has 16 voxels at one step
    # (5 mm). The opposite one has 12 on the truth's wall and 4 in the middle: one voxel in x from the wall, 1 mm.
    assert row.scores["asd_vox"] == pytest.approx((16 + 4) / 56)
    assert row.scores["asd_mm"] == pytest.approx((16 * 5 + 4) / 56)
    assert row.scores["hd95_mm"] == 5.0


def test_equal_sides_scale_voxels_to_mm() -> None:
    prediction, truth = two_cubes()
    # the third side differs as single precision makes it differ
    row = score_masks(prediction > 0, truth > 0, spacing_mm=(0.625, 0.625, 0.625 * (1 + 6e-8)))
    for name in ("hd", "hd95", "asd", "assd"):
        assert row.scores[f"{name}_mm"] == pytest.approx(0.625 * row.scores[f"{name}_vox"])


def test_classes_are_scored_apart() -> None:
    truth = np.array([[0, 1, 1, 7, 7, 0]])
    prediction = np.array([[0, 1, 1, 1, 7, 0]])
    first, second = score_case(prediction, truth, values=[7, 1], spacing_mm=(1.0, 1.0))
    assert (first.value, second.value) == (1, 7)
    assert first.scores["dice"] == pytest.approx(4 / 5)
    assert second.scores["dice"] == pytest.approx(2 / 3)


def test_absent_missed_and_invented_classes() -> None:
    truth, prediction = np.array([[0, 1, 0]]), np.array([[0, 2, 0]])
    missed, invented, absent = score_case(prediction, truth, values=[1, 2, 3], spacing_mm=(1.0, 1.0))
    assert (missed.scores["dice"], missed.scores["ravd"], missed.scores["hd95_mm"]) == (0.0, 1.0, inf)
    assert (invented.scores["dice"], invented.scores["ravd"], invented.scores["asd_vox"]) == (0.0, inf, inf)
    assert absent.absent
    assert not missed.absent
    assert all(isnan(value) for value in absent.scores.values())


def test_two_empty_maps() -> None:
    (row,) = score_case(np.zeros((4, 4), int), np.zeros((4, 4), int), values=[1], spacing_mm=(1.0, 1.0))
    assert row.absent


def test_bounding_box() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1, 2] = mask[3, 5] = True
    assert bounding_box(mask) == (slice(1, 4), slice(2, 6))
    assert mask[bounding_box(np.zeros((5, 6), bool))].size == 0
