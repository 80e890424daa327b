"""The result of an evaluation, and the files it is written to.

JSON has neither infinity nor NaN: infinite values are the strings ``"inf"`` and ``"-inf"``, NaN (not applicable, such
as the Dice of an absent class) is null. In CSV files they are ``inf`` and ``n/a``.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import inf, isinf, isnan, nan
from pathlib import Path
from typing import Any

from fewscan.files import write_atomically
from fewscan.metrics.case_scores import METRICS, ClassScores
from fewscan.metrics.jensen import JensenCheck
from fewscan.metrics.patients import count_patients
from fewscan.metrics.summary import ComparisonRow, SummaryRow
from fewscan.metrics.text_table import text_report
from fewscan.metrics.trained_on import training_notes, training_warnings
from fewscan.notebook import html_result, html_table

SCORES_FILE, SUMMARY_FILE, COMPARISON_FILE = "scores.csv", "summary.csv", "comparison.csv"
JSON_FILE = "evaluation.json"
_BY_BASELINE = " by the baseline"
_NOT_IN_JSON = {None: nan, "inf": inf, "-inf": -inf}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of a folder of predictions.

    Attributes
    ----------
    predictions, labels, baseline : str
        What was compared; ``baseline`` is None without one.
    largest_component : bool
        Whether only the largest component of every class was scored.
    names : mapping of int to str
        Class names by label value.
    scores : tuple of ClassScores
        One row per case and class.
    summary : tuple of SummaryRow
        One row per class and metric, and the mean over classes.
    comparison : tuple of ComparisonRow
        The paired tests against the baseline; empty without one.
    means : mapping of str to JensenCheck
        Whether mean Dice and mean Jaccard of each class can belong together.
    missing : tuple of str
        Labelled cases that were left out because they have no prediction.
    unscored : tuple of str
        Predictions that were compared with no label.
    not_test : tuple of str
        Those of them whose case has a label, but is no test case of the data set.
    patients : mapping of str to str
        Patient of the cases, where the labels' data set names one; see `fewscan.metrics.summary`.
    digests : mapping of str to str
        SHA-256 of the file that was scored, by case; empty where it was not recorded.
    trained_on, validated_on, seen_unlabelled : tuple of str
        Scored cases that the model learned from, was validated on, or saw without their labels, as far as the
        predictions' record tells.
    baseline_trained_on, baseline_validated_on, baseline_seen_unlabelled : tuple of str
        The same of the baseline.
    baseline_joined : mapping of int to int
        Label values of the baseline that were scored as another, so that both have the same classes.
    """

    predictions: str
    labels: str
    baseline: str | None = None
    largest_component: bool = False
    names: Mapping[int, str]
    scores: tuple[ClassScores, ...]
    summary: tuple[SummaryRow, ...]
    comparison: tuple[ComparisonRow, ...] = ()
    means: Mapping[str, JensenCheck]
    missing: tuple[str, ...] = ()
    unscored: tuple[str, ...] = ()
    not_test: tuple[str, ...] = ()
    patients: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()
    validated_on: tuple[str, ...] = ()
    seen_unlabelled: tuple[str, ...] = ()
    baseline_trained_on: tuple[str, ...] = ()
    baseline_validated_on: tuple[str, ...] = ()
    baseline_seen_unlabelled: tuple[str, ...] = ()
    baseline_joined: Mapping[int, int] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps these scores from being those of new scans, in plain sentences; mostly nothing."""
        count, theirs = len(self.case_ids), (self.baseline_trained_on, self.baseline_validated_on)
        return (
            *training_warnings(count, trained_on=self.trained_on, validated_on=self.validated_on),
            *training_warnings(count, trained_on=theirs[0], validated_on=theirs[1], by=_BY_BASELINE),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a reader should know of how these scores came about, in plain sentences; mostly nothing."""
        count = len(self.case_ids)
        joined = ", ".join(f"{value} as {output}" for value, output in sorted(self.baseline_joined.items()))
        return (
            *training_notes(count, seen_unlabelled=self.seen_unlabelled),
            *training_notes(count, seen_unlabelled=self.baseline_seen_unlabelled, by=_BY_BASELINE),
            *((f"label values of the baseline scored by the classes of the predictions: {joined}",) if joined else ()),
        )

    @property
    def case_ids(self) -> tuple[str, ...]:
        """The cases scored, in order."""
        return tuple(dict.fromkeys(row.case_id for row in self.scores))

    def row(self, label: str, metric: str) -> SummaryRow:
        """Return the summary of one class (by name, or `ALL_CLASSES`) and metric; KeyError if there is none."""
        for row in self.summary:
            if (row.label, row.metric) == (label, metric):
                return row
        raise KeyError((label, metric))

    def table(self, *, all_metrics: bool = False) -> str:
        """Return the summary as text for a terminal, and what must be known of it.

        Dice, HD95 and ASD in mm, unless ``all_metrics`` are wanted; the files hold all of them.
        """
        text = text_report(
            self.summary,
            self.comparison,
            self.means,
            cases=len(self.case_ids),
            largest_component=self.largest_component,
            missing=self.missing,
            unscored=self.unscored,
            not_test=self.not_test,
            patients=count_patients(self.case_ids, self.patients),
            labels=self.labels,
            all_metrics=all_metrics,
        )
        lines = [f"WARNING: {warning}" for warning in self.warnings] + [f"note: {note}" for note in self.notes]
        return "\n\n".join([text, *lines])

    def _repr_html_(self) -> str:
        shown = {"Dice": "dice", "Jaccard": "jaccard", "HD95 mm": "hd95_mm", "ASD mm": "asd_mm"}
        rows = []
        for label in dict.fromkeys(row.label for row in self.summary):
            dice, *others = (self.row(label, metric) for metric in shown.values())
            interval = "n/a" if isnan(dice.low) else f"{dice.low:.3f} to {dice.high:.3f}"
            numbers = [_shown(row.mean, 3 if row.metric == "jaccard" else 2) for row in others]
            rows.append((label, str(dice.n), _shown(dice.mean, 3), interval, *numbers))
        head = ("class", "n", "Dice", "95 % interval", *list(shown)[1:])
        notes = [f"WARNING: {warning}" for warning in self.warnings]
        notes += self.notes
        notes += [f"no prediction of {len(self.missing)} labelled cases"] if self.missing else []
        if self.comparison:
            notes.append("The paired tests against the baseline: table(), or comparison.csv after write().")
        places = {"predictions": self.predictions, "labels": self.labels}
        places |= {} if self.baseline is None else {"baseline": self.baseline}
        patients = count_patients(self.case_ids, self.patients)
        over = f" over {patients} patients" if patients < len(self.case_ids) else ""
        title = f"Scores of {len(self.case_ids)} cases, means{over}"
        return html_result(title, html_table(head, rows), notes=notes, places=places)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file; infinity and NaN encoded as the module says."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        data["cases"], data["warnings"], data["notes"] = len(self.case_ids), list(self.warnings), list(self.notes)
        data["names"] = {str(value): name for value, name in self.names.items()}
        data["means"] = {label: asdict(check) for label, check in self.means.items()}
        for name in ("scores", "summary", "comparison"):
            data[name] = [asdict(row) for row in data[name]]
        plain: dict[str, Any] = plain_json(data)
        return plain

    def write(self, folder: Path) -> list[Path]:
        """Write per-case scores, summary, comparison (with a baseline) and all of it as JSON; return the files.

        The comparison of an earlier evaluation without one now is removed.
        """
        files = {SCORES_FILE: csv_text(self._score_lines()), SUMMARY_FILE: csv_text(_lines(self.summary))}
        if self.comparison:
            files[COMPARISON_FILE] = csv_text(_comparison_lines(self.comparison))
        for path in self.outdated(folder):
            path.unlink()
        files[JSON_FILE] = json.dumps(self.to_json(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        for name, text in files.items():
            write_atomically(folder / name, text.encode())
        return [folder / name for name in files]

    def outdated(self, folder: Path) -> list[Path]:
        """Return what `write` removes: the comparison of an earlier evaluation, which is not of these scores."""
        path = folder / COMPARISON_FILE
        return [path] if not self.comparison and (folder / JSON_FILE).is_file() and path.is_file() else []

    def _score_lines(self) -> list[list[Any]]:
        head = ["case", "class", "value", "prediction_voxels", "truth_voxels", *METRICS]
        lines: list[list[Any]] = [head]
        for row in self.scores:
            line = [row.case_id, self.names[row.value], row.value, row.prediction_voxels, row.truth_voxels]
            lines.append([*line, *(row.scores[metric] for metric in METRICS)])
        return lines


def _shown(value: float, decimals: int) -> str:
    return "n/a" if isnan(value) else f"{value:.{decimals}f}"


def _lines(rows: Sequence[SummaryRow]) -> list[list[Any]]:
    names = [item.name for item in fields(SummaryRow)]
    return [["class", *names[1:]], *([getattr(row, name) for name in names] for row in rows)]


def _comparison_lines(rows: Sequence[ComparisonRow]) -> list[list[Any]]:
    head = ["class", "metric", "n", "mean", "baseline_mean", "mean_difference", "median_difference"]
    lines: list[list[Any]] = [[*head, "improved", "worse", "rank_biserial", "p", "p_holm"]]
    for row in rows:
        test = row.test
        line = [row.label, row.metric, test.n, row.mean, row.baseline_mean]
        line += [test.mean_difference, test.median_difference, row.improved, row.worse]
        lines.append([*line, test.rank_biserial, test.p, row.p_holm])
    return lines


def csv_text(lines: Iterable[Sequence[Any]]) -> str:
    """Return lines of cells as CSV; NaN becomes ``n/a``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for line in lines:
        writer.writerow(["n/a" if isinstance(cell, float) and isnan(cell) else cell for cell in line])
    return text.getvalue()


def number_from_json(value: Any) -> Any:
    """Return a number that `plain_json` wrote, with infinity and NaN as numbers again."""
    return _NOT_IN_JSON[value] if value is None or isinstance(value, str) else value


def scores_from_json(row: Mapping[str, Any]) -> ClassScores:
    """Return one of the ``scores`` of an `Evaluation` that `Evaluation.to_json` wrote."""
    scores = {str(metric): float(number_from_json(value)) for metric, value in row["scores"].items()}
    sizes = int(row["prediction_voxels"]), int(row["truth_voxels"])
    return ClassScores(str(row["case_id"]), int(row["value"]), *sizes, scores)


def plain_json(value: Any) -> Any:
    """Return a tree of mappings and sequences with infinity and NaN encoded as the module says."""
    if isinstance(value, Mapping):
        return {key: plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, float):
        return None if isnan(value) else str(value) if isinf(value) else value
    return value
