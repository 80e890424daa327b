import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.geometry import Geometry
from fewscan.data.grids import centre_mm, grid_distance_vox, require_same_grid, target_grid
from fewscan.errors import DataError

GRID = Geometry.identity((5, 4, 3), (1.0, 2.0, 4.0))


def moved(origin=(0.0, 0.0, 0.0), spacing=(1.0, 2.0, 4.0), direction=GRID.direction, size=(5, 4, 3)):
    return Geometry(size, spacing, origin, direction)


def test_distance_in_voxels_of_the_first_grid():
    # 1 mm along an axis of 4 mm spacing is a quarter of a voxel
    assert grid_distance_vox(GRID, moved(origin=(0.0, 0.0, 1.0))) == pytest.approx(0.25)
    # spacing 1.1 instead of 1: the last of 5 voxels is 4 * 0.1 = 0.4 mm = 0.4 voxels off
    assert grid_distance_vox(GRID, moved(spacing=(1.1, 2.0, 4.0))) == pytest.approx(0.4)
    # x flipped about the first voxel: the last lies at -4 instead of 4
    flipped = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    assert grid_distance_vox(GRID, moved(direction=flipped)) == pytest.approx(8.0)
    assert grid_distance_vox(GRID, moved(size=(5, 4, 2))) == math.inf


def test_tolerance_is_a_thousandth_of_a_voxel():
    require_same_grid(moved(origin=(0.0009, 0.0, 0.0)), GRID, what="label", mend="")
    with pytest.raises(DataError, match="elsewhere in space"):
        require_same_grid(moved(origin=(0.0011, 0.0, 0.0)), GRID, what="label", mend="")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (moved(size=(5, 4, 2)), r"label x has size \(5, 4, 2\), its image has \(5, 4, 3\)"),
        (moved(spacing=(1.0, 2.0, 5.0)), "label x has spacing"),
        (moved(origin=(0.0, 9.0, 0.0)), "up to 4.5 voxels"),
    ],
)
def test_the_difference_is_named(other, message):
    with pytest.raises(DataError, match=message) as error:
        require_same_grid(other, GRID, what="label x", mend="mend it")
    assert error.value.mend == "mend it"


def test_target_grid_keeps_what_need_not_change():
    assert target_grid(GRID, None) is GRID
    assert target_grid(GRID, (1.00001, 2.0, None)) is GRID
    # only z changes: 3 voxels of 4 mm become 6 of 2 mm; x keeps its exact spacing
    assert target_grid(GRID, (1.00001, None, 2.0)).spacing_mm == (1.0, 2.0, 2.0)
    assert target_grid(GRID, (None, None, 2.0)).size == (5, 4, 6)


@given(st.tuples(*[st.floats(0.3, 5.0)] * 3))
@settings(max_examples=25, deadline=None)
def test_target_grid_keeps_the_centre(spacing):
    def centre(grid):
        return grid.affine() @ [*((n - 1) / 2 for n in grid.size), 1.0]

    assert centre(target_grid(GRID, spacing)) == pytest.approx(centre(GRID))


def test_the_centre_by_hand():
    grid = Geometry((3, 5), (2.0, 1.0), (10.0, -1.0), (0.0, 1.0, 1.0, 0.0))  # axis 0 points along y
    np.testing.assert_allclose(centre_mm(grid), [10 + 2, -1 + 2])
