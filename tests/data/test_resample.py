import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.geometry import Geometry
from fewscan.data.resample import resample_labels, resample_linear

TURN = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def test_same_grid_is_a_copy_free_pass():
    grid = Geometry.identity((2, 3))
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert resample_linear(array, grid, grid) is array


def test_upsampling_interpolates_linearly():
    # voxels of 1 mm at 0, 1, 2; of 0.5 mm at -0.25, 0.25, ..., 2.25; outside the centres the border value holds
    grid = Geometry.identity((3, 1), (1.0, 1.0))
    result = resample_linear(np.array([[0.0], [10.0], [20.0]]), grid, grid.resampled((0.5, 1.0)))
    assert result[:, 0] == pytest.approx([0, 2.5, 7.5, 12.5, 17.5, 20])
    assert result.dtype == np.float32
    assert result.flags.c_contiguous


@pytest.mark.parametrize("direction", [Geometry.identity((1, 1, 1)).direction, TURN])
def test_ramps_survive_on_every_axis_and_direction(direction):
    grid = Geometry((12, 10, 8), (1.0, 1.5, 2.0), (5.0, -7.0, 3.0), direction)
    target = grid.resampled((0.8, 1.0, 1.7))
    for axis in range(3):
        ramp = np.indices(grid.size)[axis].astype(np.float32)
        # index along the axis of each new voxel, from the two grids by hand: same centre, spacing ratio
        ratio = target.spacing_mm[axis] / grid.spacing_mm[axis]
        wanted = (grid.size[axis] - 1) / 2 + (np.arange(target.size[axis]) - (target.size[axis] - 1) / 2) * ratio
        found = np.moveaxis(resample_linear(ramp, grid, target), axis, 0)
        assert found == pytest.approx(
            np.broadcast_to(wanted.clip(0, grid.size[axis] - 1)[:, None, None], found.shape), abs=1e-4
        )


def test_down_sampling_removes_what_the_grid_cannot_hold():
    # stripes of three voxels (0 0 0 1 1 1 ...) through voxels of four: interpolation alone, at 1.5, 5.5, 9.5, ...,
    # gives 0, 0.5, 1, ...: a false texture from black to white
    grid = Geometry.identity((60, 4))
    stripes = np.tile((np.arange(60) // 3 % 2).astype(np.float32)[:, None], (1, 4))
    result = resample_linear(stripes, grid, grid.resampled((4.0, 1.0)))
    assert np.ptp(result[2:-2]) < 0.5
    assert result.mean() == pytest.approx(0.5, abs=0.02)


def test_mass_is_kept_and_no_freed_memory_is_read():
    rng = np.random.default_rng(0)
    grid = Geometry.identity((40, 36, 32))
    array = np.zeros(grid.size, np.float32)
    array[8:-8, 8:-8, 8:-8] = rng.uniform(0, 1, (24, 20, 16))
    for _ in range(3):
        gc.collect()
        result = resample_linear(array, grid, grid.resampled((2.0, 2.0, 2.0)))
        assert result.sum() * 8 == pytest.approx(array.sum(), rel=0.01)
        assert result.min() >= 0
        assert result.max() <= 1


def test_labels_take_the_largest_share():
    # one axis, 1 mm to 2 mm: pairs (0 0) (0 1) (1 1) (2 2) plus a little of the neighbours from the smoothing
    grid = Geometry.identity((8, 1))
    labels = np.array([[0], [0], [0], [1], [1], [1], [2], [2]], np.uint8)
    result = resample_labels(labels, grid, grid.resampled((2.0, 1.0)))
    assert result[:, 0].tolist() == [0, 1, 1, 2]  # the pair (0 1) is a tie: foreground
    assert result.dtype == np.uint8


def test_half_filled_voxels_do_not_shrink_an_organ():
    grid = Geometry.identity((64, 64, 64))
    distance = np.sqrt(((np.indices(grid.size) - 31.5) ** 2).sum(0))
    ball = (distance < 21).astype(np.uint8)
    result = resample_labels(ball, grid, grid.resampled((2.0, 2.0, 2.0)))
    assert result.sum() * 8 == pytest.approx(ball.sum(), rel=0.02)


def test_absent_classes_do_not_appear():
    grid = Geometry.identity((6, 6))
    labels = np.full(grid.size, 3, np.uint8)
    assert (resample_labels(labels, grid, grid.resampled((0.7, 0.7))) == 3).all()


@given(st.floats(0.4, 3.0), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_only_values_that_were_there(spacing, seed):
    grid = Geometry.identity((9, 7))
    labels = np.random.default_rng(seed).choice([0, 2, 5], grid.size).astype(np.uint8)
    result = resample_labels(labels, grid, grid.resampled((spacing, spacing)))
    assert set(np.unique(result)) <= {0, 2, 5}
