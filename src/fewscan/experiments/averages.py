"""Mean and spread over seeds: from the results of cells to one line of a table.

First the scans of each patient are averaged, as for the tests, then the patients of each cell, then the cells of one
row: the spread is that between seeds (labelled subsets and trainings), not that between patients. An infinite distance
(an empty prediction) makes the means infinite and is counted; an absent class is left out, as everywhere (see
`fewscan.metrics.summary`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isinf, isnan, nan

import numpy as np

from fewscan.experiments.cells import Cell, Row
from fewscan.experiments.collect import Result
from fewscan.experiments.state import EVALUATIONS
from fewscan.metrics.jensen import JensenCheck, jensen_check
from fewscan.metrics.patients import patient_means
from fewscan.metrics.statistics import mean_of
from fewscan.metrics.summary import ALL_CLASSES


@dataclass(frozen=True)
class Key:
    """Which number of a row: what was scored, class name (or `ALL_CLASSES`), metric."""

    scored: str
    label: str
    metric: str


@dataclass(frozen=True)
class Average:
    """One number of a table.

    Attributes
    ----------
    by_seed : mapping of int to float
        Mean over the cases (patients, where some have several scans), per seed.
    n, infinite : int
        Scores (cases times seeds), and the infinite ones among them.
    mean_finite : float
        Footnote: mean of the finite scores alone. Never report it as the mean.
    """

    by_seed: Mapping[int, float]
    n: int
    infinite: int
    mean_finite: float

    @property
    def mean(self) -> float:
        """Mean over seeds of the means over cases, or patients."""
        return mean_of(list(self.by_seed.values()))

    @property
    def standard_deviation(self) -> float:
        """Of the seeds' means (n - 1); NaN for one seed and where a mean is infinite."""
        values = [value for value in self.by_seed.values() if not isnan(value)]
        return nan if len(values) < 2 or inf in values else float(np.std(values, ddof=1))


@dataclass(frozen=True)
class Line:
    """One row of the tables.

    Attributes
    ----------
    row : Row
        Method, preset and labelled count.
    results : tuple of Result
        The finished cells.
    planned : int
        How many cells the study has for it.
    averages : mapping of Key to Average
        Every number; empty while no cell is finished.
    """

    row: Row
    results: tuple[Result, ...]
    planned: int
    averages: Mapping[Key, Average]

    @property
    def annotated(self) -> tuple[int, int]:
        """Smallest and largest number of scans that had to be annotated: labelled and validation."""
        costs = [result.cell.split.annotation_cost for result in self.results]
        return (min(costs), max(costs)) if costs else (0, 0)

    @property
    def training_seconds(self) -> float:
        """Mean over the cells."""
        return mean_of([float(result.record["training_seconds"]) for result in self.results])

    @property
    def peak_memory_mib(self) -> float:
        """Largest of the cells."""
        return max((float(result.record["peak_memory_mib"]) for result in self.results), default=nan)

    @property
    def jensen(self) -> dict[tuple[str, str], JensenCheck]:
        """Whether mean Dice and mean Jaccard can belong together, by what was scored and class."""
        return {
            (key.scored, key.label): jensen_check(
                average.mean, self.averages[Key(key.scored, key.label, "jaccard")].mean
            )
            for key, average in self.averages.items()
            if key.metric == "dice" and not isnan(average.mean)
        }


def make_lines(cells: Sequence[Cell], results: Iterable[Result]) -> list[Line]:
    """Return a line for every row of the study, by labelled count and then in the order of the methods."""
    found: dict[Row, list[Result]] = {}
    for result in results:
        found.setdefault(result.cell.row, []).append(result)
    planned: dict[Row, int] = {}
    for cell in cells:
        planned[cell.row] = planned.get(cell.row, 0) + 1
    lines = [
        Line(row, tuple(found.get(row, ())), count, average_cells(found.get(row, ()))) for row, count in planned.items()
    ]
    return sorted(lines, key=lambda line: line.row.labelled)


def average_cells(results: Sequence[Result]) -> dict[Key, Average]:
    """Average the cells of one row, for everything that was scored, every class and every metric."""
    values: dict[Key, dict[int, dict[str, float]]] = {}
    groups: dict[str, str] = {}
    for result in results:
        groups |= result.cell.split.test_groups  # the test cases of a study are the same in all its cells
        for scored in EVALUATIONS:
            for column in result.columns(scored):
                present = {case: value for case, value in column.by_case.items() if not isnan(value)}
                values.setdefault(Key(scored, column.label, column.metric), {})[result.cell.seed] = present
    return {key: _average(by_seed, groups) for key, by_seed in values.items()}


def main_label(lines: Iterable[Line]) -> str:
    """Return the class that tables lead with: the mean over classes, or the only class there is."""
    labels = list(dict.fromkeys(key.label for line in lines for key in line.averages))
    return ALL_CLASSES if ALL_CLASSES in labels or not labels else labels[0]


def _average(by_seed: Mapping[int, Mapping[str, float]], groups: Mapping[str, str]) -> Average:
    means = {seed: mean_of(patient_means(by_case, groups)) for seed, by_case in by_seed.items()}
    finite = [{case: value for case, value in scores.items() if not isinf(value)} for scores in by_seed.values()]
    count, count_finite = sum(map(len, by_seed.values())), sum(map(len, finite))
    mean_finite = mean_of([mean for scores in finite for mean in patient_means(scores, groups)])
    return Average(means, count, count - count_finite, mean_finite)
