"""What is on record about a round, when rounds have levelled off, and how long what is left will take."""

from types import SimpleNamespace

import pytest

from fewscan.files import write_json
from fewscan.recipes.joint_record import RoundRecord, has_levelled_off, read_round, seconds_left, stage_path
from fewscan.recipes.mask_quality import MaskRecord

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


def test_the_record_is_of_the_masks_that_were_trained_with(tmp_path):
    record = MaskRecord(
        entropy=0.2, disagreement=0.1, disagreements=(0.1,), segmentation_vox=(3,), registration_vox=(2,)
    )
    worse = record.model_copy(update={"entropy": 0.8, "disagreement": 0.7, "kept_from": 1, "why_kept": "empty"})
    records = {"a": record, "b": record.model_copy(update={"entropy": 0.4}), "c": worse}
    store = SimpleNamespace(records=records, details={"seconds": 6.0})
    two = read_round(tmp_path, 2, store, used=["a", "b"])
    assert (two.scans, two.kept, two.seconds) == (2, 0, {"masks": 6.0})
    assert (two.entropy, two.disagreement) == (pytest.approx(0.3), pytest.approx(0.1))
    assert read_round(tmp_path, 2, store, used=["a", "b", "c"]).kept == 1
    none = read_round(tmp_path, 2, store, used=[])  # the halves of no scan agreed
    assert (none.scans, none.entropy, none.disagreement) == (0, None, None)
