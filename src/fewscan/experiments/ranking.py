"""Which cases stand for all: the best, the median and the worst."""

from collections.abc import Mapping
from math import isnan


def best_median_worst(scores: Mapping[str, float]) -> dict[str, tuple[str, float]]:
    """Return id and score by rank; ties go by id, and fewer cases give fewer ranks.

    Parameters
    ----------
    scores : mapping of str to float
        Higher is better; NaN, where there is nothing to score, is passed over.
    """
    ranked = sorted(((case, score) for case, score in scores.items() if not isnan(score)), key=lambda item: item[0])
    ranked.sort(key=lambda item: -item[1])
    if not ranked:
        return {}
    if len(ranked) == 1:
        return {"only": ranked[0]}
    places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    return {name: ranked[place] for name, place in places.items() if name != "median" or len(ranked) > 2}
