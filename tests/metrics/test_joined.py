"""Which label values of truth and baseline stand for another."""

import json

import numpy as np
import pytest

from fewscan.errors import DataError
from fewscan.metrics.joined import baseline_values, join_values, recorded_classes


@pytest.fixture
def predicted(tmp_path):
    """Return a function that makes a folder of predictions by a model of given classes: values and output."""

    def make(name, *classes):
        folder = tmp_path / name
        folder.mkdir()
        found = [{"name": "background", "values": [0], "output": 0}]
        found += [{"name": f"class{output}", "values": values, "output": output} for values, output in classes]
        if classes:
            (folder / "prediction.json").write_text(json.dumps({"classes": found}))
        return folder

    return make


def test_values_that_stand_for_another(predicted):
    folder = predicted("both", ([1, 2], 1), ([3], 2))
    assert recorded_classes(folder) == ({2: 1, 3: 2}, {1: "class1", 2: "class2"})
    assert recorded_classes(folder / "one.nii.gz") == recorded_classes(folder)
    assert recorded_classes(predicted("plain")) == ({}, {})


def test_all_values_are_replaced_at_once():
    assert join_values(np.array([0, 1, 2, 3]), {2: 1, 3: 2}).tolist() == [0, 1, 1, 2]


def test_a_baseline_of_unjoined_classes_is_joined(predicted):
    ours, apart = predicted("ours", ([1, 2], 1), ([3], 2)), predicted("apart", ([1], 1), ([2], 2), ([3], 3))
    assert baseline_values(ours, apart) == {2: 1, 3: 2}
    assert baseline_values(ours, predicted("another_tool")) == {2: 1, 3: 2}
    assert baseline_values(ours, apart / "one.nii.gz") == {2: 1, 3: 2}


def test_a_baseline_of_the_same_classes_is_left_alone(predicted):
    classes = ([1, 2], 1), ([3], 2)
    assert baseline_values(predicted("ours", *classes), predicted("theirs", *classes)) == {}
    assert baseline_values(predicted("plain"), predicted("plainer")) == {}


def test_a_baseline_that_joins_less_or_writes_other_values(predicted):
    # 1, 2 and 3 are one class here; there 1 and 2 are one, written as 5, and 3 is written as 6
    theirs = predicted("theirs", ([1, 2], 5), ([3], 6))
    assert baseline_values(predicted("ours", ([1, 2, 3], 1)), theirs) == {5: 1, 6: 1}


def test_a_baseline_that_joins_more_is_refused(predicted):
    ours, theirs = predicted("ours", ([1], 1), ([2], 2)), predicted("theirs", ([1, 2], 1))
    with pytest.raises(DataError, match=r"joins the label values 1, 2 into 'class1', and .*ours keeps them") as caught:
        baseline_values(ours, theirs)
    assert "exchange the two" in caught.value.mend
    assert baseline_values(theirs, ours) == {2: 1}  # as the message says


def test_classes_that_cross_are_refused_both_ways(predicted):
    ours, theirs = predicted("ours", ([1, 2], 1), ([3], 3)), predicted("theirs", ([1], 1), ([2, 3], 2))
    for first, second in ((ours, theirs), (theirs, ours)):
        with pytest.raises(DataError, match="keeps them apart") as caught:
            baseline_values(first, second)
        assert "evaluate each by itself" in caught.value.mend
