"""From per-case scores to the rows of a table: spread, bootstrap interval, paired comparison with a baseline.

Rules:

- A class absent from truth and prediction has nothing to score: counted (`SummaryRow.absent`), never averaged.
- An infinite distance (an empty prediction of a present class) makes the mean infinite. The row also gives the median,
  the number of infinite cases and, as a footnote only, the mean over the finite ones.
- Where there are several classes, the row `ALL_CLASSES` averages per case over the classes present in it, and then as
  any class.
- Where some patients have several scans, each patient's are averaged first: means, spread, intervals and tests are then
  those of the patients, and counts those of the cases.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf, isnan, nan
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from fewscan.metrics.case_scores import HIGHER_IS_BETTER, METRICS, ClassScores
from fewscan.metrics.jensen import JensenCheck, jensen_check
from fewscan.metrics.patients import over_patients, patient_means
from fewscan.metrics.statistics import PairedTest, bootstrap_interval, holm, mean_of, paired_test

ALL_CLASSES = "mean over classes"

# the six metrics of a report, each in one unit: testing both units of one distance would only dilute the correction
TESTED_METRICS = ("dice", "jaccard", "ravd", "hd_mm", "hd95_mm", "asd_mm")


class Column(NamedTuple):
    """The scores of one class and metric: one value per case, NaN where the class is absent."""

    label: str
    metric: str
    by_case: Mapping[str, float]


@dataclass(frozen=True)
class SummaryRow:
    """One class and metric over all cases.

    Attributes
    ----------
    label, metric : str
        Class name (or `ALL_CLASSES`) and one of `METRICS`.
    n, absent, infinite : int
        Cases scored, cases without the class in truth and prediction, and those of the ``n`` with an infinite score.
    mean, standard_deviation, median : float
        Over the ``n`` cases, or the patients they are of; the standard deviation is the sample's (n - 1).
    low, high : float
        95 % bootstrap interval of the mean, drawn from the same; NaN if the mean is infinite or of fewer than two.
    mean_finite : float
        Footnote: the mean of the finite scores only. Never report it as the mean.
    """

    label: str
    metric: str
    n: int
    absent: int
    infinite: int
    mean: float
    standard_deviation: float
    median: float
    low: float
    high: float
    mean_finite: float


@dataclass(frozen=True)
class ComparisonRow:
    """Paired comparison of predictions and baseline in one class and metric.

    Attributes
    ----------
    label, metric : str
        Class name (or `ALL_CLASSES`) and one of `TESTED_METRICS`.
    mean, baseline_mean : float
        Over the compared pairs, of cases or of patients.
    improved, worse : int
        Cases, or patients, in which the predictions score better (worse) than the baseline.
    test : PairedTest
        Differences are predictions minus baseline.
    p_holm : float
        The p-value corrected by Holm over all rows of the comparison.
    """

    label: str
    metric: str
    mean: float
    baseline_mean: float
    improved: int
    worse: int
    test: PairedTest
    p_holm: float


def columns(scores: Iterable[ClassScores], names: Mapping[int, str]) -> list[Column]:
    """Sort scores into one column per class and metric, and `ALL_CLASSES` last where there are several classes.

    Every case must have a row for every class.
    """
    by_class: dict[int, list[ClassScores]] = {}
    for row in scores:
        by_class.setdefault(row.value, []).append(row)
    table = [
        Column(names.get(value, str(value)), metric, {row.case_id: row.scores[metric] for row in rows})
        for value, rows in sorted(by_class.items())
        for metric in METRICS
    ]
    if len(by_class) > 1:
        table += [_over_classes([column for column in table if column.metric == metric]) for metric in METRICS]
    return table


def summarise(table: Iterable[Column], *, patients: Mapping[str, str] = MappingProxyType({})) -> list[SummaryRow]:
    """Summarise every column.

    ``patients`` says whose scan each case is, where some have several; see `patient_means`.
    """
    rows = []
    for label, metric, by_case in table:
        present = {case: value for case, value in by_case.items() if not isnan(value)}
        finite = {case: value for case, value in present.items() if not isinf(value)}
        infinite = len(present) - len(finite)
        values = patient_means(present, patients)
        low, high = bootstrap_interval(values)
        rows.append(
            SummaryRow(
                label=label,
                metric=metric,
                n=len(present),
                absent=len(by_case) - len(present),
                infinite=infinite,
                mean=mean_of(values),
                standard_deviation=nan if infinite or len(values) < 2 else float(np.std(values, ddof=1)),
                median=float(np.median(values)) if values else nan,
                low=low,
                high=high,
                mean_finite=mean_of(patient_means(finite, patients)),
            )
        )
    return rows


def compare(
    table: Sequence[Column], baseline: Sequence[Column], *, patients: Mapping[str, str] = MappingProxyType({})
) -> list[ComparisonRow]:
    """Compare two tables of the same cases, column by column, with Holm's correction over all the tests.

    ``patients`` says whose scan each case is, where some have several; see `over_patients`.

    A class that is in neither truth nor prediction is a correct answer: where only one of the two methods gives it,
    that method has the best score (Dice 1, distance 0) in the pair. Cases where both give it are left out.
    """
    other = {(column.label, column.metric): column.by_case for column in baseline}
    compared = []
    for label, metric, by_case in table:
        if metric not in TESTED_METRICS or (label, metric) not in other:
            continue
        best = 1.0 if metric in HIGHER_IS_BETTER else 0.0
        against = other[label, metric]
        pairs = {
            case: (best if isnan(value) else value, best if isnan(against[case]) else against[case])
            for case, value in by_case.items()
            if not (isnan(value) and isnan(against[case]))
        }
        ours, theirs = over_patients(pairs, patients)
        compared.append((label, metric, mean_of(ours), mean_of(theirs), paired_test(ours, theirs)))
    corrected = holm([row[-1].p for row in compared])
    return [
        ComparisonRow(
            label=label,
            metric=metric,
            mean=mean,
            baseline_mean=baseline_mean,
            improved=test.higher if metric in HIGHER_IS_BETTER else test.lower,
            worse=test.lower if metric in HIGHER_IS_BETTER else test.higher,
            test=test,
            p_holm=p_holm,
        )
        for (label, metric, mean, baseline_mean, test), p_holm in zip(compared, corrected, strict=True)
    ]


def check_means(rows: Iterable[SummaryRow]) -> dict[str, JensenCheck]:
    """Run the check of `jensen` on the mean Dice and Jaccard of every class that has any."""
    means = {(row.label, row.metric): row.mean for row in rows}
    return {
        label: jensen_check(dice, means[label, "jaccard"])
        for (label, metric), dice in means.items()
        if metric == "dice" and not isnan(dice)
    }


def _over_classes(same_metric: Sequence[Column]) -> Column:
    cases = same_metric[0].by_case
    means = {case: mean_of([column.by_case[case] for column in same_metric]) for case in cases}
    return Column(ALL_CLASSES, same_metric[0].metric, means)
