"""Overlap of two masks: Dice, Jaccard and relative absolute volume difference.

With P the prediction, G the truth (ground truth) and |.| the number of voxels:

    Dice = 2 |P and G| / (|P| + |G|),    Jaccard = |P and G| / |P or G|,    RAVD = | |P| - |G| | / |G|.

All three are fractions, not percent. Empty masks: where class is in neither mask all three are NaN ("absent": there is
nothing to score); where only one mask is empty Dice and Jaccard are 0, and RAVD is 1 (nothing found) or infinite
(something found where nothing is).
"""

from dataclasses import dataclass
from math import inf, nan

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """Voxel counts of two masks and what follows from them.

    Attributes
    ----------
    prediction, truth, both : int
        Voxels of the prediction, of the truth and of their intersection.
    """

    prediction: int
    truth: int
    both: int

    @property
    def absent(self) -> bool:
        """Whether both masks are empty, so that there is nothing to score."""
        return self.prediction == 0 and self.truth == 0

    @property
    def dice(self) -> float:
        """Dice similarity coefficient, 0 to 1."""
        return nan if self.absent else 2 * self.both / (self.prediction + self.truth)

    @property
    def jaccard(self) -> float:
        """Jaccard index (intersection over union), 0 to 1."""
        return nan if self.absent else self.both / (self.prediction + self.truth - self.both)

    @property
    def ravd(self) -> float:
        """Relative absolute volume difference, 0 (best) to infinity."""
        if self.truth == 0:
            return nan if self.prediction == 0 else inf
        return abs(self.prediction - self.truth) / self.truth


def count_overlap(prediction: Mask, truth: Mask) -> Overlap:
    """Count the voxels of two masks of equal shape.

    Raises
    ------
    ValueError
        If the shapes differ (they are never broadcast).
    """
    if prediction.shape != truth.shape:
        msg = f"masks of different shape: {prediction.shape} and {truth.shape}"
        raise ValueError(msg)
    return Overlap(
        prediction=int(np.count_nonzero(prediction)),
        truth=int(np.count_nonzero(truth)),
        both=int(np.count_nonzero(prediction & truth)),
    )
