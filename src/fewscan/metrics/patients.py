"""Scans of one patient are alike, while tests and intervals take scores for independent: a patient's are averaged."""

from collections.abc import Iterable, Mapping
from math import isnan

from fewscan.metrics.statistics import mean_of


def patient_means(by_case: Mapping[str, float], patients: Mapping[str, str]) -> list[float]:
    """Return the mean of every patient's scores, infinite if one of them is.

    Parameters
    ----------
    by_case : mapping of str to float
        Scores of the cases; NaN, of an absent class, counts for nothing, and who has nothing else is left out.
    patients : mapping of str to str
        Patient of each case; a case without one is a patient of its own.
    """
    cases: dict[tuple[bool, str], list[float]] = {}
    for case, score in by_case.items():
        if not isnan(score):
            cases.setdefault(_unit(case, patients), []).append(score)
    return [mean_of(scores) for scores in cases.values()]


def over_patients(
    pairs: Mapping[str, tuple[float, float]], patients: Mapping[str, str]
) -> tuple[list[float], list[float]]:
    """Return the paired scores of two methods, one pair for every patient.

    Parameters
    ----------
    pairs : mapping of str to (float, float)
        Scores of both methods by case, none of them NaN.
    patients : mapping of str to str
        See `patient_means`.

    Returns
    -------
    first, second : list of float
        Means over each patient's cases, infinite if one of them is.
    """
    first, second = (patient_means({case: pair[k] for case, pair in pairs.items()}, patients) for k in (0, 1))
    return first, second


def count_patients(cases: Iterable[str], patients: Mapping[str, str]) -> int:
    """Return how many patients the cases are of; a case without one is a patient of its own."""
    return len({_unit(case, patients) for case in cases})


def _unit(case: str, patients: Mapping[str, str]) -> tuple[bool, str]:
    return case in patients, patients.get(case, case)
