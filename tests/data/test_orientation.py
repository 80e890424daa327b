from itertools import permutations, product

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.geometry import Geometry
from fewscan.data.itk_image import to_itk
from fewscan.data.orientation import is_orientation, orientation_of, turn, turn_between, turn_to, world_axes

ALL = ["".join(letters) for axes in permutations(("LR", "PA", "SI")) for letters in product(*axes)]
ARRAY = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
LPS = Geometry((2, 3, 4), (1.0, 2.0, 5.0), (10.0, 20.0, 30.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
OBLIQUE = Geometry((2, 3, 4), (1.0, 2.0, 5.0), (7.5, -3.0, 40.0), (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0))
TILTED = (np.sqrt(0.5), -np.sqrt(0.5), 0.0, np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0, 0.0, 1.0)


def places(array, geometry):
    """Return the value at each world position, rounded to a thousandth of a millimetre."""
    index = np.indices(array.shape).reshape(3, -1)
    world = geometry.affine() @ np.vstack([index, np.ones(index.shape[1])])
    return {tuple(np.round(world[:3, k], 3) + 0.0): array[tuple(index[:, k])] for k in range(index.shape[1])}


def test_there_are_48():
    assert len(set(ALL)) == 48
    assert all(is_orientation(code) for code in ALL)


@pytest.mark.parametrize("code", ["", "LP", "LPSS", "LPL", "LRS", "lps", "LPX", "L P"])
def test_what_is_no_orientation(code):
    assert not is_orientation(code)


def test_a_hand_made_turn():
    # axes to the left, back and head become axes to the back, head and right
    way = turn_to(LPS, "PSR")
    turned, grid = way.array(ARRAY), way.geometry(LPS)
    assert turned.shape == grid.size == (3, 4, 2)
    # the last axis runs the other way: index 0 of it is index 1 of the old first axis
    assert turned[2, 3, 0] == ARRAY[1, 2, 3] == 23
    assert turned[0, 0, 1] == ARRAY[0, 0, 0] == 0
    assert turned[1, 0, 1] == ARRAY[0, 1, 0] == 4
    assert grid.spacing_mm == (2.0, 5.0, 1.0)
    assert grid.origin_mm == (11.0, 20.0, 30.0)  # of old voxel (1, 0, 0)
    assert grid.direction == (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert "-0.0" not in str(grid)
    assert orientation_of(grid) == "PSR"
    assert way.along("xyz") == ("y", "z", "x")


@pytest.mark.parametrize("grid", [LPS, OBLIQUE], ids=["straight", "oblique"])
@settings(max_examples=60, deadline=None)
@given(first=st.sampled_from(ALL), second=st.sampled_from(ALL))
def test_every_turn_keeps_every_voxel_in_its_place_and_can_be_undone(grid, first, second):
    way = turn_to(grid, first)
    array, there = way.array(ARRAY), way.geometry(grid)
    assert orientation_of(there) == first
    onward = turn_to(there, second)
    assert onward == turn(first, second) == turn_between(there, onward.geometry(there))
    turned, here = onward.array(array), onward.geometry(there)
    assert orientation_of(here) == second
    assert places(turned, here) == places(ARRAY, grid)
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(onward.back.array(turned), array)
    assert onward.back == turn(second, first)
    back = onward.back.geometry(here)
    assert (back.size, back.spacing_mm, back.direction) == (there.size, there.spacing_mm, there.direction)
    np.testing.assert_allclose(back.origin_mm, there.origin_mm, atol=1e-9)
    assert onward.changes == (first != second)


@pytest.mark.parametrize("code", ALL)
def test_other_programs_count_alike(code):
    grid = turn_to(LPS, code).geometry(LPS)
    turned = sitk.DICOMOrient(to_itk(ARRAY, LPS), code)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(turned).T, turn_to(LPS, code).array(ARRAY))
    assert turned.GetDirection() == grid.direction
    assert turned.GetOrigin() == grid.origin_mm
    ras = np.diag([-1, -1, 1, 1]) @ grid.affine()
    assert "".join(nibabel.aff2axcodes(ras)) == code


def test_nothing_is_copied_where_nothing_changes():
    way = turn_to(LPS, "LPS")
    assert not way.changes
    assert way.array(ARRAY) is ARRAY
    assert way.geometry(LPS) is LPS
    assert not turn_to(LPS, None).changes


def test_two_dimensions_stay_as_they_are():
    flat = Geometry((5, 4), (1.0, 2.0), (0.0, 0.0), (0.0, -1.0, 1.0, 0.0))
    assert orientation_of(flat) is None
    assert not turn_to(flat, "LPS").changes
    assert world_axes(flat) == ((1, 0), (-1, 1))


def test_channels_are_no_axis_of_the_body():
    stack = np.stack([ARRAY, -ARRAY])
    turned = turn_to(LPS, "SAL").array(stack)
    np.testing.assert_array_equal(turned[1], -turn_to(LPS, "SAL").array(ARRAY))
    assert turned.shape == (2, 4, 3, 2)


def test_an_oblique_scan_counts_by_its_closest_axes():
    assert orientation_of(OBLIQUE) == "LPS"  # 37 degrees off
    steeper = Geometry((2, 3, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.6, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, -1.0))
    assert orientation_of(steeper) == "PRI"  # 53 degrees off


@pytest.mark.parametrize("code", ALL)
def test_half_way_between_two_orientations_the_way_back_is_found(code):
    # 45 degrees: letters alone could not tell which of two axes is which
    grid = Geometry((2, 3, 4), (1.0, 2.0, 5.0), (0.0, 0.0, 0.0), TILTED)
    way = turn_to(grid, code)
    assert turn_between(grid, way.geometry(grid)) == way
