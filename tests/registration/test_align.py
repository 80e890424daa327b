from collections.abc import Callable

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.grids import centre_mm
from fewscan.data.prepare import PreparedScan
from fewscan.data.scan_meta import ScanMeta
from fewscan.errors import UsageError
from fewscan.registration.affine import Effort, affine_alignment
from fewscan.registration.align import (
    check_alignment,
    grid_along,
    grid_around,
    place,
    start_matrix,
)

MetaOf = Callable[..., ScanMeta]
EXACT = Effort("correlation")


def scan(array: np.ndarray, geometry: Geometry, meta_of: MetaOf) -> PreparedScan:
    return PreparedScan(np.ascontiguousarray(array[None], np.float32), meta_of(geometry))


def test_start_by_centre_or_not_at_all() -> None:
    fixed, moving = Geometry.identity((5, 5)), Geometry((3, 7), (1.0, 1.0), (50.0, 0.0), (1.0, 0.0, 0.0, 1.0))
    np.testing.assert_array_equal(start_matrix(moving, fixed, align="none"), np.eye(3))
    for align in ("centre", "affine"):
        np.testing.assert_allclose(start_matrix(moving, fixed, align=align), [[1, 0, 49], [0, 1, 1], [0, 0, 1]])


def test_a_grid_with_the_same_axes_is_kept_whole(grids: dict[str, Geometry]) -> None:
    fixed = grids["3-D oblique"]
    moving = Geometry((9, 8, 7), tuple(1.00001 * s for s in fixed.spacing_mm), (0.0, 0.0, 0.0), fixed.direction)
    assert grid_along(moving, fixed) is moving


def test_a_grid_of_other_spacing_keeps_extent_and_centre() -> None:
    moving = Geometry((10, 8), (1.0, 3.0), (5.0, 5.0), (1.0, 0.0, 0.0, 1.0))
    grid = grid_along(moving, Geometry.identity((4, 4), (2.0, 2.0)))
    assert grid.size == (5, 12)
    assert grid.spacing_mm == (2.0, 2.0)
    np.testing.assert_allclose(centre_mm(grid), centre_mm(moving))


