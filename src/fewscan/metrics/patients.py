"""Scans of one patient are alike, and tests take their pairs for independent: a patient's scores are averaged first."""

from collections.abc import Iterable, Mapping

from fewscan.metrics.statistics import mean_of


def over_patients(
    pairs: Mapping[str, tuple[float, float]], patients: Mapping[str, str]
) -> tuple[list[float], list[float]]:
    """Return the paired scores of two methods, one pair for every patient.

    Parameters
    ----------
    pairs : mapping of str to (float, float)
        Scores of both methods by case.
    patients : mapping of str to str
        Patient of each case; a case without one is a patient of its own.

    Returns
    -------
    first, second : list of float
        Means over each patient's cases, infinite if one of them is.
    """
    cases: dict[tuple[bool, str], list[tuple[float, float]]] = {}
    for case, pair in pairs.items():
        cases.setdefault(_unit(case, patients), []).append(pair)
    first, second = ([mean_of([pair[k] for pair in scans]) for scans in cases.values()] for k in (0, 1))
    return first, second


def count_patients(cases: Iterable[str], patients: Mapping[str, str]) -> int:
    """Return how many patients the cases are of; a case without one is a patient of its own."""
    return len({_unit(case, patients) for case in cases})


def _unit(case: str, patients: Mapping[str, str]) -> tuple[bool, str]:
    return case in patients, patients.get(case, case)
