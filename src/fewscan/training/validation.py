"""What is measured on the validation cases during training: for segmentation, Dice by sliding window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedCase
from fewscan.inference.predictor import Predictor


@dataclass(frozen=True)
class Validation:
    """Scores of one validation.

    Attributes
    ----------
    dice : mapping of str to float
        Mean Dice by class.
    more : mapping of str to float
        Whatever else goes into the log.
    fallback : str
        Which of ``more`` chooses the best model where no class has a Dice; higher is better.
    """

    dice: Mapping[str, float]
    more: Mapping[str, float] = field(default_factory=dict)
    fallback: str = ""

    @property
    def mean_dice(self) -> float:
        """Mean over the classes, 0 without any."""
        return sum(self.dice.values()) / len(self.dice) if self.dice else 0.0

    @property
    def decisive(self) -> tuple[str, float]:
        """Name and value of the score that chooses the best model."""
        if self.dice or not self.fallback:
            return "mean_dice", self.mean_dice
        return self.fallback, self.more[self.fallback]


def validate(predictor: Predictor, cases: Sequence[PreparedCase]) -> dict[str, float]:
    """Return the mean Dice of each foreground class on the prepared grid.

    A class that is absent from truth and prediction of a case does not count for that case; a class absent from all
    cases is left out.
    """
    scores = []
    for case in cases:
        image = np.array(case.image())  # torch takes no read-only array, as a memory-mapped one is
        # several times faster than argmax on the CPU
        predicted = predictor.probabilities(image, case.background).max(0).indices.cpu().numpy()
        scores.append(class_dice(predicted, case.label(), predictor.spec.plan))
    return mean_by_class(scores)


def class_dice(predicted: npt.NDArray[Any], truth: npt.NDArray[Any], plan: Plan) -> dict[str, float]:
    """Return the Dice of each foreground class that either label map has."""
    scores = {}
    for index, item in enumerate(plan.classes[1:], start=1):
        p, t = predicted == index, truth == index
        if size := np.count_nonzero(p) + np.count_nonzero(t):
            scores[item.name] = float(2 * np.count_nonzero(p & t) / size)
    return scores


def mean_by_class(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each class over the cases that have it."""
    names = dict.fromkeys(name for one in scores for name in one)
    return {name: float(np.mean([one[name] for one in scores if name in one])) for name in names}
