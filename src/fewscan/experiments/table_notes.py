"""What a reader of a study's tables must be told: protocol, checks, infinite distances, unequal budgets."""

from collections.abc import Callable, Sequence
from math import isnan

from fewscan.experiments.against_baseline import baseline_line, differences
from fewscan.experiments.averages import Key, Line
from fewscan.experiments.cells import Row
from fewscan.experiments.gap import TINY_GAP, GapShare
from fewscan.experiments.state import EVALUATIONS
from fewscan.experiments.study import Study
from fewscan.metrics.patients import count_patients

FEW_SEEDS = 3

Title = Callable[[Row], str]


def general_notes(study: Study, lines: Sequence[Line]) -> list[str]:
    """Return how the numbers were made."""
    results = [result for line in lines for result in line.results]
    if not results:
        return ["No cell is finished yet."]
    checkpoint = "last checkpoint" if study.checkpoint == "last" else "best checkpoint on the validation scans"
    notes = [
        f"{len(results[0].cell.split.test)} test cases, read after training only; {checkpoint}; mean ± standard "
        "deviation over seeds of the means over cases; LC: only the largest component of each class; annotated: "
        "labelled and validation scans; training in h:mm:ss, mean over seeds."
    ]
    split = results[0].cell.split
    units = count_patients(split.test, split.test_groups)
    if units < len(split.test):
        notes.append(f"Means, tests and intervals are over {units} patients, the scans of each averaged first.")
    if len(study.seeds) < FEW_SEEDS:
        notes.append(f"Fewer than {FEW_SEEDS} seeds: the spread between labelled subsets is hardly known.")
    return notes


def jensen_notes(lines: Sequence[Line], title: Title) -> list[str]:
    """Return whether mean Dice and mean Jaccard can belong together in every row; see `fewscan.metrics.jensen`."""
    checked = [(line, where, check) for line in lines for where, check in line.jensen.items()]
    bad = [
        f"IMPOSSIBLE MEANS: {_place(line.row, title)}, {label}, {scored}: mean Jaccard {check.mean_jaccard:.4f} is not "
        f"in [{check.lower:.4f}, {check.upper:.4f}] at mean Dice {check.mean_dice:.4f}"
        for line, (scored, label), check in checked
        if not check.possible
    ]
    if bad or not checked:
        return bad
    return [f"Jensen check: mean Jaccard lies between D/(2 - D) and D in all {len(checked)} pairs of means."]


def gap_notes(lines: Sequence[Line], shares: Sequence[GapShare], title: Title) -> list[str]:
    """Return what the share of the gap is, and where it means little."""
    if not shares:
        return []
    formula = "Gap recovered: (method on N - baseline on N) / (baseline on all - baseline on N), in mean Dice"
    alike = len({frozenset(result.cell.seed for result in line.results) for line in lines if line.results}) == 1
    notes = [f"{formula}." if alike else f"{formula}; on N over the seeds that method and baseline both have."]
    for share in shares:
        if share.tiny and not isnan(share.share):
            notes.append(
                f"{_place(share.row, title)}: the gap is {min(100 * share.gap, 0.99):.2f} points of Dice (below "
                f"{100 * TINY_GAP:.0f}), so the share means little."
            )
    return notes


def budget_notes(lines: Sequence[Line], baseline: str, title: Title) -> list[str]:
    """Return which methods were not trained with the baseline's budget, network and augmentation."""
    notes: dict[str, None] = {}
    for line in lines:
        other = baseline_line(line, lines, baseline)
        if line.row.method == baseline or other is None:
            continue
        if names := differences(line, other):
            note = (
                f"NOT THE SAME BUDGET: {title(line.row)} differs from {title(other.row)} in {', '.join(names)}, so the "
                "comparison is not about the method alone."
            )
            notes[note] = None
    return list(notes)


def infinity_notes(lines: Sequence[Line], label: str, unit: str, title: Title) -> list[str]:
    """Return how many distances are infinite, and the mean of the others as a footnote."""
    notes = []
    for line in lines:
        for scored in EVALUATIONS:
            average = line.averages.get(Key(scored, label, f"hd95_{unit}"))
            if average is not None and average.infinite:
                notes.append(
                    f"{_place(line.row, title)}, {scored}: infinite distance in {average.infinite} of {average.n} "
                    f"scores (one mask is empty); mean HD95 of the others alone, not comparable: "
                    f"{average.mean_finite:.2f}"
                )
    return notes


def _place(row: Row, title: Title) -> str:
    return f"{title(row)}, {row.labelled.title} labelled"
