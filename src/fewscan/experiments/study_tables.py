"""The tables of a study: overlap and cost, paired comparison, classes, surface distances in mm and in voxels.

The last table has the four metrics of the second founding paper together, of the predictions as they are.

The others give numbers of the predictions as they are and, in a column of its own beside (``LC``), of the largest
component of each class. Overlap is in percent, mean ± standard deviation over seeds.
"""

from collections.abc import Mapping, Sequence
from math import isnan

from fewscan.experiments.against_baseline import Comparison
from fewscan.experiments.averages import Average, Key, Line
from fewscan.experiments.cells import Row
from fewscan.experiments.gap import GapShare
from fewscan.experiments.state import AS_PREDICTED, EVALUATIONS, LARGEST
from fewscan.experiments.study import Study
from fewscan.experiments.table_notes import budget_notes, gap_notes, general_notes, infinity_notes, jensen_notes
from fewscan.experiments.tables import MISSING, Table, number, p_value
from fewscan.metrics.summary import ALL_CLASSES

OVERLAP = {"dice": "Dice %", "jaccard": "Jaccard %", "ravd": "RAVD %"}
DISTANCES = {"hd95": "HD95", "asd": "ASD", "hd": "HD", "assd": "ASSD"}
FOUR = ("dice", "ravd", "hd95", "asd")
UNITS = {"mm": "mm", "vox": "voxels"}
COST = ("annotated", "training", "peak MiB")
COMPARED = {"dice": "Dice %", "hd95_mm": "HD95 mm", "asd_mm": "ASD mm"}


