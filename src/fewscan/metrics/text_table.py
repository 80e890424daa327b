"""The summary of an evaluation as plain text, for a terminal: one line per class, notes below."""

from collections.abc import Iterable, Mapping, Sequence
from math import isinf, isnan

from fewscan.metrics.jensen import JensenCheck
from fewscan.metrics.summary import ComparisonRow, SummaryRow

# heading, metric and decimals of each column after Dice
_MAIN_COLUMNS = (("HD95 mm", "hd95_mm", 2), ("ASD mm", "asd_mm", 2))
_ALL_COLUMNS = (
    ("Jaccard", "jaccard", 3),
    ("RAVD", "ravd", 3),
    ("HD mm", "hd_mm", 2),
    *_MAIN_COLUMNS,
    ("HD95 voxels", "hd95_vox", 2),
    ("ASD voxels", "asd_vox", 2),
)
_MAIN_METRICS = ("dice", *(metric for _, metric, _ in _MAIN_COLUMNS))


def text_report(
    summary: Sequence[SummaryRow],
    comparison: Sequence[ComparisonRow],
    means: Mapping[str, JensenCheck],
    *,
    cases: int,
    largest_component: bool,
    missing: Sequence[str],
    unscored: Sequence[str],
    not_test: Sequence[str] = (),
    patients: int,
    labels: str = "the data set",
    all_metrics: bool = False,
) -> str:
    """Return headline, table of means (± standard deviation), notes, and the comparison with a baseline.

    Dice, HD95 and ASD in mm, unless ``all_metrics`` are wanted. ``not_test`` are those of the ``unscored`` whose case
    has a label, but is no test case of ``labels``; ``patients`` is how many the cases are of, and over how many the
    numbers are then averaged.
    """
    what = "largest component of each class" if largest_component else "predictions as they are"
    over = f" over {patients} patients, each averaged first" if patients < cases else ""
    lines = [f"{cases} {'case' if cases == 1 else 'cases'}, {what}; mean ± standard deviation{over}", ""]
    lines += _class_table(summary, _ALL_COLUMNS if all_metrics else _MAIN_COLUMNS)
    notes = _notes(summary, means, missing, [case for case in unscored if case not in not_test])
    if not_test:
        notes.append(f"not test cases of {labels}, not scored: {listed(not_test)}")
    lines += ["", *notes] if notes else []
    if comparison:
        shown = [row for row in comparison if all_metrics or row.metric in _MAIN_METRICS]
        family = (
            f"all {len(comparison)} tests, of which {len(shown)} are shown"
            if len(shown) < len(comparison)
            else "all rows"
        )
        lines += ["", f"Against the baseline (Wilcoxon signed-rank{over}, Holm over {family}):", *_comparison(shown)]
    return "\n".join(lines)


def listed(ids: Sequence[str], *, limit: int = 10) -> str:
    """Return the first ``limit`` ids, and how many more there are."""
    more = len(ids) - limit
    return ", ".join(ids[:limit]) + (f" and {more} more" if more > 0 else "")


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with aligned columns, the first column to the left and the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _class_table(summary: Sequence[SummaryRow], shown: Sequence[tuple[str, str, int]]) -> list[str]:
    rows = [["class", "n", "Dice", "95 % interval", *(heading for heading, _, _ in shown)]]
    found = {(row.label, row.metric): row for row in summary}
    for label in dict.fromkeys(row.label for row in summary):
        dice = found[label, "dice"]
        interval = "n/a" if isnan(dice.low) else f"{dice.low:.3f} to {dice.high:.3f}"
        cells = [_spread(found[label, metric], decimals) for _, metric, decimals in shown]
        rows.append([label, str(dice.n), _spread(dice, 3), interval, *cells])
    return align(rows)


def _notes(
    summary: Sequence[SummaryRow], means: Mapping[str, JensenCheck], missing: Sequence[str], unscored: Sequence[str]
) -> list[str]:
    notes = []
    found = {(row.label, row.metric): row for row in summary}
    for label in dict.fromkeys(row.label for row in summary):
        row = found[label, "hd95_mm"]
        if row.absent:
            notes.append(f"{label}: in {row.absent} cases neither truth nor prediction has it; not averaged")
        if row.infinite:
            rest = ", ".join(
                f"{heading} {_number(found[label, metric].mean_finite, 2)} mm"
                for heading, metric in (("HD", "hd_mm"), ("HD95", "hd95_mm"), ("ASD", "asd_mm"))
            )
            notes.append(
                f"{label}: infinite distance in {row.infinite} of {row.n} cases (one mask is empty); "
                f"median HD95 of all {_number(row.median, 2)} mm; mean of the others alone, not comparable: {rest}"
            )
    notes += [
        f"{label}: IMPOSSIBLE means, Jaccard {check.mean_jaccard:.4f} is outside [{check.lower:.4f}, {check.upper:.4f}]"
        for label, check in means.items()
        if not check.possible
    ]
    if missing:
        notes.append(f"NOT SCORED, no prediction: {listed(missing)}")
    if unscored:
        notes.append(f"predictions without a label: {listed(unscored)}")
    return notes


def _comparison(rows: Iterable[ComparisonRow]) -> list[str]:
    table = [["class", "metric", "mean", "baseline", "difference", "better/worse/n", "p", "p (Holm)"]]
    for row in rows:
        test = row.test
        cells = [row.label, row.metric, _number(row.mean, 3), _number(row.baseline_mean, 3)]
        cells += [_number(test.mean_difference, 3, sign=True), f"{row.improved}/{row.worse}/{test.n}"]
        table.append([*cells, _p_value(test.p), _p_value(row.p_holm)])
    return align(table)


def _spread(row: SummaryRow, decimals: int) -> str:
    mean = _number(row.mean, decimals)
    return mean if isnan(row.standard_deviation) else f"{mean} ± {row.standard_deviation:.{decimals}f}"


def _number(value: float, decimals: int, *, sign: bool = False) -> str:
    if isnan(value):
        return "n/a"
    return str(value) if isinf(value) else f"{value:{'+' if sign else ''}.{decimals}f}"


def _p_value(p: float) -> str:
    return "n/a" if isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
