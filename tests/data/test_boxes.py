import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.boxes import centred_part, centred_start, cut, cut_centred, random_start, start_around


def test_last_offset_is_drawn():
    starts = {random_start((5,), (3,), np.random.default_rng(k)) for k in range(100)}
    assert starts == {(0,), (1,), (2,)}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_random_box_covers_the_scan_or_lies_within(size, box, seed):
    (start,) = random_start((size,), (box,), np.random.default_rng(seed))
    if box <= size:
        assert 0 <= start <= size - box
    else:
        assert start <= 0 <= size <= start + box


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_box_around_a_voxel_contains_it(size, box, data):
    voxel = data.draw(st.integers(0, size - 1))
    (start,) = start_around((voxel,), (size,), (box,))
    assert start <= voxel < start + box


def test_cut_by_hand():
    array = np.array([[1, 2, 3]])
    assert cut(array, (-1,), (3,), np.array([9])).tolist() == [[9, 1, 2]]
    assert cut(array, (1,), (4,), np.array([9])).tolist() == [[2, 3, 9, 9]]
    assert cut(array, (1,), (2,), np.array([9])).tolist() == [[2, 3]]


def test_cut_returns_a_copy():
    array = np.zeros((1, 3))
    cut(array, (0,), (3,), np.zeros(1))[...] = 1
    assert array.sum() == 0


@pytest.mark.parametrize(("size", "box", "start"), [(5, 8, -1), (4, 8, -2), (8, 5, 1), (8, 4, 2), (6, 6, 0)])
def test_centred_start_by_hand(size, box, start):
    assert centred_start((size,), (box,)) == (start,)


@given(size=st.integers(1, 9), margin=st.integers(0, 7))
def test_what_was_centred_is_found_where_centred_part_says(size, margin):
    scan = np.arange(1, 1 + 2 * size).reshape(2, size)
    placed = cut_centred(scan, (size + margin,), np.array([0, -1]))
    (part,) = centred_part((size,), (size + margin,))
    assert np.array_equal(placed[:, part], scan)
    assert abs(part.start - (size + margin - part.stop)) <= 1
