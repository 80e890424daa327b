"""Which cases a person should look at first, and why.

- Where confidence maps were written: those whose predicted foreground is least probable on average.
- Otherwise, where truth is known: those with the lowest Dice.
- Otherwise: those whose predicted volumes are least like the others', by the robust score of the logarithm,
  |ln v - median| / (1.4826 MAD), the largest over the classes.

A case in which nothing at all was predicted comes first in any of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, log, nan

import numpy as np

MAD_TO_SD = 1.4826
"""Makes the median absolute deviation of a normal distribution its standard deviation."""
ATYPICAL = 3.5
"""Iglewicz and Hoaglin (1993): robust scores above it are labelled as outliers."""
FEWEST = 5
"""Below so many cases nothing can be told to be atypical."""


@dataclass(frozen=True)
class Looks:
    """What is known of one case.

    Attributes
    ----------
    confidence : float
        Mean probability of the chosen label over the predicted foreground; NaN without a map.
    dice : float
        Mean over the classes; NaN where truth is unknown or empty.
    volumes : mapping of int to float
        Predicted volume of each class.
    voxel : float
        Size of a voxel, in the unit of the volumes.
    """

    confidence: float = nan
    dice: float = nan
    volumes: Mapping[int, float] | None = None
    voxel: float = 1.0

    @property
    def empty(self) -> bool:
        """Whether nothing was predicted."""
        return self.volumes is not None and not any(self.volumes.values())


@dataclass(frozen=True)
class Review:
    """The cases in the order in which to look at them.

    Attributes
    ----------
    rule : str
        How they were ordered, in a sentence.
    order : tuple of str
        Case ids, the most urgent first; those of which nothing can be told are left out.
    atypical : mapping of str to float
        Robust score of each case's volumes; empty where there are too few cases.
    """

    rule: str
    order: tuple[str, ...]
    atypical: Mapping[str, float]


CONFIDENCE_RULE = (
    "Ordered by the mean probability of the chosen label over the voxels predicted as foreground, lowest first; cases "
    "with nothing predicted come before all others. No truth enters this order."
)
DICE_RULE = "Ordered by Dice (mean over the classes), lowest first, as no confidence maps were written."
VOLUME_RULE = (
    "Ordered by how unlike the others the predicted volumes are (robust score of their logarithm, the largest over the "
    "classes), as there are neither confidence maps nor true labels. Scores above 3.5 are commonly called outliers."
)
NO_RULE = (
    f"Fewer than {FEWEST} cases, and neither confidence maps nor true labels: listed by name, empty predictions first."
)


def choose(cases: Mapping[str, Looks]) -> Review:
    """Order cases by the first rule of the module that applies to all or some of them."""
    atypical = volume_scores(cases)
    for rule, values in (
        (CONFIDENCE_RULE, {name: looks.confidence for name, looks in cases.items()}),
        (DICE_RULE, {name: looks.dice for name, looks in cases.items()}),
        (VOLUME_RULE, {name: -score for name, score in atypical.items()}),
    ):
        known = {name: value for name, value in values.items() if not isnan(value)}
        if known:
            return Review(rule, _ordered(cases, known), atypical)
    return Review(NO_RULE, _ordered(cases, dict.fromkeys(cases, 0.0)), atypical)


def volume_scores(cases: Mapping[str, Looks]) -> dict[str, float]:
    """Return how unlike the others the volumes of each case are; empty for fewer than `FEWEST` cases with volumes.

    A class that is missing from a case counts as one voxel there, so that it is far off without being infinitely so.
    Where most volumes are equal, nothing is atypical.
    """
    known = {name: (looks.volumes, looks.voxel) for name, looks in cases.items() if looks.volumes is not None}
    if len(known) < FEWEST:
        return {}
    scores = dict.fromkeys(known, 0.0)
    for value in sorted({value for volumes, _ in known.values() for value in volumes}):
        logs = np.array([log(max(volumes.get(value, 0.0), voxel)) for volumes, voxel in known.values()])
        off = np.abs(logs - np.median(logs))
        width = MAD_TO_SD * float(np.median(off))
        if width > 0:
            for name, score in zip(known, off / width, strict=True):
                scores[name] = max(scores[name], float(score))
    return scores


def foreground_confidence(
    confidence: "np.typing.NDArray[np.floating]", labels: "np.typing.NDArray[np.integer]"
) -> float:
    """Return the mean confidence over the predicted foreground; NaN where nothing was predicted."""
    chosen = confidence[labels != 0]
    return float(chosen.mean(dtype=np.float64)) if chosen.size else nan


def _ordered(cases: Mapping[str, Looks], values: Mapping[str, float]) -> tuple[str, ...]:
    empty = [name for name, looks in cases.items() if looks.empty]
    rest = [name for name in values if name not in empty]
    return (*empty, *sorted(rest, key=lambda name: (values[name], name)))
