from collections.abc import Callable

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.orientation import turn_to
from fewscan.data.scan_meta import ScanMeta
from fewscan.registration.physical import (
    affine_displacement_mm,
    affine_field,
    displacement_in_voxels,
    physical_displacement,
)
from fewscan.registration.registrar import Match

NAMES = ("2-D", "2-D oblique", "3-D", "3-D oblique")


def test_an_affine_field_by_hand() -> None:
    field = affine_field(np.array([[1.0, 2.0, 3.0], [0.0, 0.5, -1.0], [0, 0, 1]]), (2, 3))
    np.testing.assert_array_equal(field[0], [[3, 5, 7], [4, 6, 8]])
    np.testing.assert_array_equal(field[1], [[-1, -0.5, 0], [-1, -0.5, 0]])


@pytest.mark.parametrize("name", NAMES)
def test_no_displacement_on_equal_grids_is_none_in_space(
    name: str, grids: dict[str, Geometry], meta_of: Callable[..., ScanMeta]
) -> None:
    grid = grids[name]
    match = Match(np.zeros((grid.dimensions, *grid.size), np.float32), grid.affine(), np.eye(grid.dimensions + 1))
    assert not physical_displacement(match, meta_of(grid)).any()


def test_one_voxel_along_an_oblique_axis_by_hand(grids: dict[str, Geometry], meta_of: Callable[..., ScanMeta]) -> None:
    grid = grids["2-D oblique"]  # axis 1 points along (0.6, 0.8), 0.8 mm a voxel
    displacement = np.zeros((2, *grid.size), np.float32)
    displacement[1] = 1
    field = physical_displacement(Match(displacement, grid.affine(), np.eye(3)), meta_of(grid))
    np.testing.assert_allclose(field[0], 0.48, atol=1e-6)
    np.testing.assert_allclose(field[1], 0.64, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_crop_resampling_and_alignment_are_undone(
    name: str, grids: dict[str, Geometry], points: Callable[[Geometry], np.ndarray]
) -> None:
    """A displacement that is linear in space stays exact through linear interpolation."""
    own = grids[name]
    n = own.dimensions
    start, size = (2, 3, 1)[:n], tuple(k - 5 for k in own.size)
    cropped = own.cropped(start, size)
    prepared = cropped.resampled(tuple(0.6 * step for step in own.spacing_mm))
    meta = ScanMeta("a", own, start, cropped, prepared, (0.0,), ("a",))
    rng = np.random.default_rng(0)
    # index -> displaced index, then any affine map to the moving world
    slope, shift = 0.1 * rng.normal(size=(n, n)), rng.normal(size=n)
    to_moving = np.eye(n + 1)
    to_moving[:n] += rng.normal(size=(n, n + 1))
    index = np.indices(prepared.size)
    displacement = np.einsum("ij,j...->i...", slope, index) + shift.reshape(-1, *[1] * n)
    match = Match(displacement.astype(np.float32), to_moving, np.eye(n + 1))
    field = physical_displacement(match, meta)

    world = points(own)
    inverse = np.linalg.inv(prepared.affine())
    p = np.einsum("ij,j...->i...", inverse[:n, :n], world) + inverse[:n, n].reshape(-1, *[1] * n)
    q = p + np.einsum("ij,j...->i...", slope, p) + shift.reshape(-1, *[1] * n)
    expected = np.einsum("ij,j...->i...", to_moving[:n, :n], q) + to_moving[:n, n].reshape(-1, *[1] * n) - world
    inside = ((p >= 0) & (p <= np.array(prepared.size).reshape(-1, *[1] * n) - 1)).all(axis=0)
    assert inside.sum() > 100
    np.testing.assert_allclose(field[:, inside], expected[:, inside], atol=2e-4)
    assert np.isfinite(field).all()


def test_outside_the_crop_the_border_goes_on(grids: dict[str, Geometry]) -> None:
    own = Geometry.identity((10, 8))
    cropped = own.cropped((4, 0), (6, 8))
    meta = ScanMeta("a", own, (4, 0), cropped, cropped, (0.0,), ("a",))
    displacement = np.zeros((2, 6, 8), np.float32)
    displacement[0] = np.arange(6).reshape(-1, 1) + 1
    field = physical_displacement(Match(displacement, cropped.affine(), np.eye(3)), meta)
    np.testing.assert_allclose(field[0, :, 0], [1, 1, 1, 1, 1, 2, 3, 4, 5, 6], atol=1e-6)
    assert not field[1].any()


def test_a_displacement_of_another_grid_is_refused(meta_of: Callable[..., ScanMeta]) -> None:
    grid = Geometry.identity((10, 8))
    with pytest.raises(ValueError, match="does not fit the grid"):
        physical_displacement(Match(np.zeros((2, 8, 10), np.float32), grid.affine(), np.eye(3)), meta_of(grid))


@pytest.mark.parametrize("name", NAMES)
def test_in_voxels_and_back(name: str, grids: dict[str, Geometry]) -> None:
    grid = grids[name]
    n = grid.dimensions
    voxels = np.random.default_rng(0).normal(size=(n, *grid.size)).astype(np.float32)
    physical = np.einsum("ij,j...->i...", grid.affine()[:n, :n], voxels).astype(np.float32)
    np.testing.assert_allclose(displacement_in_voxels(physical, grid), voxels, atol=1e-5)


def test_the_displacement_of_a_matrix(grids: dict[str, Geometry], points: Callable[[Geometry], np.ndarray]) -> None:
    grid = grids["3-D oblique"]
    matrix = np.eye(4)
    matrix[:3] += 0.1 * np.random.default_rng(0).normal(size=(3, 4))
    world = points(grid)
    expected = np.einsum("ij,j...->i...", matrix[:3, :3], world) + matrix[:3, 3].reshape(3, 1, 1, 1) - world
    np.testing.assert_allclose(affine_displacement_mm(matrix, grid), expected, atol=1e-4)


@pytest.mark.parametrize("code", ["SRA", "PIL", "RAI"])
def test_a_turned_prepared_grid_gives_the_same_field(code: str, grids: dict[str, Geometry]) -> None:
    own = grids["3-D oblique"]
    start, size = (2, 3, 1), tuple(k - 5 for k in own.size)
    cropped = own.cropped(start, size)
    upright = cropped.resampled((0.75, 1.0, 1.5))
    way = turn_to(upright, code)
    turned = way.geometry(cropped).resampled(way.along((0.75, 1.0, 1.5)))
    displacement = np.random.default_rng(0).normal(size=(3, *upright.size)).astype(np.float32)
    # component k of the turned field counts voxels along its own axis k
    components = way.array(displacement)[list(way.axes)] * np.reshape(way.signs, (3, 1, 1, 1)).astype(np.float32)
    fields = [
        physical_displacement(
            Match(values, grid.affine(), np.eye(4)), ScanMeta("a", own, start, cropped, grid, (0.0,), ("a",))
        )
        for values, grid in ((displacement, upright), (components, turned))
    ]
    assert fields[0].std() > 0.3
    np.testing.assert_allclose(fields[1], fields[0], atol=1e-4)
