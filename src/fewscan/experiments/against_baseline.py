"""Is a method better than a baseline with the same labels? Paired by test case, each case averaged over the seeds.

Wilcoxon signed-rank test, bootstrap interval of the mean difference, and Holm's correction over all comparisons of one
metric and class, that is over the study's methods, presets, labelled counts and baselines; a pair of methods that is
compared both ways counts once. Only seeds that both have are compared. Scans of one patient are averaged first, as
tests and intervals take their pairs for independent; every mean is then one over patients.

Where just one of the two leaves out a class that the truth lacks too, it has the best score in that pair (see
`fewscan.metrics.summary.compare`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isinf, isnan, nan

from fewscan.experiments.averages import Key, Line
from fewscan.experiments.cells import Row
from fewscan.experiments.collect import Result
from fewscan.experiments.state import EVALUATIONS
from fewscan.metrics.case_scores import HIGHER_IS_BETTER
from fewscan.metrics.patients import over_patients
from fewscan.metrics.statistics import PairedTest, bootstrap_interval, holm, mean_of, paired_test
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
        Over cases (patients, where some have several scans), each averaged over these seeds.
    by_seed : tuple of float
        Difference of such means in each of these seeds alone: whether a gain holds for other labelled scans. NaN where
        both means are infinite.
    low, high : float
        95 % bootstrap interval of the mean difference; NaN where a difference is infinite.
    better, worse : int
        Cases (patients, where some have several scans) in which the method scores better (worse).
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
    by_seed: tuple[float, ...]
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


def compare_with_baselines(lines: Sequence[Line], baselines: Sequence[str]) -> dict[str, list[Comparison]]:
    """Compare every other line with each baseline's, in every tested metric and class."""
    pairs = [
        (name, line, other)
        for name in baselines
        for line in lines
        if line.row.method != name and (other := baseline_line(line, lines, name)) is not None
    ]
    compared = [(name, item) for name, line, other in pairs for item in _compare_lines(line, other)]
    corrected = _correct([item for _, item in compared])
    found: dict[str, list[Comparison]] = {name: [] for name in baselines}
    for (name, _), item in zip(compared, corrected, strict=True):
        found[name].append(item)
    return found


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
    groups = ours[seeds[0]].cell.split.test_groups if seeds else {}
    compared = []
    for scored in EVALUATIONS if seeds else ():
        first = [_by_key(ours[seed], scored) for seed in seeds]
        second = [_by_key(theirs[seed], scored) for seed in seeds]
        for key in first[0]:
            if key.metric in TESTED_METRICS and all(key in scores for scores in (*first, *second)):
                pairs = list(zip((s[key] for s in first), (s[key] for s in second), strict=True))
                compared.append(_compare_scores(line.row, other.row, key, seeds, pairs, groups))
    return compared


def _compare_scores(
    row: Row,
    baseline: Row,
    key: Key,
    seeds: tuple[int, ...],
    pairs: Sequence[tuple[Scores, Scores]],
    groups: Mapping[str, str],
) -> Comparison:
    higher_is_better = key.metric in HIGHER_IS_BETTER
    best = 1.0 if higher_is_better else 0.0
    by_case: dict[str, tuple[float, float]] = {}
    by_seed: list[dict[str, tuple[float, float]]] = [{} for _ in pairs]
    for case in pairs[0][0]:
        ours, theirs = [], []
        for (first, second), of_seed in zip(pairs, by_seed, strict=True):
            a, b = first[case], second[case]
            if not (isnan(a) and isnan(b)):
                ours.append(best if isnan(a) else a)
                theirs.append(best if isnan(b) else b)
                of_seed[case] = ours[-1], theirs[-1]
        if ours:
            by_case[case] = mean_of(ours), mean_of(theirs)
    candidate, reference = over_patients(by_case, groups)
    test = paired_test(candidate, reference)
    # two infinite distances do not differ
    gains = [0.0 if a == b else a - b for a, b in zip(candidate, reference, strict=True)]
    low, high = bootstrap_interval(gains)
    better, worse = (test.higher, test.lower) if higher_is_better else (test.lower, test.higher)
    means = [[mean_of(values) for values in over_patients(of_seed, groups)] for of_seed in by_seed]
    return Comparison(
        row=row,
        baseline=baseline,
        key=key,
        seeds=seeds,
        mean=mean_of(candidate),
        baseline_mean=mean_of(reference),
        by_seed=tuple(nan if isinf(a) and isinf(b) else a - b for a, b in means),
        low=low,
        high=high,
        better=better,
        worse=worse,
        test=test,
    )


def _correct(compared: Sequence[Comparison]) -> list[Comparison]:
    families: dict[Key, dict[frozenset[Row], float]] = {}
    for item in compared:
        families.setdefault(item.key, {})[frozenset((item.row, item.baseline))] = item.test.p
    corrected = {key: dict(zip(pairs, holm(list(pairs.values())), strict=True)) for key, pairs in families.items()}
    return [replace(item, p_holm=corrected[item.key][frozenset((item.row, item.baseline))]) for item in compared]


def _by_key(result: Result, scored: str) -> dict[Key, Scores]:
    return {Key(scored, column.label, column.metric): column.by_case for column in result.columns(scored)}


def _budget(settings: TrainSettings) -> dict[str, object]:
    values = {name: getattr(settings, name) for name in BUDGET}
    return values | {"batch.labelled": settings.batch.labelled}