class StudyTables:
    """Makes the tables of a study.

    Parameters
    ----------
    study : Study
        Gives labels and baseline.
    lines : sequence of Line
        The rows, finished or not.
    label : str
        The class to show; see `main_label`.
    """

    def __init__(self, study: Study, lines: Sequence[Line], *, label: str) -> None:
        self.study, self.lines, self.label = study, lines, label
        self.labels = {entry.name: entry.label for entry in study.methods}
        self.several_presets = len({line.row.preset for line in lines}) > 1

    def all(
        self,
        comparisons: Sequence[Comparison],
        shares: Sequence[GapShare],
        *,
        further: Mapping[str, Sequence[Comparison]] | None = None,
    ) -> list[Table]:
        """Return every table, the most important first; ``further`` are tests against others than the baseline."""
        classes = [self.classes()] if self.label == ALL_CLASSES else []
        distances = [self.distances(unit) for unit in UNITS]
        against = [self.comparison(compared, against=name) for name, compared in (further or {}).items()]
        tests = [self.comparison(comparisons), *against]
        return [self.overlap(shares), *tests, *classes, *distances, self.four_metrics()]

    def overlap(self, shares: Sequence[GapShare]) -> Table:
        """Return overlap, share of the gap, annotation cost, time and memory."""
        share_of = {share.row: share for share in shares}
        metrics = [(metric, title, 100.0) for metric, title in OVERLAP.items()]
        rows = []
        for line in self.lines:
            share = _share(share_of.get(line.row))
            rows.append((*self._start(line), *self._numbers(line, metrics), share, *_cost(line)))
        head = (*self._start_head(), *_twice(metrics), "gap recovered", *COST)
        title = f"Overlap and cost ({self.label})"
        return Table(title, head, tuple(rows), self._overlap_notes(shares), text_columns=2)

    def dice(self, comparisons: Sequence[Comparison], shares: Sequence[GapShare]) -> Table:
        """Return Dice alone with the paired test against the baseline: what a terminal has room for."""
        share_of = {share.row: share for share in shares}
        tested = {item.row: item for item in comparisons if item.key == Key(AS_PREDICTED, self.label, "dice")}
        metrics = [("dice", OVERLAP["dice"], 100.0)]
        rows = []
        for line in self.lines:
            test, against = tested.get(line.row), (MISSING, MISSING)
            if test is not None:
                against = (number(100 * test.test.mean_difference, 2, sign=True), p_value(test.p_holm))
            share = _share(share_of.get(line.row))
            rows.append((*self._start(line), *self._numbers(line, metrics), share, *against))
        head = (*self._start_head(), *_twice(metrics), "gap recovered", "difference", "p (Holm)")
        notes = (
            *self._overlap_notes(shares),
            f"Difference, p: against {self.labels[self.study.baseline]} with the same labels, paired by test case.",
        )
        return Table(f"Dice ({self.label})", head, tuple(rows), notes, text_columns=2)

    def cost(self) -> Table:
        """Return annotation, time and memory."""
        rows = tuple((*self._start(line), *_cost(line)) for line in self.lines)
        return Table("Cost", (*self._start_head(), *COST), rows, text_columns=2)

    def distances(self, unit: str) -> Table:
        """Return the surface distances in ``unit``, "mm" or "vox"."""
        metrics = [(f"{name}_{unit}", title, 1.0) for name, title in DISTANCES.items()]
        rows = tuple((*self._start(line), *self._numbers(line, metrics)) for line in self.lines)
        title = f"Surface distances in {UNITS[unit]} ({self.label})"
        head = (*self._start_head(), *_twice(metrics))
        return Table(title, head, rows, tuple(infinity_notes(self.lines, self.label, unit, self.title)), text_columns=2)

    def four_metrics(self) -> Table:
        """Return Dice, RAVD, HD95 and ASD of the predictions as they are, the columns of paper 2's table 1."""
        titles = OVERLAP | {f"{m}_{unit}": f"{DISTANCES[m]} {name}" for m in DISTANCES for unit, name in UNITS.items()}
        shown = [key for metric in FOUR for key in ((metric,) if metric in OVERLAP else _in_units(metric))]
        rows = []
        for line in self.lines:
            averages = [line.averages.get(Key(AS_PREDICTED, self.label, metric)) for metric in shown]
            numbers = [_spread(average, _factor(metric)) for average, metric in zip(averages, shown, strict=True)]
            rows.append((*self._start(line), *numbers))
        notes = (
            "RAVD: |predicted volume - true volume| / true volume. Where a paper states no unit of distances, compare "
            "with both.",
        )
        head = (*self._start_head(), *(titles[metric] for metric in shown))
        return Table(f"Dice, RAVD, HD95 and ASD ({self.label})", head, tuple(rows), notes, text_columns=2)

    def classes(self) -> Table:
        """Return Dice and HD95 of each class, of the predictions as they are."""
        names = dict.fromkeys(key.label for line in self.lines for key in line.averages if key.label != ALL_CLASSES)
        shown = [(name, metric) for metric in ("dice", "hd95_mm") for name in names]
        rows = []
        for line in self.lines:
            averages = [line.averages.get(Key(AS_PREDICTED, name, metric)) for name, metric in shown]
            numbers = [_spread(average, _factor(metric)) for average, (_, metric) in zip(averages, shown, strict=True)]
            rows.append((*self._start(line), *numbers))
        head = (*self._start_head(), *(f"{COMPARED[metric]} {name}" for name, metric in shown))
        return Table("Classes", head, tuple(rows), text_columns=2)

    def comparison(self, comparisons: Sequence[Comparison], *, against: str = "") -> Table:
        """Return the paired tests against a method, the baseline unless told."""
        rows = []
        for item in comparisons:
            key = item.key
            if key.label != self.label or key.scored != AS_PREDICTED or key.metric not in COMPARED:
                continue
            factor = _factor(key.metric)
            rows.append(
                (
                    self.title(item.row),
                    item.row.labelled.title,
                    COMPARED[key.metric],
                    number(factor * item.mean, 2),
                    number(factor * item.baseline_mean, 2),
                    number(factor * item.test.mean_difference, 2, sign=True),
                    " ".join(number(factor * gain, 2, sign=True) for gain in item.by_seed),
                    _interval(factor * item.low, factor * item.high),
                    f"{item.better}/{item.worse}/{item.test.n}",
                    p_value(item.test.p),
                    p_value(item.p_holm),
                )
            )
        head = ("method", "labelled", "metric", "mean", "baseline", "difference", "by draw", "95 % interval")
        notes = (
            "Wilcoxon signed-rank test, paired by test case, each case averaged over seeds; bootstrap interval of the "
            "mean difference; by draw: the difference in each seed alone; Holm over all methods, labelled counts and "
            "tables of one metric. All metrics and classes, with and without largest component: comparison.csv.",
        )
        title = f"Against {self.labels[against or self.study.baseline]} with the same labels ({self.label})"
        return Table(title, (*head, "better/worse/n", "p", "p (Holm)"), tuple(rows), notes, text_columns=3)

    def title(self, row: Row) -> str:
        """Return the label of a row's method, with the preset where the study has several."""
        label = self.labels[row.method]
        return f"{label} ({row.preset})" if self.several_presets else label

    def _overlap_notes(self, shares: Sequence[GapShare]) -> tuple[str, ...]:
        return (
            *general_notes(self.study, self.lines),
            *jensen_notes(self.lines, self.title),
            *gap_notes(self.lines, shares, self.title),
            *budget_notes(self.lines, self.study.baseline, self.title),
        )

    def _start_head(self) -> tuple[str, ...]:
        return ("method", "labelled", "seeds")

    def _start(self, line: Line) -> tuple[str, ...]:
        done = len(line.results)
        seeds = str(done) if done == line.planned else f"{done} of {line.planned}"
        return (self.title(line.row), line.row.labelled.title, seeds)

    def _numbers(self, line: Line, metrics: Sequence[tuple[str, str, float]]) -> list[str]:
        keys = [(Key(scored, self.label, metric), factor) for metric, _, factor in metrics for scored in EVALUATIONS]
        return [_spread(line.averages.get(key), factor) for key, factor in keys]


def _cost(line: Line) -> tuple[str, str, str]:
    if not line.results:
        return (MISSING, MISSING, MISSING)
    return (_span(line.annotated), _seconds(line.training_seconds), number(line.peak_memory_mib, 0))


def _twice(metrics: Sequence[tuple[str, str, float]]) -> list[str]:
    marks = {AS_PREDICTED: "", LARGEST: " LC"}
    return [f"{title}{marks[scored]}" for _, title, _ in metrics for scored in EVALUATIONS]


def _in_units(metric: str) -> tuple[str, ...]:
    return tuple(f"{metric}_{unit}" for unit in UNITS)


def _factor(metric: str) -> float:
    return 100.0 if metric in OVERLAP else 1.0


def _spread(average: Average | None, factor: float) -> str:
    if average is None or isnan(average.mean):
        return MISSING
    mean = number(factor * average.mean, 2)
    spread = average.standard_deviation
    return mean if isnan(spread) else f"{mean} ± {factor * spread:.2f}"


def _share(share: GapShare | None) -> str:
    if share is None or isnan(share.share):
        return MISSING
    return f"({100 * share.share:.0f} %)" if share.tiny else f"{100 * share.share:.0f} %"


def _span(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low} to {high}"


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60) if not isnan(seconds) else (0, 0)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _interval(low: float, high: float) -> str:
    return MISSING if isnan(low) else f"{low:+.2f} to {high:+.2f}"
