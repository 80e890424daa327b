"""How well registered pairs fit, before and after: measures read from ``registration.json``, and their ranking."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from fewscan.metrics.evaluation import number_from_json
from fewscan.metrics.statistics import mean_of
from fewscan.report.document.words import number

Pair = Mapping[str, Any]
WHENS = ("before", "after")


@dataclass(frozen=True)
class Measure:
    """One measure of how well the scans of a pair fit.

    Attributes
    ----------
    title, key : str
        For people, and for programs.
    read : callable
        Gives the value of a pair "before" or "after"; NaN where it has none.
    decimals : int
        For people.
    higher_is_better : bool
        Of the value.
    """

    title: str
    key: str
    read: Callable[[Pair, str], float]
    decimals: int = 3
    higher_is_better: bool = True

    def text(self, pair: Pair, when: str) -> str:
        """Return the value of a pair for people."""
        return number(self.read(pair, when), self.decimals)

    def fell(self, pair: Pair) -> str:
        """Return a remark where a pair is worse after than before."""
        before, after = (self.read(pair, when) for when in WHENS)
        return " (worse)" if (after < before if self.higher_is_better else after > before) else ""

    def values(self, pairs: Sequence[Pair], when: str) -> list[float]:
        """Return the value of every pair."""
        return [self.read(pair, when) for pair in pairs]

    def mean(self, pairs: Sequence[Pair], when: str) -> float:
        """Return the mean over the pairs that have a value; infinite if one of them is."""
        return mean_of(self.values(pairs, when))


def stored_number(value: Any) -> float:
    """Return a number as the record holds it; NaN for none."""
    return float(number_from_json(value))


def _similarity(pair: Pair, when: str) -> float:
    return stored_number(pair["similarity"][when])


def _dice(pair: Pair, when: str) -> float:
    return stored_number((pair.get("mean_dice") or {}).get(when))


def _distance(pair: Pair, when: str) -> float:
    return mean_of([stored_number(row[f"hd95_mm_{when}"]) for row in pair["labels"]])


MEASURES = (
    Measure("similarity (GNCC)", "similarity", _similarity),
    Measure("Dice", "dice", _dice),
    Measure("95 % Hausdorff distance, mm", "hd95_mm", _distance, decimals=2, higher_is_better=False),
)


def known_measures(pairs: Sequence[Pair]) -> list[Measure]:
    """Return the measures that any of the pairs has."""
    return [measure for measure in MEASURES if any(not isnan(value) for value in measure.values(pairs, "after"))]


def lost_dice(pairs: Sequence[Pair]) -> dict[str, str]:
    """Return the pairs whose labels lie worse after registration than before, worst loss first, and what to say."""
    both = {str(pair["id"]): (_dice(pair, "before"), _dice(pair, "after")) for pair in pairs}
    worse = {name: values for name, values in both.items() if values[1] < values[0]}  # NaN is never less
    ordered = sorted(worse.items(), key=lambda item: item[1][1] - item[1][0])
    return {name: f"Dice fell from {number(before)} to {number(after)}" for name, (before, after) in ordered}


def ranking(pairs: Sequence[Pair]) -> tuple[str, dict[str, float]]:
    """Return what pairs are ranked by, and the score of each: Dice, or similarity where no pair has labels.

    Pairs without labels among others that have some are NaN: the two measures cannot be ranked together.
    """
    has_labels = any(not isnan(_dice(pair, "after")) for pair in pairs)
    name, read = ("mean Dice after", _dice) if has_labels else ("similarity after", _similarity)
    return name, {str(pair["id"]): read(pair, "after") for pair in pairs}
