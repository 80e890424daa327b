"""Arrays as SimpleITK images in memory, and back: axes in header order, components first."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.itk import simpleitk


def to_itk(array: npt.NDArray[Any], geometry: Geometry) -> Any:
    """Return a SimpleITK image of ``array`` on the grid ``geometry``.

    Parameters
    ----------
    array : (*geometry.size) or (components, *geometry.size) array
        A scalar image, or a vector image with its components in front.
    geometry : Geometry
        Its grid.
    """
    image = simpleitk().GetImageFromArray(
        np.ascontiguousarray(array.transpose()), isVector=array.ndim > geometry.dimensions
    )
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    return image


def from_itk(image: Any) -> npt.NDArray[Any]:
    """Return a C-contiguous copy of the voxels, (components, *size) for a vector image."""
    return np.array(simpleitk().GetArrayViewFromImage(image).transpose(), order="C")


def resampler(target: Geometry) -> Any:
    """Return a filter for linear interpolation onto the grid ``target``."""
    sitk = simpleitk()
    filter_ = sitk.ResampleImageFilter()
    filter_.SetSize(target.size)
    filter_.SetOutputSpacing(target.spacing_mm)
    filter_.SetOutputOrigin(target.origin_mm)
    filter_.SetOutputDirection(target.direction)
    filter_.SetInterpolator(sitk.sitkLinear)
    return filter_


def affine_transform(matrix: npt.NDArray[np.float64]) -> Any:
    """Return the SimpleITK transform of a (n+1, n+1) matrix from world points to world points."""
    n = len(matrix) - 1
    transform = simpleitk().AffineTransform(n)
    transform.SetMatrix(matrix[:n, :n].ravel().tolist())
    transform.SetTranslation(matrix[:n, n].tolist())
    return transform


def affine_matrix(transform: Any) -> npt.NDArray[np.float64]:
    """Return the (n+1, n+1) matrix of a SimpleITK affine transform, whatever its centre."""
    n = transform.GetDimension()
    matrix = np.eye(n + 1)
    matrix[:n, n] = transform.TransformPoint([0.0] * n)
    for axis in range(n):
        matrix[:n, axis] = np.subtract(transform.TransformPoint(np.eye(n)[axis].tolist()), matrix[:n, n])
    return matrix
