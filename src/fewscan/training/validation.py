"""Dice on the validation cases during training, whole scans by sliding window."""

from collections.abc import Sequence

import numpy as np

from fewscan.data.prepared import PreparedCase
from fewscan.inference.predictor import Predictor


def validate(predictor: Predictor, cases: Sequence[PreparedCase]) -> dict[str, float]:
    """Return the mean Dice of each foreground class on the prepared grid.

    A class that is absent from truth and prediction of a case does not count for that case; a class absent from all
    cases is left out.
    """
    plan = predictor.spec.plan
    scores: dict[str, list[float]] = {}
    for case in cases:
        image = np.array(case.image())  # torch takes no read-only array, as a memory-mapped one is
        # several times faster than argmax on the CPU
        predicted = predictor.probabilities(image, case.background).max(0).indices.cpu().numpy()
        truth = case.label()
        for index, item in enumerate(plan.classes[1:], start=1):
            p, t = predicted == index, truth == index
            if size := np.count_nonzero(p) + np.count_nonzero(t):
                scores.setdefault(item.name, []).append(2 * np.count_nonzero(p & t) / size)
    return {name: float(np.mean(values)) for name, values in scores.items()}
