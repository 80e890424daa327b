"""Scores against true labels: tables with intervals and tests, and how the cases are spread."""

from collections.abc import Mapping

from fewscan.experiments.tables import Table
from fewscan.metrics.case_scores import HIGHER_IS_BETTER
from fewscan.metrics.evaluation import Evaluation
from fewscan.metrics.patients import count_patients
from fewscan.metrics.summary import SummaryRow, columns
from fewscan.metrics.text_table import listed
from fewscan.report.charts.distributions import box_chart
from fewscan.report.charts.paired import paired_chart
from fewscan.report.charts.volumes import volume_chart
from fewscan.report.document.content import Block, Fold, Gallery, Note, Picture, Text
from fewscan.report.document.words import count, interval, number, p_value, spread

SHOWN = {
    "dice": ("Dice", 3), "jaccard": ("Jaccard", 3), "ravd": ("RAVD", 3), "hd_mm": ("HD mm", 2),
    "hd95_mm": ("HD95 mm", 2), "asd_mm": ("ASD mm", 2), "hd95_vox": ("HD95 vox", 2), "asd_vox": ("ASD vox", 2),
}  # fmt: skip
BOXES = {"dice": "Dice", "hd95_mm": "95 % Hausdorff distance, mm", "asd_mm": "average surface distance, mm"}


def score_blocks(evaluation: Evaluation) -> list[Block]:
    """Return the tables of an evaluation, with everything a reader must be told about them."""
    blocks: list[Block] = [Note(f"{warning}.", "warning") for warning in evaluation.warnings]
    blocks.append(summary_table(evaluation))
    if evaluation.missing:
        text = f"NOT SCORED, because they have no prediction: {count(len(evaluation.missing), 'case')} "
        blocks.append(Note(f"{text}({listed(evaluation.missing)}). The means are of the others.", "warning"))
    blocks += [
        Note(
            f"IMPOSSIBLE MEANS of {label}: Jaccard {check.mean_jaccard:.4f} is outside [{check.lower:.4f}, "
            f"{check.upper:.4f}] at this Dice. Do not believe these numbers.",
            "warning",
        )
        for label, check in evaluation.means.items()
        if not check.possible
    ]
    if evaluation.comparison:
        blocks.append(comparison_table(evaluation))
    return blocks


def summary_table(evaluation: Evaluation) -> Table:
    """Return mean ± standard deviation of every class and metric, and the interval of Dice."""
    found = {(row.label, row.metric): row for row in evaluation.summary}
    rows = []
    for label in dict.fromkeys(row.label for row in evaluation.summary):
        dice = found[label, "dice"]
        cells = [_spread(found[label, metric], decimals) for metric, (_, decimals) in SHOWN.items() if metric != "dice"]
        rows.append((label, str(dice.n), _spread(dice, 3), interval(dice.low, dice.high), *cells))
    head = ("class", "n", "Dice", "95 % interval", *(title for metric, (title, _) in SHOWN.items() if metric != "dice"))
    return Table("", head, tuple(rows), tuple(_notes(evaluation, found)))


def _notes(evaluation: Evaluation, found: Mapping[tuple[str, str], SummaryRow]) -> list[str]:
    what = "the largest component of each class" if evaluation.largest_component else "the predictions as they are"
    patients, over = count_patients(evaluation.case_ids, evaluation.patients), count(len(evaluation.case_ids), "case")
    if patients < len(evaluation.case_ids):
        over = f"{count(patients, 'patient')} ({over}, averaged for each patient first)"
    notes = [
        f"Mean ± standard deviation over {over}, of {what}; bootstrap interval of "
        "the mean Dice. RAVD: |predicted volume - true volume| / true volume. Distances: smaller is better."
    ]
    notes += [f"{note[:1].upper()}{note[1:]}." for note in evaluation.notes]
    for label in dict.fromkeys(label for label, _ in found):
        row = found[label, "hd95_mm"]
        if row.absent:
            notes.append(f"{label}: in {count(row.absent, 'case')} neither truth nor prediction has it; not averaged.")
        if row.infinite:
            notes.append(
                f"{label}: infinite distance in {row.infinite} of {row.n} cases, where one mask is empty; "
                f"mean HD95 of the others alone, not comparable: {number(row.mean_finite, 2)} mm."
            )
    if evaluation.means and all(check.possible for check in evaluation.means.values()):
        notes.append("Arithmetic check passed: every mean Jaccard is possible at its mean Dice (D/(2 - D) to D).")
    if unlabelled := [case_id for case_id in evaluation.unscored if case_id not in evaluation.not_test]:
        notes.append(f"Predictions without a label, not scored: {listed(unlabelled)}.")
    if evaluation.not_test:
        notes.append(f"Predictions of cases that are no test cases, not scored: {listed(evaluation.not_test)}.")
    return notes


