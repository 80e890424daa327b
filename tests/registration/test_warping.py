from collections.abc import Callable

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fewscan.data.geometry import Geometry
from fewscan.data.itk_image import from_itk, to_itk
from fewscan.registration.warping import Warp


@pytest.mark.parametrize(("fixed", "moving"), [("2-D", "2-D oblique"), ("3-D", "3-D oblique"), ("3-D oblique", "3-D")])
def test_simpleitk_resamples_to_the_same_image(
    fixed: str, moving: str, grids: dict[str, Geometry], body: Callable[..., np.ndarray]
) -> None:
    target, source = grids[fixed], grids[moving]
    n = target.dimensions
    shift = np.asarray(source.origin_mm) - np.asarray(target.origin_mm)
    noise = np.random.default_rng(0).normal(size=(n, *target.size))
    field = (noise + shift.reshape(-1, *[1] * n)).astype(np.float32)
    image = body(source)
    transform = sitk.DisplacementFieldTransform(to_itk(field.astype(np.float64), target))
    expected = sitk.Resample(
        to_itk(image, source),
        target.size,
        transform,
        sitk.sitkLinear,
        target.origin_mm,
        target.spacing_mm,
        target.direction,
        float(image.min()),
    )
    warped = Warp(field, fixed=target, moving=source).image(image)
    assert warped.shape == target.size
    assert np.count_nonzero(warped != image.min()) > 100
    np.testing.assert_allclose(warped, from_itk(expected), atol=1e-5)


def test_a_shift_by_hand() -> None:
    grid = Geometry.identity((4, 1), (2.0, 1.0))
    field = np.zeros((2, 4, 1), np.float32)
    field[0] = 3.0  # mm: one voxel and a half
    warp = Warp(field, fixed=grid, moving=grid)
    np.testing.assert_allclose(warp.image(np.array([[1.0], [2], [4], [8]]))[:, 0], [3, 6, 1, 1])  # half outside: lowest
    np.testing.assert_allclose(warp.image(np.ones((4, 1)), outside=-5)[:, 0], [1, 1, -5, -5])
    np.testing.assert_array_equal(warp.inside()[:, 0], [True, True, False, False])


def test_labels_without_displacement_stay_as_they_are() -> None:
    grid = Geometry((6, 5, 4), (1.0, 0.5, 2.0), (3.0, -2.0, 1.0), (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, -1.0))
    labels = np.random.default_rng(0).choice([0, 3, 300], grid.size).astype(np.uint16)
    warped = Warp(np.zeros((3, *grid.size), np.float32), fixed=grid, moving=grid).labels(labels)
    assert warped.dtype == np.uint16
    np.testing.assert_array_equal(warped, labels)


def test_labels_by_the_largest_share_and_background_outside() -> None:
    grid = Geometry.identity((5, 1))
    field = np.zeros((2, 5, 1), np.float32)
    field[0] = 0.4
    labels = np.array([[1], [2], [0], [2], [2]], np.uint8)
    # shares at 0.4, 1.4, ...: 0.6 of the left one; the last lies within half a voxel of the border, so inside
    np.testing.assert_array_equal(Warp(field, fixed=grid, moving=grid).labels(labels)[:, 0], [1, 2, 0, 2, 2])
    field[0] = 3.0
    np.testing.assert_array_equal(Warp(field, fixed=grid, moving=grid).labels(labels)[:, 0], [2, 2, 0, 0, 0])


def test_labels_without_any_background() -> None:
    grid = Geometry.identity((4, 3))
    field = np.zeros((2, 4, 3), np.float32)
    field[0, :, 0] = 50
    warped = Warp(field, fixed=grid, moving=grid).labels(np.full(grid.size, 7, np.uint8))
    assert (warped[:, 0] == 0).all()
    assert (warped[:, 1:] == 7).all()
