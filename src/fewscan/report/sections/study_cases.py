"""The test cases of a study: how their Dice is spread by method, pairs with the baseline, and those to look at."""

from collections.abc import Mapping
from math import isfinite, isnan, nan

import numpy as np

from fewscan.experiments.against_baseline import baseline_line
from fewscan.experiments.averages import Line
from fewscan.experiments.state import AS_PREDICTED
from fewscan.experiments.tables import Table
from fewscan.metrics.statistics import mean_of
from fewscan.report.charts.distributions import box_chart
from fewscan.report.charts.paired import paired_chart
from fewscan.report.document.content import Block, Gallery, Note, Picture, Text
from fewscan.report.document.words import number
from fewscan.report.found.study_cells import FoundStudy

LISTED = 10
RULE = (
    "Ordered by the mean of the methods' Dice, each averaged over its finished seeds and then over labelled counts, "
    "lowest first: what every method finds hard is often a hard scan or a doubtful label. Disagreement is the standard "
    "deviation of Dice between methods."
)


def case_means(found: FoundStudy, line: Line) -> dict[str, float]:
    """Return the Dice of each test case, the mean over the seeds of a line; NaN where there is nothing to score."""
    scores: dict[str, list[float]] = {}
    for result in line.results:
        for column in result.columns(AS_PREDICTED):
            if (column.label, column.metric) == (found.outputs.label, "dice"):
                for case, value in column.by_case.items():
                    scores.setdefault(case, []).append(value)
    return {case: mean_of(values) for case, values in scores.items()}


def spread_blocks(found: FoundStudy) -> list[Block]:
    """Return for every labelled count a box per method, and each method paired with the baseline."""
    lines = [line for line in found.outputs.lines if line.results]
    title = found.outputs.maker.title
    pictures: list[Picture] = []
    for labelled in dict.fromkeys(line.row.labelled for line in lines):
        here = [line for line in lines if line.row.labelled == labelled]
        groups = {title(line.row): case_means(found, line) for line in here}
        pictures.append(box_chart(f"{labelled.title} labelled", groups, unit=f"Dice, {found.outputs.label}"))
        for line in here:
            own = baseline_line(line, lines, found.study.baseline)
            if line.row.method != found.study.baseline and own is not None:
                names = (title(own.row), title(line.row))
                pictures.append(_paired(found, line, own, names, labelled.title))
    if not pictures:
        return []
    text = (
        "Every dot is one test case, averaged over the seeds that its method has finished; every thin line is one, "
        "averaged over the seeds that both methods have finished."
    )
    return [Text(text), Gallery(tuple(pictures))]


def _paired(found: FoundStudy, line: Line, own: Line, names: tuple[str, str], labelled: str) -> Picture:
    seeds = {result.cell.seed for result in line.results} & {result.cell.seed for result in own.results}
    ours, theirs = (
        case_means(found, Line(each.row, tuple(r for r in each.results if r.cell.seed in seeds), each.planned, {}))
        for each in (line, own)
    )
    pairs = {case: (theirs[case], value) for case, value in ours.items() if case in theirs}
    return paired_chart(f"{labelled} labelled", pairs, names=names, unit=f"Dice, {found.outputs.label}")


def review_blocks(found: FoundStudy) -> list[Block]:
    """Return the test cases that all methods find hard."""
    by_method: dict[str, list[Mapping[str, float]]] = {}
    for line in found.outputs.lines:
        if line.results:
            by_method.setdefault(found.outputs.maker.title(line.row), []).append(case_means(found, line))
    means = {name: _over(tables) for name, tables in by_method.items()}
    cases = list(dict.fromkeys(case for table in means.values() for case in table))
    if not cases:
        return [Note("No cell is finished yet.")]
    overall = {case: mean_of([table.get(case, nan) for table in means.values()]) for case in cases}
    ranked = sorted((case for case in cases if not isnan(overall[case])), key=lambda case: (overall[case], case))
    rows = []
    for case in ranked[:LISTED]:
        values = [table[case] for table in means.values() if case in table and isfinite(table[case])]
        disagreement = number(float(np.std(values, ddof=1))) if len(values) > 1 else number(nan)
        each = (number(table.get(case, nan)) for table in means.values())
        rows.append((case, number(overall[case]), disagreement, *each))
    head = ("case", "mean Dice", "disagreement", *means)
    return [Text(RULE), Table(f"First {len(rows)} of {len(cases)} test cases", head, tuple(rows))]


def _over(tables: list[Mapping[str, float]]) -> dict[str, float]:
    cases = dict.fromkeys(case for table in tables for case in table)
    return {case: mean_of([table.get(case, nan) for table in tables]) for case in cases}
