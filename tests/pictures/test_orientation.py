import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.geometry import Geometry
from fewscan.pictures.orientation import planes, upright, world_axes


def grid(size, direction, spacing_mm=None):
    return Geometry(tuple(size), spacing_mm or (1.0,) * len(size), (0.0,) * len(size), tuple(map(float, direction)))


def test_an_lps_scan_stays_as_it_is():
    array = np.arange(24).reshape(2, 3, 4)
    turned, spacing_mm = upright(array, grid((2, 3, 4), np.eye(3).ravel(), (1.0, 2.0, 3.0)))
    np.testing.assert_array_equal(turned, array)
    assert spacing_mm == (1, 2, 3)


def test_a_ras_scan_is_flipped_along_left_and_back():
    array = np.arange(24).reshape(2, 3, 4)
    turned, _ = upright(array, grid((2, 3, 4), np.diag([-1, -1, 1]).ravel()))
    np.testing.assert_array_equal(turned, array[::-1, ::-1])


def test_a_sagittal_scan_gets_its_axes_and_spacing_in_order():
    # array axes point to P, S, R: columns of the direction are (0,1,0), (0,0,1), (-1,0,0)
    direction = np.array([[0, 0, -1], [1, 0, 0], [0, 1, 0]])
    array = np.arange(24).reshape(2, 3, 4)
    turned, spacing_mm = upright(array, grid((2, 3, 4), direction.ravel(), (1.0, 2.0, 3.0)))
    assert world_axes(grid((2, 3, 4), direction.ravel())) == ((2, 0, 1), (-1, 1, 1))
    np.testing.assert_array_equal(turned, array.transpose(2, 0, 1)[::-1])
    assert spacing_mm == (3, 1, 2)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3), st.floats(-0.5, 0.5))
def test_any_order_and_direction_shows_the_same_anatomy(order, signs, angle):
    anatomy = np.arange(24).reshape(2, 3, 4)
    stored = anatomy[tuple(slice(None, None, sign) for sign in signs)].transpose(order)
    tilt = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    direction = tilt @ np.diag(signs)[:, list(order)]
    turned, _ = upright(stored, grid(stored.shape, direction.ravel()))
    np.testing.assert_array_equal(turned, anatomy)


def test_planes_show_head_and_front_at_the_top():
    array = np.zeros((4, 5, 6), int)
    array[:, 0, :] += 1  # front
    array[:, :, 5] += 2  # head
    array[3, :, :] += 4  # left
    (axial, axial_aspect), (coronal, coronal_aspect), (sagittal, sagittal_aspect) = planes(
        array, (1.0, 2.0, 6.0), (1, 2, 3)
    )
    assert axial.shape == (5, 4)
    assert (axial[0] & 1).all()
    assert (axial[:, -1] & 4).all()
    assert coronal.shape == (6, 4)
    assert (coronal[0] & 2).all()
    assert (coronal[:, -1] & 4).all()
    assert sagittal.shape == (6, 5)
    assert (sagittal[0] & 2).all()
    assert (sagittal[:, 0] & 1).all()
    for rest in (axial[1:, :-1], coronal[1:, :-1], sagittal[1:, 1:]):
        assert not rest.any()
    # pixel height over width: back/left = 2/1, head/left = 6/1, head/back = 6/2
    assert (axial_aspect, coronal_aspect, sagittal_aspect) == (2, 6, 3)


def test_a_flat_scan_is_shown_as_stored_with_its_second_axis_down():
    [(picture, aspect)] = planes(np.arange(6).reshape(2, 3), (1.0, 1.5), (0, 0))
    assert picture.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert aspect == pytest.approx(1.5)