def comparison_table(evaluation: Evaluation) -> Table:
    """Return the paired tests against the baseline."""
    rows = tuple(
        (
            row.label, SHOWN.get(row.metric, (row.metric, 3))[0], number(row.mean), number(row.baseline_mean),
            number(row.test.mean_difference, 3, sign=True), f"{row.improved}/{row.worse}/{row.test.n}",
            number(row.test.rank_biserial, 2, sign=True), p_value(row.test.p), p_value(row.p_holm),
        )
        for row in evaluation.comparison
    )  # fmt: skip
    head = ("class", "metric", "mean", "baseline", "difference", "better/worse/n", "effect", "p", "p (Holm)")
    notes = (
        "Wilcoxon signed-rank test on the same cases, Holm's correction over all rows; effect: rank-biserial "
        "correlation.",
        f"Baseline: {evaluation.baseline}",
    )
    return Table("Against the baseline", head, rows, notes, text_columns=2)


def spread_blocks(evaluation: Evaluation, baseline: Evaluation | None, *, voxel: float, unit: str) -> list[Block]:
    """Return boxes of every class, predicted against true volume, and pairs with the baseline where there is one.

    Parameters
    ----------
    evaluation : Evaluation
        Of the predictions.
    baseline : Evaluation or None
        Of the same cases by the baseline.
    voxel, unit : float, str
        Size of a voxel in a unit of volume (area in 2-D).
    """
    table = {(column.label, column.metric): column.by_case for column in columns(evaluation.scores, evaluation.names)}
    labels = list(dict.fromkeys(label for label, _ in table))
    pictures: list[Picture] = [
        box_chart(
            title,
            {label: table[label, metric] for label in labels},
            unit=title,
            worst_is_low=metric in HIGHER_IS_BETTER,
        )
        for metric, title in BOXES.items()
    ]
    volumes = {
        evaluation.names[value]: {
            row.case_id: (row.truth_voxels * voxel, row.prediction_voxels * voxel)
            for row in evaluation.scores
            if row.value == value
        }
        for value in evaluation.names
    }
    pictures.append(volume_chart(volumes, unit=unit))
    if baseline is not None:
        other = {(c.label, c.metric): c.by_case for c in columns(baseline.scores, baseline.names)}
        pictures += [_paired(title, metric, table, other, labels[-1]) for metric, title in list(BOXES.items())[:2]]
    caption = "Boxes: quartiles and median; whiskers: farthest case within 1.5 box heights; every dot is a case."
    return [Text(caption), Gallery(tuple(pictures))]


def _paired(
    title: str,
    metric: str,
    ours: Mapping[tuple[str, str], Mapping[str, float]],
    theirs: Mapping[tuple[str, str], Mapping[str, float]],
    label: str,
) -> Picture:
    first, second = theirs.get((label, metric), {}), ours[label, metric]
    pairs = {case: (first[case], value) for case, value in second.items() if case in first}
    return paired_chart(
        f"{title}: {label}", pairs, names=("baseline", "these"), unit=title, higher_is_better=metric in HIGHER_IS_BETTER
    )


def case_table(evaluation: Evaluation) -> list[Block]:
    """Return the scores of every case, behind a line that opens them."""
    shown = ("dice", "jaccard", "ravd", "hd95_mm", "asd_mm")
    rows = tuple(
        (
            row.case_id, evaluation.names[row.value],
            *(number(row.scores[metric], SHOWN[metric][1]) for metric in shown),
            str(row.truth_voxels), str(row.prediction_voxels),
        )
        for row in evaluation.scores
    )  # fmt: skip
    head = ("case", "class", *(SHOWN[metric][0] for metric in shown), "true voxels", "predicted")
    return [Fold(f"Scores of all {count(len(evaluation.case_ids), 'case')}", (Table("", head, rows, text_columns=2),))]


def _spread(row: SummaryRow, decimals: int) -> str:
    return spread(row.mean, row.standard_deviation, decimals)
