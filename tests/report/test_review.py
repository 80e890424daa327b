import math

import numpy as np
import pytest

from fewscan.report.review import (
    CONFIDENCE_RULE,
    DICE_RULE,
    NO_RULE,
    VOLUME_RULE,
    Looks,
    choose,
    foreground_confidence,
    volume_scores,
)

VOLUMES = {"a": {1: 90.0}, "b": {1: 100.0}, "c": {1: 100.0}, "d": {1: 110.0}, "e": {1: 1000.0}}


def looks(volumes, voxel=1.0):
    return {name: Looks(volumes=held, voxel=voxel) for name, held in volumes.items()}


def test_confidence_comes_before_dice_and_empty_predictions_before_all():
    cases = {
        "sure": Looks(0.99, 0.2, {1: 5.0}),
        "unsure": Looks(0.7, 0.9, {1: 5.0}),
        "empty": Looks(math.nan, 0.0, {1: 0.0}),
        "unknown": Looks(math.nan, 0.1, {1: 5.0}),
    }
    review = choose(cases)
    assert review.rule == CONFIDENCE_RULE
    assert review.order == ("empty", "unsure", "sure")


def test_without_confidence_the_lowest_dice_comes_first_and_ties_go_by_id():
    cases = {"b": Looks(dice=0.5), "a": Looks(dice=0.5), "c": Looks(dice=0.9), "d": Looks()}
    review = choose(cases)
    assert review.rule == DICE_RULE
    assert review.order == ("a", "b", "c")


def test_without_both_the_strangest_volume_comes_first():
    review = choose(looks(VOLUMES))
    assert review.rule == VOLUME_RULE
    assert review.order[0] == "e"


def test_few_cases_of_which_nothing_is_known_go_by_name():
    review = choose({"a": Looks(volumes={1: 4.0}), "b": Looks(volumes={1: 0.0})})
    assert review.rule == NO_RULE
    assert review.order == ("b", "a")  # the empty one first


def test_volume_scores_by_hand():
    # ln 100 is the median; distances from it: 0.10536, 0, 0, ln 1.1 = 0.09531, ln 10 = 2.30259; their median is 0.09531
    scores = volume_scores(looks(VOLUMES))
    width = 1.4826 * math.log(1.1)
    assert scores["e"] == pytest.approx(math.log(10) / width)
    assert scores["a"] == pytest.approx(math.log(100 / 90) / width)
    assert scores["b"] == 0


def test_equal_volumes_and_missing_classes_are_no_error():
    assert set(volume_scores(looks({str(k): {1: 5.0} for k in range(6)})).values()) == {0.0}
    scores = volume_scores(looks({**VOLUMES, "f": {}}))
    assert scores["f"] > scores["e"]  # ln 1 is farther from ln 100 than ln 1000


def test_the_unit_of_length_does_not_matter():
    # volumes far below 1 mm^3, as in microscopy: the same scores as of the same numbers of voxels
    small = {name: {1: 1e-6 * held[1]} for name, held in VOLUMES.items()}
    expected = volume_scores(looks({**VOLUMES, "f": {}}))
    assert volume_scores(looks({**small, "f": {}}, voxel=1e-6)) == pytest.approx(expected)


def test_confidence_counts_over_the_predicted_foreground():
    labels = np.array([[0, 1], [2, 0]])
    assert foreground_confidence(np.array([[0.1, 0.6], [0.8, 0.1]]), labels) == pytest.approx(0.7)
    assert math.isnan(foreground_confidence(np.ones((2, 2)), np.zeros((2, 2), int)))
