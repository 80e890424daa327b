from pathlib import Path

import numpy as np
import pytest

from fewscan.data.label_map import count_values, integer_labels, to_class_indices
from fewscan.data.plan import LabelClass
from fewscan.errors import DataError

FILE = Path("labels/a.nii.gz")
CLASSES = (
    LabelClass(name="background", values=(0,), output=0),
    LabelClass(name="organ", values=(2,), output=2),
    LabelClass(name="tumour", values=(7, 4), output=7),
)


def test_gaps_and_joined_values():
    labels = np.array([[0, 2, 7], [4, 4, 0]], np.int16)
    result = to_class_indices(labels, CLASSES, path=FILE)
    assert result.tolist() == [[0, 1, 2], [2, 2, 0]]
    assert result.dtype == np.uint8


def test_undeclared_values_are_counted():
    with pytest.raises(DataError, match=r"a\.nii\.gz: undeclared values -1 \(1 voxels\), 3 \(2 voxels\)"):
        to_class_indices(np.array([3, 3, 0, -1]), CLASSES, path=FILE)


def test_nearly_whole_floats_are_rounded():
    labels = np.array([0.0009, 1.9991, 7.0], np.float32)
    assert to_class_indices(labels, CLASSES, path=FILE).tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [0.5, 1.998, 2.0011])
def test_values_between_integers_are_refused(value):
    with pytest.raises(DataError, match="1 voxels hold no whole numbers"):
        integer_labels(np.array([0.0, value, 2.0], np.float32), path=FILE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_numbers_are_refused(value):
    with pytest.raises(DataError, match="1 voxels are not numbers"):
        integer_labels(np.array([0.0, value], np.float32), path=FILE)


def test_bool_becomes_zero_and_one():
    assert integer_labels(np.array([True, False]), path=FILE).tolist() == [1, 0]


@pytest.mark.parametrize("top", [9, 65536, 10**9])  # histogram, and sort behind it
def test_counts(top):
    assert count_values(np.array([[-5, top], [-5, 0]], np.int64), path=FILE) == {-5: 2, 0: 1, top: 1}


def test_an_image_is_no_label():
    with pytest.raises(DataError, match="holds 300 different values"):
        count_values(np.arange(300), path=FILE)