def test_flipped_and_swapped_axes_are_turned_without_loss(meta_of: MetaOf) -> None:
    """A scan stored with other axes holds the same voxels at the same places; nothing may be blurred."""
    fixed = Geometry((6, 9, 4), (1.0, 1.5, 3.0), (2.0, 4.0, 6.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    values = np.random.default_rng(0).normal(size=fixed.size).astype(np.float32)
    # axis 0 of the copy runs along -z, axis 1 along x, axis 2 along -y
    stored = values.transpose(2, 0, 1)[::-1, :, ::-1]
    origin = (2.0, 4.0 + 8 * 1.5, 6.0 + 3 * 3.0)
    turned = Geometry((4, 6, 9), (3.0, 1.0, 1.5), origin, (0, 1.0, 0, 0, 0, -1.0, -1.0, 0, 0))
    placed = place(scan(stored, turned, meta_of), scan(values, fixed, meta_of), align="centre", effort=EXACT)
    np.testing.assert_allclose(placed.image[0], values, atol=1e-5)
    np.testing.assert_allclose(placed.to_moving, fixed.affine(), atol=1e-9)
    np.testing.assert_allclose(placed.start, np.eye(4), atol=1e-9)


def test_as_it_lies_is_read_at_the_places_of_the_fixed_scan(meta_of: MetaOf) -> None:
    fixed = Geometry.identity((4, 3))
    moving = Geometry((4, 3), (1.0, 1.0), (2.0, 0.0), (1.0, 0.0, 0.0, 1.0))
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    meta = meta_of(moving)
    meta = ScanMeta("a", moving, (0, 0), moving, moving, (-7.0,), meta.sources)
    placed = place(PreparedScan(values[None], meta), scan(values, fixed, meta_of), align="none", effort=EXACT)
    # two more rows on either side, so that the whole moving scan is in
    empty = [[-7] * 3] * 4
    np.testing.assert_allclose(placed.image[0], [*empty, [0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]])
    np.testing.assert_array_equal(placed.to_moving, [[1, 0, -2], [0, 1, 0], [0, 0, 1]])


def test_centres_lie_on_each_other_whatever_the_sizes(meta_of: MetaOf) -> None:
    fixed, moving = Geometry.identity((8, 6)), Geometry((12, 6), (1.0, 1.0), (100.0, 3.0), (1.0, 0.0, 0.0, 1.0))
    values = np.zeros(moving.size, np.float32)
    placed = place(scan(values, moving, meta_of), scan(values[:8], fixed, meta_of), align="centre", effort=EXACT)
    assert placed.image.shape == (1, 12, 6)  # the network brings both to one size
    np.testing.assert_array_equal(placed.to_moving, moving.affine())


@pytest.mark.parametrize("name", ["2-D oblique", "3-D"])
def test_a_known_affine_map_is_found(
    name: str, grids: dict[str, Geometry], body: Callable[..., np.ndarray], meta_of: MetaOf
) -> None:
    grid = grids[name]
    n = grid.dimensions
    turn = np.eye(n)
    turn[:2, :2] = [[np.cos(0.15), -np.sin(0.15)], [np.sin(0.15), np.cos(0.15)]]
    turn *= 1.08
    shift = np.array([1.5, -1.0, 0.5])[:n]
    # moving(y) = body(A^-1 (y - t)): the fixed point x lies at A x + t in the moving scan (around its centre)
    inverse = np.linalg.inv(turn)
    moving = body(grid, lambda y: np.einsum("ij,j...->i...", inverse, y - shift.reshape(-1, *[1] * n)))
    scans = scan(moving, grid, meta_of), scan(body(grid), grid, meta_of)
    found = affine_alignment(*scans, start=np.eye(n + 1), effort=EXACT)
    centre = centre_mm(grid)
    near = centre + np.random.default_rng(0).uniform(-4, 4, (50, n))
    expected = (near - centre) @ turn.T + shift + centre
    error = np.linalg.norm(near @ found[:n, :n].T + found[:n, n] - expected, axis=1)
    assert error.max() < 0.25
    placed = place(*scans, align="affine", effort=EXACT)
    np.testing.assert_array_equal(placed.to_moving[:n, :n], (found @ grid.affine())[:n, :n])  # again, bit for bit
    margin = [(a - b) // 2 for a, b in zip(placed.image.shape[1:], grid.size, strict=True)]
    inner = (0, *(slice(m + 5, m + k - 5) for m, k in zip(margin, grid.size, strict=True)))
    np.testing.assert_allclose(placed.image[inner], scans[1].image[(0, *[slice(5, -5)] * n)], atol=0.08)


def test_a_grid_around_both_is_larger_alike_on_either_side() -> None:
    fixed = Geometry.identity((10, 8))
    inside = Geometry((4, 4), (1.0, 1.0), (2.0, 2.0), (1.0, 0.0, 0.0, 1.0))
    assert grid_around(fixed, inside, np.eye(3)).size == (10, 8)
    beyond = Geometry((8, 4), (1.0, 1.0), (4.5, -1.0), (1.0, 0.0, 0.0, 1.0))  # to 11.5 along axis 0, from -1 along 1
    grid = grid_around(fixed, beyond, np.eye(3))
    assert grid.size == (16, 10)
    assert grid.origin_mm == (-3.0, -1.0)
    far = np.eye(3)
    far[0, 2] = -500
    assert grid_around(fixed, inside, far).size == (20, 8)


def test_an_unknown_alignment_is_a_usage_error() -> None:
    check_alignment("none")
    with pytest.raises(UsageError, match="--align center"):
        check_alignment("center")
