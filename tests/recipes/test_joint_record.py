"""When rounds have levelled off, and how long what is left will take."""

import pytest

from fewscan.files import write_json
from fewscan.recipes.joint_record import RoundRecord, has_levelled_off, seconds_left, stage_path

LENGTHS = {(k, kind): steps for k in range(3) for kind, steps in (("segmentation", 10), ("registration", 20))}


def _rounds(*scores):
    return [RoundRecord(round=k, mean_dice=score) for k, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ((0.5, 0.6, 0.7), 2, False),
        ((0.7, 0.6, 0.65), 2, True),
        ((0.7, 0.6, 0.7005), 2, True),  # a gain of half a thousandth is none
        ((0.7, 0.6, 0.702), 2, False),
        ((0.7, 0.6), 2, False),
        ((0.7, 0.6), 1, True),
        ((None, None, None, None), 1, False),
    ],
)
def test_levelling_off(scores, patience, expected):
    assert has_levelled_off(_rounds(*scores), patience=patience) is expected


def test_the_time_left_is_told_when_both_trainings_and_masks_are_known(tmp_path):
    assert seconds_left(tmp_path, LENGTHS, at=(0, "segmentation")) is None
    for kind, seconds in (("segmentation", 5.0), ("registration", 40.0)):
        write_json(stage_path(tmp_path, 0, kind) / "run.json", {"state": "finished", "training_seconds": seconds})
    # half a second and two seconds a step
    assert seconds_left(tmp_path, LENGTHS, at=(1, "segmentation")) == pytest.approx(2 * (5 + 40))
    write_json(stage_path(tmp_path, 1, "masks") / "masks.json", {"seconds": 7.0})
    assert seconds_left(tmp_path, LENGTHS, at=(1, "registration")) == pytest.approx(40 + 7 + 45)
