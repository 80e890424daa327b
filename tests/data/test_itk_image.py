import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.itk_image import affine_matrix, affine_transform, from_itk, resampler, to_itk

GRID = Geometry((3, 4), (0.5, 2.0), (7.0, -1.0), (0.8, 0.6, -0.6, 0.8))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_there_and_back(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    image = to_itk(array, GRID)
    assert image.GetSize() == (3, 4)
    assert image.GetNumberOfComponentsPerPixel() == (2 if len(shape) == 3 else 1)
    assert image.GetSpacing() == (0.5, 2.0)
    again = from_itk(image)
    np.testing.assert_array_equal(again, array)
    assert again.flags.c_contiguous
    # voxel (2, 1) by ITK's own index and in its own place
    value = image.GetPixel(2, 1)
    np.testing.assert_array_equal(value, array[..., 2, 1])
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((2, 1)), (GRID.affine() @ [2, 1, 1])[:2])


def test_resampling_to_the_own_grid_changes_nothing() -> None:
    array = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(from_itk(resampler(GRID).Execute(to_itk(array, GRID))), array, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3])
def test_matrix_and_transform(n: int) -> None:
    matrix = np.eye(n + 1)
    matrix[:n] += np.random.default_rng(0).normal(size=(n, n + 1))
    transform = affine_transform(matrix)
    point = np.arange(1.0, n + 1)
    np.testing.assert_allclose(transform.TransformPoint(point.tolist()), (matrix @ np.append(point, 1))[:n])
    np.testing.assert_allclose(affine_matrix(transform), matrix)
    transform.SetCenter(point.tolist())  # now another map
    np.testing.assert_allclose(affine_matrix(transform)[:n] @ np.append(point, 1), point + matrix[:n, n])
