import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.components import keep_largest_components, largest_component


def test_only_the_largest_component_of_each_class_stays() -> None:
    labels = np.array([[1, 1, 0, 2], [0, 0, 0, 2], [1, 0, 2, 0], [0, 0, 0, 0]], np.uint8)
    # class 1: {(0,0), (0,1)} of two voxels and {(2,0)} of one; class 2 touches at the corner (1,3)-(2,2): one component
    expected = np.array([[1, 1, 0, 2], [0, 0, 0, 2], [0, 0, 2, 0], [0, 0, 0, 0]], np.uint8)
    before = labels.copy()
    kept = keep_largest_components(labels)
    np.testing.assert_array_equal(kept, expected)
    np.testing.assert_array_equal(labels, before)
    assert kept.dtype == np.uint8


def test_a_touching_class_does_not_join_components() -> None:
    # the two parts of class 1 touch only through class 2
    np.testing.assert_array_equal(keep_largest_components(np.array([[1, 1, 2, 1]])), [[1, 1, 2, 0]])


def test_of_equal_components_the_first_stays() -> None:
    np.testing.assert_array_equal(largest_component(np.array([0, 1, 0, 1], bool)), [False, True, False, False])


def test_empty_maps() -> None:
    np.testing.assert_array_equal(keep_largest_components(np.zeros((2, 3), int)), np.zeros((2, 3), int))
    assert not largest_component(np.zeros((2, 2), bool)).any()


def test_corners_connect_in_three_dimensions() -> None:
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[2, 2, 2] = True
    np.testing.assert_array_equal(largest_component(mask), mask)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_keeping_twice_changes_nothing(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (5, 6, 4)).astype(np.int16)
    once = keep_largest_components(labels)
    np.testing.assert_array_equal(keep_largest_components(once), once)
    assert set(np.unique(once)) == set(np.unique(labels))  # every class keeps a component
    assert np.all((once == labels) | (once == 0))
