"""All metrics of one case: a predicted and a true label map become one row of scores per class.

Distances are given in mm and in voxels (steps of the case's own grid, whatever its spacing: the unit of the published
left-atrium tables). What empty masks score is defined in `overlap` and `surface`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.metrics.overlap import Mask, count_overlap
from fewscan.metrics.surface import surface_distances

OVERLAP_METRICS = ("dice", "jaccard", "ravd")
SURFACE_METRICS = ("hd", "hd95", "asd", "assd")
METRICS = (*OVERLAP_METRICS, *(f"{name}_{unit}" for unit in ("mm", "vox") for name in SURFACE_METRICS))
HIGHER_IS_BETTER = frozenset({"dice", "jaccard"})
ABSENT = dict.fromkeys(METRICS, nan)
"""Scores of a class that neither map holds."""

Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class in one case.

    Attributes
    ----------
    case_id : str
        The case.
    value : int
        The label value of the class.
    prediction_voxels, truth_voxels : int
        Sizes of the two masks.
    scores : mapping of str to float
        One entry for each of `METRICS`; all NaN if the class is absent from both masks.
    """

    case_id: str
    value: int
    prediction_voxels: int
    truth_voxels: int
    scores: Mapping[str, float]

    @property
    def absent(self) -> bool:
        """Whether neither truth nor prediction holds the class."""
        return self.prediction_voxels == 0 and self.truth_voxels == 0


def score_masks(
    prediction: Mask, truth: Mask, *, spacing_mm: Sequence[float], case_id: str = "", value: int = 1
) -> ClassScores:
    """Score one class.

    Parameters
    ----------
    prediction, truth : bool array (*axes)
        The two masks on one grid.
    spacing_mm : sequence of float
        Distance of neighbouring voxel centres along each axis.
    case_id, value
        Copied into the result.
    """
    box = bounding_box(prediction | truth)
    prediction, truth = prediction[box], truth[box]
    overlap = count_overlap(prediction, truth)
    scores = {name: float(getattr(overlap, name)) for name in OVERLAP_METRICS}
    voxels = surface_distances(prediction, truth)
    # headers hold spacings of single precision, so that equal sides can differ in the seventh digit
    if np.allclose(spacing_mm, spacing_mm[0], rtol=1e-6, atol=0):
        millimetres = voxels.scaled(spacing_mm[0])
    else:
        millimetres = surface_distances(prediction, truth, spacing=spacing_mm)
    for unit, distances in (("mm", millimetres), ("vox", voxels)):
        scores |= {f"{name}_{unit}": float(getattr(distances, name)) for name in SURFACE_METRICS}
    return ClassScores(case_id, value, overlap.prediction, overlap.truth, scores)


def score_case(
    prediction: Labels, truth: Labels, *, values: Iterable[int], spacing_mm: Sequence[float], case_id: str = ""
) -> list[ClassScores]:
    """Score the classes of one case.

    Parameters
    ----------
    prediction, truth : integer array (*axes)
        Label maps on one grid; 0 is background.
    values : iterable of int
        The label values to score; 0 is passed over.
    spacing_mm : sequence of float
        Distance of neighbouring voxel centres along each axis.
    case_id : str
        Copied into the result.

    Returns
    -------
    list of ClassScores
        In the order of the label values.
    """
    box = bounding_box((prediction != 0) | (truth != 0))
    prediction, truth = prediction[box], truth[box]
    return [
        score_masks(prediction == value, truth == value, spacing_mm=spacing_mm, case_id=case_id, value=value)
        for value in sorted(set(values) - {0})
    ]


def bounding_box(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box that holds every voxel of ``mask``; an empty mask gives a box without voxels."""
    box = []
    for axis in range(mask.ndim):
        held = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(held[0]), int(held[-1]) + 1) if held.size else slice(0, 0))
    return tuple(box)
