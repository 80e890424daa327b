"""Is a method better than the baseline with the same labels? Paired by test case, each case averaged over the seeds.

Wilcoxon signed-rank test, bootstrap interval of the mean difference, and Holm's correction over all comparisons of one
metric and class, that is over the study's methods, presets and labelled counts. Only seeds that both have are compared.
Where just one of the two leaves out a class that the truth lacks too, it has the best score in that pair (see
`fewscan.metrics.summary.compare`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

from fewscan.experiments.averages import Key, Line, mean_of
from fewscan.experiments.cells import Row
from fewscan.experiments.collect import Result
from fewscan.experiments.state import EVALUATIONS
from fewscan.metrics.case_scores import HIGHER_IS_BETTER
from fewscan.metrics.statistics import PairedTest, bootstrap_interval, holm, paired_test
from fewscan.metrics.summary import TESTED_METRICS
from fewscan.training.settings import TrainSettings

# what must be equal for a comparison to be about the method alone
BUDGET = (
    "iterations",
    "augmentation",
    "network",
    "patch_size",
    "foreground_fraction",
    "optimiser",
    "precision",
    "ema_decay",
)

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """One method against the baseline, in one metric and class.

    Attributes
    ----------
    row, baseline : Row
        What is compared; equal labelled counts.
    key : Key
        What was scored, class and metric.
    seeds : tuple of int
        Those that both have.
    mean, baseline_mean : float
        Over cases, each averaged over these seeds.
    low, high : float
        95 % bootstrap interval of the mean difference; NaN where a difference is infinite.
    better, worse : int
        Cases in which the method scores better (worse).
    test : PairedTest
        Differences are method minus baseline.
    p_holm : float
        Corrected over all comparisons with this key.
    """

    row: Row
    baseline: Row
    key: Key
    seeds: tuple[int, ...]
    mean: float
    baseline_mean: float
    low: float
    high: float
    better: int
    worse: int
    test: PairedTest
    p_holm: float = nan


def baseline_line(line: Line, lines: Sequence[Line], baseline: str) -> Line | None:
    """Return the baseline's line with the same labels, of the same preset where there is one; None if there is none."""
    same_labels = [other for other in lines if other.row.labelled == line.row.labelled]
    return _nearest(line, same_labels, baseline)


def upper_bound_line(line: Line, lines: Sequence[Line], baseline: str) -> Line | None:
    """Return the baseline's line with all labels, of the same preset where there is one; None if there is none."""
    return _nearest(line, [other for other in lines if other.row.labelled.is_all], baseline)


def compare_with_baseline(lines: Sequence[Line], baseline: str) -> list[Comparison]:
    """Compare every other line with the baseline's, in every tested metric and class."""
    compared: list[Comparison] = []
    for line in lines:
        other = baseline_line(line, lines, baseline)
        if line.row.method != baseline and other is not None:
            compared += _compare_lines(line, other)
    return _correct(compared)


def differences(line: Line, other: Line) -> list[str]:
    """Return the settings in which two lines differ beside the method: their scores differ for these reasons too."""
    if not (line.results and other.results):
        return []
    ours, theirs = (_budget(each.results[0].cell.settings) for each in (line, other))
    return [name for name in ours if ours[name] != theirs[name]]


def _nearest(line: Line, others: Sequence[Line], baseline: str) -> Line | None:
    of_baseline = [other for other in others if other.row.method == baseline]
    same_preset = [other for other in of_baseline if other.row.preset == line.row.preset]
    return next(iter([*same_preset, *of_baseline]), None)


def _compare_lines(line: Line, other: Line) -> list[Comparison]:
    ours, theirs = ({result.cell.seed: result for result in each.results} for each in (line, other))
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    compared = []
    for scored in EVALUATIONS if seeds else ():
        first = [_by_key(ours[seed], scored) for seed in seeds]
        second = [_by_key(theirs[seed], scored) for seed in seeds]
        for key in first[0]:
            if key.metric in TESTED_METRICS and all(key in scores for scores in (*first, *second)):
                pairs = list(zip((s[key] for s in first), (s[key] for s in second), strict=True))
                compared.append(_compare_scores(line.row, other.row, key, seeds, pairs))
    return compared


def _compare_scores(
    row: Row, baseline: Row, key: Key, seeds: tuple[int, ...], pairs: Sequence[tuple[Scores, Scores]]
) -> Comparison:
    higher_is_better = key.metric in HIGHER_IS_BETTER
    best = 1.0 if higher_is_better else 0.0
    candidate, reference = [], []
    for case in pairs[0][0]:
        ours, theirs = [], []
        for first, second in pairs:
            a, b = first[case], second[case]
            if not (isnan(a) and isnan(b)):
                ours.append(best if isnan(a) else a)
                theirs.append(best if isnan(b) else b)
        if ours:
            candidate.append(mean_of(ours))
            reference.append(mean_of(theirs))
    test = paired_test(candidate, reference)
    # two infinite distances do not differ
    gains = [0.0 if a == b else a - b for a, b in zip(candidate, reference, strict=True)]
    low, high = bootstrap_interval(gains)
    better, worse = (test.higher, test.lower) if higher_is_better else (test.lower, test.higher)
    return Comparison(row, baseline, key, seeds, mean_of(candidate), mean_of(reference), low, high, better, worse, test)


def _correct(compared: Sequence[Comparison]) -> list[Comparison]:
    families: dict[Key, list[int]] = {}
    for index, item in enumerate(compared):
        families.setdefault(item.key, []).append(index)
    corrected = list(compared)
    for members in families.values():
        for index, p in zip(members, holm([compared[index].test.p for index in members]), strict=True):
            corrected[index] = replace(compared[index], p_holm=p)
    return corrected


def _by_key(result: Result, scored: str) -> dict[Key, Scores]:
    return {Key(scored, column.label, column.metric): column.by_case for column in result.columns(scored)}


def _budget(settings: TrainSettings) -> dict[str, object]:
    values = {name: getattr(settings, name) for name in BUDGET}
    return values | {"batch.labelled": settings.batch.labelled}
