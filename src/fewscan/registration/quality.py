"""How good one registration is: similarity, overlap of labels, regularity of the field; before and after.

"Before" is how the scans lay before anything was registered: as they are, or centre on centre (`Match.start`). All is
measured on the fixed scan's own grid, the similarity over the voxels that lie inside the moving scan, the regularity in
the box that preparation keeps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fewscan.data.geometry import Geometry
from fewscan.losses.similarity import global_ncc
from fewscan.metrics.case_scores import ClassScores, Labels, score_case
from fewscan.registration.jacobian import fold_fraction, jacobian_determinant, sd_log_jacobian
from fewscan.registration.physical import displacement_in_voxels

SIMILARITY_TOLERANCE = 1e-3
"""A loss of similarity up to this is no news: interpolation alone costs more than nothing."""

LEAST_INSIDE = 0.5
"""A pair is flagged when less of the fixed scan than this lies inside the moving one."""


@dataclass(frozen=True)
class Regularity:
    """What a displacement field does to space.

    Attributes
    ----------
    fold_fraction : float
        Share of voxels whose Jacobian determinant is 0 or less.
    sd_log_jacobian : float
        Standard deviation of the logarithm of the determinant.
    smallest_mm, largest_mm : float
        Least and greatest length by which a voxel is moved from where it lay before.
    """

    fold_fraction: float
    sd_log_jacobian: float
    smallest_mm: float
    largest_mm: float


@dataclass(frozen=True)
class LabelScores:
    """Overlap and distance of one class, before and after.

    Attributes
    ----------
    value : int
        The label value.
    dice_before, dice_after : float
        NaN where neither scan has the class.
    hd95_mm_before, hd95_mm_after : float
        Infinite where only one has it.
    """

    value: int
    dice_before: float
    dice_after: float
    hd95_mm_before: float
    hd95_mm_after: float


@dataclass(frozen=True)
class PairReport:
    """Everything measured on one pair.

    Attributes
    ----------
    similarity_before, similarity_after : float
        `gncc`.
    inside : float
        Share of the fixed scan's voxels that lie inside the moving scan, after registration.
    regularity : Regularity
        Of the field.
    labels : tuple of LabelScores
        Empty unless both scans have labels.
    flags : tuple of str
        What a person should look at, see `flags`.
    """

    similarity_before: float
    similarity_after: float
    inside: float
    regularity: Regularity
    labels: tuple[LabelScores, ...]
    flags: tuple[str, ...]


def gncc(first: Sequence[npt.NDArray[Any]], second: Sequence[npt.NDArray[Any]], inside: npt.NDArray[np.bool_]) -> float:
    """Return the global normalised cross-correlation of two scans, the mean over their channels.

    Parameters
    ----------
    first, second : sequence of (*axes) arrays
        Channels.
    inside : (*axes) bool array
        The voxels that count.

    Returns
    -------
    float
        Between -1 and 1; 0 where an image is constant, NaN where no voxel counts.
    """
    if not inside.any():
        return nan
    images = [torch.from_numpy(np.stack(channels, dtype=np.float64))[None] for channels in (first, second)]
    # scans come in any unit, so the guard against constant images must be far below their variance
    return float(global_ncc(*images, mask=torch.from_numpy(inside)[None], eps=1e-20))


def regularity(
    displacement_mm: npt.NDArray[np.float32],
    geometry: Geometry,
    *,
    start_mm: npt.NDArray[np.float32],
    box: tuple[slice, ...],
) -> Regularity:
    """Measure a physical field.

    Parameters
    ----------
    displacement_mm, start_mm : (dimensions, *geometry.size) float32 array
        The field, and that of the scans as they lay before.
    geometry : Geometry
        Its grid.
    box : tuple of slice
        The voxels to look at.
    """
    inner = (slice(None), *box)
    field = torch.from_numpy(displacement_in_voxels(displacement_mm[inner], geometry))[None]
    determinant = jacobian_determinant(field)
    moved = np.sqrt(np.square(displacement_mm[inner] - start_mm[inner]).sum(axis=0))
    return Regularity(
        fold_fraction=float(fold_fraction(determinant)),
        sd_log_jacobian=float(sd_log_jacobian(determinant)),
        smallest_mm=float(moved.min()),
        largest_mm=float(moved.max()),
    )


def label_scores(before: Labels, after: Labels, fixed: Labels, *, spacing_mm: Sequence[float]) -> list[LabelScores]:
    """Score the moving labels, as they lay and warped, against those of the fixed scan, for every class of any.

    Parameters
    ----------
    before, after, fixed : integer array (*axes)
        On the fixed scan's grid; 0 is background.
    spacing_mm : sequence of float
        Of that grid.
    """
    values = {int(v) for labels in (before, after, fixed) for v in np.unique(labels)}

    def scored(labels: Labels) -> Iterator[ClassScores]:
        yield from score_case(labels, fixed, values=values, spacing_mm=spacing_mm)

    return [
        LabelScores(
            value=a.value,
            dice_before=a.scores["dice"],
            dice_after=b.scores["dice"],
            hd95_mm_before=a.scores["hd95_mm"],
            hd95_mm_after=b.scores["hd95_mm"],
        )
        for a, b in zip(scored(before), scored(after), strict=True)
    ]


def mean_dice(scores: Sequence[LabelScores]) -> dict[str, float]:
    """Return the mean Dice over the classes that one of the scans has, before and after; NaN without any."""
    found: dict[str, float] = {}
    for when in ("before", "after"):
        values = [v for v in (getattr(row, f"dice_{when}") for row in scores) if not isnan(v)]
        found[when] = float(np.mean(values)) if values else nan
    return found


def flags(regular: Regularity, similarity: Mapping[str, float], *, inside: float, max_folds: float) -> list[str]:
    """Return what a person should look at, in words; nothing for a registration without findings."""
    found = []
    if regular.fold_fraction > max_folds:
        found.append(f"folds: {regular.fold_fraction:.2%} of the voxels fold, more than {max_folds:.2%}")
    if isnan(similarity["after"]):
        found.append("similarity: cannot be told, no voxel of the fixed scan lies inside the moving scan")
    elif similarity["after"] < similarity["before"] - SIMILARITY_TOLERANCE:  # never where they lay apart before
        found.append(f"similarity: fell from {similarity['before']:.3f} to {similarity['after']:.3f}")
    if inside < LEAST_INSIDE:
        found.append(f"outside: only {inside:.0%} of the fixed scan lie inside the moving scan")
    return found
