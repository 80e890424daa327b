"""Entropy, disagreement, collapse and the gate, on masks whose values are known."""

import math

import pytest
import torch

from fewscan.recipes.mask_quality import MaskRecord, agreeing, collapse, describe_mask, disagreements, mean_entropy


def _hard(rows, classes=3):
    labels = torch.tensor(rows)
    return torch.stack([(labels == index).float() for index in range(classes)])


def _record(**changes):
    """Return a record of one class; of several where their volumes are given, the halves agreeing on all alike."""
    values = {"entropy": 0.1, "disagreement": 0.1, "segmentation_vox": (99,), "registration_vox": (99,), **changes}
    values.setdefault("disagreements", (values["disagreement"],) * len(values["segmentation_vox"]))
    return MaskRecord.parse(values, source="test")


def test_entropy():
    assert mean_entropy(_hard([[0, 1], [2, 0]])) == 0
    assert mean_entropy(torch.full((4, 3, 3), 0.25)) == pytest.approx(1)
    half = torch.tensor([[[1.0, 0.5]], [[0.0, 0.5]]])  # one sure voxel, one that knows nothing
    assert mean_entropy(half) == pytest.approx(0.5)
    assert mean_entropy(torch.tensor([[[0.75]], [[0.25]]])) == pytest.approx(
        -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    )


def test_disagreements():
    first, second = torch.tensor([[0, 1, 1, 2]]), torch.tensor([[1, 1, 1, 0]])
    # class 1: 2 and 3 voxels, 2 in common: Dice 4/5; class 2: 1 and 0: Dice 0
    assert disagreements(first, second, classes=3) == [pytest.approx(0.2), 1]
    assert disagreements(first, first, classes=4) == [0, 0, None]  # class 3 is in neither
    assert disagreements(torch.zeros(1, 2), torch.zeros(1, 2), classes=3) == [None, None]


def test_a_record_says_it_all():
    segmented, registered = _hard([[0, 1, 1, 2]]), _hard([[1, 1, 1, 0]])
    record = describe_mask((segmented + registered) / 2, segmented, registered)
    assert record.segmentation_vox == (2, 1)
    assert record.registration_vox == (3, 0)
    assert record.found == (True, True)
    assert record.disagreement == pytest.approx(0.6)
    assert record.disagreements == (pytest.approx(0.2), 1)
    assert record.entropy == pytest.approx(2 / 4 * math.log(2) / math.log(3))
    assert record.kept_from is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"segmentation_vox": (399,)}, ""),  # (399 + 1) / (99 + 1) is the factor itself
        ({"segmentation_vox": (400,)}, "class 1 went from 99 to 400 voxels in the segmentation half"),
        ({"segmentation_vox": (24,)}, ""),
        ({"segmentation_vox": (23,)}, "from 99 to 23 voxels"),
        ({"registration_vox": (0,)}, "class 1 went from 99 to 0 voxels in the registration half"),
        ({"registration_vox": (0,), "disagreement": 0.05}, ""),  # nearer to each other
        ({"registration_vox": (0,), "segmentation_vox": (0,), "disagreement": 0.0}, "99 to 0 voxels"),  # in nothing
        ({"entropy": 0.42}, ""),
        ({"entropy": 0.44}, "entropy went from 0.100 to 0.440"),
    ],
)
def test_collapse(changes, text):
    found = collapse(_record(**changes), _record(), factor=4)
    assert text in found
    assert bool(found) == bool(text)


def test_next_to_nothing_may_double():
    assert not collapse(_record(segmentation_vox=(2,)), _record(segmentation_vox=(0,)), factor=4)


def test_every_class_is_watched():
    before = _record(segmentation_vox=(50, 50), registration_vox=(50, 50))
    assert "class 2" in collapse(before.model_copy(update={"segmentation_vox": (50, 0)}), before, factor=4)


def test_a_class_that_vanishes_is_not_hidden_by_others_that_became_better():
    thousand = (1000, 1000, 1000)
    before = _record(segmentation_vox=thousand, registration_vox=thousand, disagreement=0.5)
    new = {"segmentation_vox": (1000, 1000, 0), "disagreement": 1.4 / 3, "disagreements": (0.2, 0.2, 1.0)}
    assert "class 3 went from 1000 to 0 voxels in the segmentation half" in collapse(
        before.model_copy(update=new), before, factor=4
    )


def test_the_mean_disagreement_is_over_classes_that_are_there():
    same = _hard([[0, 1, 1, 0]])
    assert describe_mask(same, same, same).disagreements == (0, 0)
    other = _hard([[1, 1, 0, 0]])  # one of two voxels in common
    record = describe_mask(same, same, other)
    assert (record.disagreement, record.disagreements) == (0.5, (0.5, 0))


def test_the_gate():
    records = {name: _record(disagreement=value) for name, value in zip("dcba", (0.05, 0.1, 0.5, 0.9), strict=True)}
    assert agreeing(records, dice=0.9, least_dice=0.2, quota=0.0) == ["c", "d"]
    assert agreeing(records, dice=0.9, least_dice=0.2, quota=0.75) == ["b", "c", "d"]
    assert agreeing(records, dice=0.9, least_dice=0.2, quota=7.0) == ["b", "c", "d"]  # a: .1 is below the least
    assert agreeing(records, dice=1.0, least_dice=1.0, quota=1.0) == []
    assert agreeing(records, dice=0.9, least_dice=0.0, quota=0.26) == ["c", "d"]  # two of four


def test_halves_that_find_nothing_agree_on_nothing():
    records = {"a": _record(disagreement=0.0, segmentation_vox=(0,), registration_vox=(0,)), "b": _record()}
    assert agreeing(records, dice=0.5, least_dice=0.0, quota=1.0) == ["b"]
