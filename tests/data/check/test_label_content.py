import numpy as np
import pytest

from fewscan.data.check.label_content import check_label
from fewscan.data.check.problem import Source

SOURCE = Source(case_id="one", file="label.nii.gz")
DECLARED = {0, 1, 2}


def test_clean_label_is_counted(label):
    assert check_label(label, DECLARED, SOURCE) == ([], {0: 1320 - 64, 1: 64})


def test_fault_04_label_is_all_background(codes):
    problems, counts = check_label(np.zeros((5, 5, 5), np.uint8), DECLARED, SOURCE)
    assert codes(problems) == ["warning empty-label"]
    assert counts == {0: 125}


def test_fault_08_undeclared_value_is_named_with_its_count(label, codes):
    label[0, 0, :3] = 7
    problems, _ = check_label(label, DECLARED, SOURCE)
    assert codes(problems) == ["error undeclared-label"]
    assert "value 7 in 3 voxels" in problems[0].message
    assert "0, 1, 2" in problems[0].message


def test_values_are_free_where_nothing_is_declared(label):
    label[0] = 7
    assert check_label(label, (), SOURCE)[0] == []


def test_fault_09_negative_label(label, codes):
    label = label.astype(np.int16)
    label[0, 0, 0] = -1
    problems, _ = check_label(label, DECLARED, SOURCE)
    assert codes(problems) == ["error negative-label"]
    assert "value -1 in 1 voxel" in problems[0].message


def test_fault_09_negative_label_may_be_declared(label):
    label = label.astype(np.int16)
    label[0, 0, 0] = -1
    assert check_label(label, {*DECLARED, -1}, SOURCE)[0] == []


def test_fault_10_float_label_near_whole_numbers_is_accepted(label):
    problems, counts = check_label(label.astype(np.float32) * np.float32(0.9995), DECLARED, SOURCE)
    assert problems == []
    assert counts == {0: 1256, 1: 64}


def test_fault_10_interpolated_label(label, codes):
    label = label.astype(np.float32) * 2
    label[3, 4, 5] = 1.4
    problems, counts = check_label(label, DECLARED, SOURCE)
    assert codes(problems) == ["error label-not-whole"]
    assert "1 value is not whole, the first is 1.4 at index (3, 4, 5)" in problems[0].message
    assert "nearest neighbour" in problems[0].mend
    assert counts == {}


def test_fault_12_probability_map(voxels, codes):
    problems, _ = check_label(voxels / 1319, DECLARED, SOURCE)
    assert codes(problems) == ["error label-is-probability"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_label_with_values_that_are_not_finite(label, codes, bad):
    label = label.astype(np.float32)
    label[0, 0, 1] = bad
    problems, _ = check_label(label, DECLARED, SOURCE)
    assert codes(problems) == ["error label-not-finite"]
    assert "(0, 0, 1)" in problems[0].message


def test_fault_13_one_foreground_voxel(codes):
    array = np.zeros((30, 30, 30), np.uint8)
    array[3, 3, 3] = 1
    problems, _ = check_label(array, DECLARED, SOURCE)
    assert codes(problems) == ["warning tiny-foreground"]
    assert "only 1 foreground voxel of 27000" in problems[0].message


def test_image_given_as_label(voxels, codes):
    problems, counts = check_label(voxels.astype(np.int16), (), SOURCE)
    assert codes(problems) == ["error label-is-image"]
    assert counts == {}
