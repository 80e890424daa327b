"""Random smooth deformations with a smooth inverse, for virtual patients.

A stationary velocity field v is integrated for unit time by scaling and squaring (Arsigny et al., "A log-Euclidean
framework for statistics on diffeomorphisms", MICCAI 2006)::

    u_0 = v / 2^N,    u_{k+1}(x) = u_k(x) + u_k(x + u_k(x)),    exp(v)(x) = x + u_N(x)                     (1)

and followed by an affine map A about the centre of the grid::

    x + u(x) = A(x + u_N(x))                                                                                (2)

Conventions: fields have the shape (n, *size); component k is along array axis k, in voxels of the field's own grid.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

FloatArray = npt.NDArray[np.float64]

# Chosen by eye, so that the patients differ about as much as adult brains do.
WARPS_MM = ((48.0, 4.5), (24.0, 1.8))
"""Pairs of (distance of control points, standard deviation of the velocity), both in mm."""
# Limits of the affine map; every value between minus and plus the limit is equally likely.
ROTATION_RAD = 0.15
SCALE_LOG = 0.06
SHEAR = 0.05
TRANSLATION_MM = 4.0


def smooth_noise(generator: np.random.Generator, size: Sequence[int], *, period_vox: float) -> FloatArray:
    """Return a random field of unit variance: a cubic B-spline with standard normal coefficients.

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of the coefficients.
    size : sequence of int
        Shape of the field.
    period_vox : float
        Distance of the control points.
    """
    counts = [int(np.ceil((n - 1) / period_vox)) + 3 for n in size]
    field = generator.standard_normal(counts)
    for axis, (n, count) in enumerate(zip(size, counts, strict=True)):
        basis = _cubic_b_spline(np.arange(n)[:, None] / period_vox + 1 - np.arange(count))
        field = np.moveaxis(np.tensordot(basis, field, axes=(1, axis)), 0, axis)
    # the square of the basis functions sums to 151/315 on average along each axis
    return np.asarray(field / (151 / 315) ** (len(size) / 2))


def exponential(velocity_vox: FloatArray) -> FloatArray:
    """Return the displacement that the velocity field reaches after unit time, equation (1).

    Parameters
    ----------
    velocity_vox : ndarray, shape (n, *size)
        In voxels per unit time.

    Returns
    -------
    ndarray, shape (n, *size)
        Displacement in voxels.
    """
    fastest = float(np.abs(velocity_vox).max())
    halvings = max(0, int(np.ceil(np.log2(max(fastest, 1e-12) / 0.5))))  # first step of at most half a voxel
    grid = identity_grid(velocity_vox.shape[1:])
    displacement: FloatArray = velocity_vox / 2.0**halvings
    for _ in range(halvings):
        displacement = displacement + sample_field(displacement, grid + displacement)
    return displacement


def sample_field(field: FloatArray, points_vox: FloatArray) -> FloatArray:
    """Return each component of ``field`` at voxel positions of shape (n, *grid), linearly, edges continued."""
    return np.stack([ndimage.map_coordinates(part, points_vox, order=1, mode="nearest") for part in field])


def identity_grid(size: Sequence[int]) -> FloatArray:
    """Return the voxel positions of a grid, shape (n, *size)."""
    return np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in size), indexing="ij"))


def random_affine(generator: np.random.Generator, dimensions: int) -> FloatArray:
    """Return a random (n, n) matrix near the identity: rotation, times shear, times scale per axis."""
    matrix = np.diag(np.exp(generator.uniform(-SCALE_LOG, SCALE_LOG, dimensions)))
    shear = np.eye(dimensions)
    upper = np.triu_indices(dimensions, k=1)
    shear[upper] = generator.uniform(-SHEAR, SHEAR, len(upper[0]))
    matrix = shear @ matrix
    for first, second in zip(*upper, strict=True):
        angle = generator.uniform(-ROTATION_RAD, ROTATION_RAD)
        turn = np.eye(dimensions)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return np.asarray(matrix)


def random_deformation(generator: np.random.Generator, size: Sequence[int], *, spacing_mm: float) -> FloatArray:
    """Return the displacement of a random diffeomorphism, equation (2).

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of velocity and affine map.
    size : sequence of int
        Of the grid, 2-D or 3-D.
    spacing_mm : float
        Voxel size of the (isotropic) grid.

    Returns
    -------
    ndarray, shape (n, *size)
        Displacement in voxels; its Jacobian determinant is positive.
    """
    dimensions = len(size)
    matrix = random_affine(generator, dimensions)
    translation_vox = generator.uniform(-TRANSLATION_MM, TRANSLATION_MM, dimensions) / spacing_mm
    velocity_vox = np.zeros((dimensions, *size))
    for length_mm, deviation_mm in WARPS_MM:
        for part in velocity_vox:
            part += deviation_mm / spacing_mm * smooth_noise(generator, size, period_vox=length_mm / spacing_mm)
    grid = identity_grid(size)
    column = (dimensions,) + (1,) * dimensions
    centre = (np.reshape(size, column) - 1) / 2
    warped = grid + exponential(velocity_vox) - centre
    moved = np.einsum("ij,j...->i...", matrix, warped) + centre + translation_vox.reshape(column)
    return np.asarray(moved - grid)


def _cubic_b_spline(t: FloatArray) -> FloatArray:
    t = np.abs(t)
    near, far = 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6
    return np.where(t < 1, near, far)
