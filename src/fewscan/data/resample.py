"""Resampling between two grids of the same scan, with SimpleITK.

Images are interpolated linearly: order 3 takes several times as long and overshoots at edges, for a gain that is lost
in the patch augmentation. Before down-sampling, a Gaussian of ``(factor - 1) / 2`` old voxels removes the detail that
the new grid cannot hold; without it, that detail would come back as false texture (aliasing). The rule vanishes at
factor 1.

Labels: each class is resampled like an image (one-hot), and the class with the largest share wins. Unlike nearest
neighbour, boundaries keep their place and do not turn into stairs. On a tie the higher class index wins: at half the
resolution half-filled voxels are common, and given to the background they cost a left atrium 2.5 % of its volume (the
other way the volume stays within 0.7 %, measured on three scans).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry


def resample_linear(array: npt.NDArray[Any], source: Geometry, target: Geometry) -> npt.NDArray[np.float32]:
    """Interpolate a scalar array from its grid onto another.

    Parameters
    ----------
    array : (*source.size) array
        Values at the voxels of ``source``.
    source, target : Geometry
        Both in the same world; positions outside the source take the value at its border.

    Returns
    -------
    (*target.size) float32 array, C-contiguous
    """
    from scipy.ndimage import gaussian_filter

    from fewscan.data.itk_image import from_itk, resampler, to_itk

    values = np.asarray(array, dtype=np.float32)
    if target == source:
        return np.ascontiguousarray(values)
    factors = _steps_mm(target, source) / np.asarray(source.spacing_mm)
    sigmas_vox = np.maximum(factors - 1.0, 0.0) / 2.0
    if sigmas_vox.any():
        values = gaussian_filter(values, sigmas_vox, mode="nearest")
    filter_ = resampler(target)
    filter_.UseNearestNeighborExtrapolatorOn()
    return from_itk(filter_.Execute(to_itk(values, source)))


def resample_labels(labels: npt.NDArray[np.uint8], source: Geometry, target: Geometry) -> npt.NDArray[np.uint8]:
    """Bring class indices onto another grid: linear shares of the classes, largest share wins.

    Parameters
    ----------
    labels : (*source.size) uint8 array
        Class indices.
    source, target : Geometry
        Grids.

    Returns
    -------
    (*target.size) uint8 array
    """
    if target == source:
        return np.ascontiguousarray(labels)
    present = [int(v) for v in np.unique(labels)]
    winner = np.full(target.size, present[0], dtype=np.uint8)
    if len(present) == 1:
        return winner
    # one class at a time: memory does not grow with the number of classes
    best = resample_linear(labels == present[0], source, target)
    for index in present[1:]:
        share = resample_linear(labels == index, source, target)
        # a margin, so that rounding does not decide between equal shares
        winner[share > best - 1e-6] = index
        best = np.maximum(best, share)
    return winner


def _steps_mm(target: Geometry, source: Geometry) -> npt.NDArray[np.float64]:
    """Return the distance of the target's voxels along each axis of the source."""
    steps = np.asarray(target.spacing_mm)
    if target.direction == source.direction:
        return steps
    n = target.dimensions
    cosines = np.asarray(source.direction).reshape(n, n).T @ np.asarray(target.direction).reshape(n, n)
    return np.asarray(np.sqrt(np.square(cosines * steps).sum(axis=1)))
