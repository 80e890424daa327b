"""Score a displacement field by the labels it moves: one rule for every registration, learned or classical.

The moving labels are warped by linear interpolation of their one-hot form, the largest class wins
(`fewscan.displacement.warp_labels`), and Dice is counted on the fixed scan's own grid. Scans of different size
share their first voxel (equal origin, spacing and axes), as the hippocampus crops do: warping takes place on a grid
that holds both, where the field goes on with its border values and the moving labels with background.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fewscan.data.image_io import Image
from fewscan.displacement import warp_labels
from fewscan.errors import DataError
from fewscan.metrics.overlap import count_overlap
from fewscan.registration.jacobian import fold_fraction as share_of_folds
from fewscan.registration.jacobian import jacobian_determinant

Field = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]


def require_one_frame(fixed: Image, moving: Image) -> None:
    """Raise DataError unless voxel p of one scan lies where voxel p of the other does."""
    one, other = fixed.geometry, moving.geometry
    same = np.allclose(one.affine(), other.affine(), rtol=0, atol=1e-4) if one.dimensions == other.dimensions else False
    if not same:
        raise DataError(f"grids differ: {one}, {other}", mend="bring both scans onto one grid")


def warped_labels(moving: Labels, displacement_vox: Field, *, classes: int) -> Labels:
    """Return the moving labels on the grid of the field ``(dimensions, *spatial of fixed)``."""
    size = displacement_vox.shape[1:]
    both = tuple(max(pair) for pair in zip(size, moving.shape, strict=True))
    labels = np.pad(moving, _missing(moving.shape, both)).astype(np.int64)
    field = np.pad(displacement_vox, [(0, 0), *_missing(size, both)], mode="edge").astype(np.float32)
    probabilities = warp_labels(torch.from_numpy(labels)[None], torch.from_numpy(field)[None], classes=classes)
    largest: Labels = probabilities[0].argmax(dim=0).numpy()
    return largest[tuple(slice(side) for side in size)]


def dice_by_label(warped: Labels, fixed: Labels, *, classes: int) -> dict[str, float]:
    """Return the Dice of every foreground label, NaN where neither map holds it."""
    return {str(value): count_overlap(warped == value, fixed == value).dice for value in range(1, classes)}


def fold_fraction(displacement_vox: Field) -> float:
    """Return the fraction of voxels at which the Jacobian determinant of p + u(p) is not positive."""
    determinant = jacobian_determinant(torch.from_numpy(np.ascontiguousarray(displacement_vox, np.float64))[None])
    return float(share_of_folds(determinant))


def _missing(size: Sequence[int], wanted: Sequence[int]) -> list[tuple[int, int]]:
    return [(0, to - of) for of, to in zip(size, wanted, strict=True)]
