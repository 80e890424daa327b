"""Where the moving scan is laid before it is registered: as it lies, by its centre, or by an affine registration.

``none``
    Physical coordinates count as they are: for scans of one patient in one frame, or aligned before.
``centre``
    The centre of the moving scan (of its box of non-zero voxels, where preparation crops to that) is laid on the centre
    of the fixed one. World directions are respected: a scan stored with flipped axes is turned, not mirrored. This is
    how pairs lie when registration networks are trained, and origins often mean nothing between patients, hence the
    default.
``affine``
    From ``centre``, an affine map that maximises the similarity of the first channels, coarse to fine. The moving scan
    is resampled into the frame of the fixed one for the network alone; in the result the matrix is composed with the
    network's displacement, so that nothing is interpolated twice.
"""

import itertools
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.grids import centre_mm
from fewscan.data.itk_image import affine_transform, from_itk, resampler, to_itk
from fewscan.data.prepare import PreparedScan
from fewscan.data.resample import resample_linear
from fewscan.errors import UsageError
from fewscan.registration.affine import Effort, affine_alignment
from fewscan.registration.registrar import Matrix

Align = Literal["none", "centre", "affine"]
ALIGNMENTS: tuple[str, ...] = get_args(Align)


@dataclass(frozen=True)
class PlacedScan:
    """The moving scan as the network is shown it.

    Attributes
    ----------
    image : (channels, *size) float32 array
        Axes and spacing are those of the fixed scan's prepared grid. The network lays centre on centre, so with
        ``centre`` the size is the moving scan's own, and else that of the fixed scan with as much on either side.
    to_moving : (n + 1, n + 1) array
        From its index to the moving world in mm.
    start : (n + 1, n + 1) array
        From the fixed world to the moving world before anything was registered.
    """

    image: npt.NDArray[np.float32]
    to_moving: Matrix
    start: Matrix


def check_alignment(align: str) -> None:
    """Raise `UsageError` unless ``align`` is one of `ALIGNMENTS`."""
    if align not in ALIGNMENTS:
        raise UsageError(f"--align {align}: unknown alignment", mend=f"use {', '.join(ALIGNMENTS)}")


def place(moving: PreparedScan, fixed: PreparedScan, *, align: str, effort: Effort) -> PlacedScan:
    """Bring the moving scan into the frame of the fixed one, as ``align`` says."""
    source, target = moving.meta.prepared, fixed.meta.prepared
    start = start_matrix(source, target, align=align)
    if align == "centre":
        grid = grid_along(source, target)
        image = np.stack([resample_linear(channel, source, grid) for channel in moving.image])
        return PlacedScan(image, grid.affine(), start)
    to_moving = affine_alignment(moving, fixed, start=start, effort=effort) if align == "affine" else start
    grid = grid_around(target, source, to_moving)
    return PlacedScan(resample_through(moving, grid, to_moving), to_moving @ grid.affine(), start)


def start_matrix(moving: Geometry, fixed: Geometry, *, align: str) -> Matrix:
    """Return the matrix from fixed to moving world before any registration: identity, or from centre to centre."""
    start = np.eye(fixed.dimensions + 1)
    if align != "none":
        start[:-1, -1] = centre_mm(moving) - centre_mm(fixed)
    return start


def grid_along(geometry: Geometry, axes: Geometry) -> Geometry:
    """Return a grid over the extent of ``geometry``, with its centre, but with the axes and spacing of ``axes``.

    The same object where its axes and spacing are those already; where they are its own in another order or sense,
    every voxel of the result lies on one of ``geometry``.
    """
    n = geometry.dimensions
    spacing = np.asarray(axes.spacing_mm)
    own = np.asarray(geometry.direction).reshape(n, n)
    wanted = np.asarray(axes.direction).reshape(n, n)
    # headers are rounded to single precision
    if np.allclose(own, wanted, atol=1e-4) and np.allclose(geometry.spacing_mm, spacing, rtol=1e-4):
        return geometry
    cosines = np.abs(wanted.T @ own)
    cosines[cosines < 1e-4] = 0
    extent_mm = cosines @ (np.asarray(geometry.size) * np.asarray(geometry.spacing_mm))
    size = np.maximum(np.round(extent_mm / spacing), 1).astype(int)
    origin = centre_mm(geometry) - wanted @ ((size - 1) / 2 * spacing)
    return Geometry(tuple(map(int, size)), axes.spacing_mm, tuple(map(float, origin)), axes.direction)


def grid_around(fixed: Geometry, moving: Geometry, matrix: Matrix) -> Geometry:
    """Return the fixed grid, enlarged alike on either side so that the moving scan fits in, but at most twofold.

    Parameters
    ----------
    fixed, moving : Geometry
        Grids of the two scans.
    matrix : (n + 1, n + 1) array
        From fixed to moving world.
    """
    last = np.asarray(fixed.size) - 1
    corners = np.array([(*c, 1.0) for c in itertools.product(*((0.0, n - 1.0) for n in moving.size))])
    index = np.linalg.solve(matrix @ fixed.affine(), moving.affine() @ corners.T)[:-1]
    # a thousandth of a voxel is rounding
    beyond = np.ceil(np.maximum(-index.min(axis=1), index.max(axis=1) - last) - 1e-3)
    margin = np.clip(beyond, 0, np.asarray(fixed.size) // 2).astype(int)
    size = tuple(int(n + 2 * m) for n, m in zip(fixed.size, margin, strict=True))
    return fixed.cropped(tuple(int(-m) for m in margin), size)


def resample_through(
    moving: PreparedScan, target: Geometry, matrix: Matrix, *, extend: bool = False
) -> npt.NDArray[np.float32]:
    """Return a prepared image on the grid ``target`` of another world.

    Parameters
    ----------
    moving : PreparedScan
        The scan.
    target : Geometry
        Grid of the result.
    matrix : (n + 1, n + 1) array
        From the world of ``target`` to that of the scan.
    extend : bool
        Beyond the scan its border values go on; else there is background.
    """
    filter_ = resampler(target)
    if extend:
        filter_.UseNearestNeighborExtrapolatorOn()
    filter_.SetTransform(affine_transform(matrix))
    channels = []
    for channel, background in zip(moving.image, moving.meta.background, strict=True):
        filter_.SetDefaultPixelValue(float(background))
        channels.append(from_itk(filter_.Execute(to_itk(channel, moving.meta.prepared))))
    return np.stack(channels)
