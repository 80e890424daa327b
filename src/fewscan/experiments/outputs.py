"""Write the tables and the picture of a study from the cells that are finished."""

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import chain
from math import nan
from pathlib import Path

from fewscan.experiments.against_baseline import Comparison, compare_with_baselines
from fewscan.experiments.averages import Key, Line, main_label, make_lines
from fewscan.experiments.cells import Cell
from fewscan.experiments.collect import Result, csv_number, tidy_csv
from fewscan.experiments.curve import Curve, save_curve
from fewscan.experiments.gap import gap_shares
from fewscan.experiments.state import AS_PREDICTED
from fewscan.experiments.study import Study
from fewscan.experiments.study_tables import StudyTables
from fewscan.experiments.tables import Table, to_latex, to_markdown, to_text
from fewscan.files import write_atomically
from fewscan.notebook import html_result, html_table

MARKDOWN, LATEX, CURVE = "tables.md", "tables.tex", "dice.png"
SCORES, SUMMARY, COMPARISON = "scores.csv", "summary.csv", "comparison.csv"

TEXT_WIDTH = 120


class Outputs:
    """Everything that follows from the finished cells of a study.

    Parameters
    ----------
    study : Study
        What is compared.
    cells : sequence of Cell
        Every training it consists of.
    results : sequence of Result
        Of those that are finished.
    failed : mapping of str to str
        Why cells failed, by name.

    Attributes
    ----------
    undrawn : dict of str to str
        Why pictures of `fewscan.experiments.study_pictures` could not be drawn, by file name.
    folder : Path or None
        Where the tables were written.
    """

    def __init__(
        self, study: Study, cells: Sequence[Cell], results: Sequence[Result], *, failed: dict[str, str] | None = None
    ) -> None:
        self.study, self.results, self.failed = study, results, failed or {}
        self.undrawn: dict[str, str] = {}
        self.folder: Path | None = None
        self.planned = len(cells)
        self.lines = make_lines(cells, results)
        self.label = main_label(self.lines)
        self.dice = Key(AS_PREDICTED, self.label, "dice")
        self.further = compare_with_baselines(self.lines, [study.baseline, *study.also_against])
        self.comparisons = self.further.pop(study.baseline)
        self.shares = gap_shares(self.lines, study.baseline, self.dice)
        self.maker = StudyTables(study, self.lines, label=self.label)

    @property
    def tables(self) -> list[Table]:
        """The tables, the most important first."""
        return self.maker.all(self.comparisons, self.shares, further=self.further)

    def markdown(self) -> str:
        """Return all tables as one Markdown document."""
        parts = [f"# {self.study.name}\n", *self._standing(), *(to_markdown(table) for table in self.tables)]
        return "\n".join(parts)

    def text(self) -> str:
        """Return Dice and cost as text for a terminal; the other tables are in the files."""
        tables = (self.maker.dice(self.comparisons, self.shares), self.maker.cost())
        parts = [*(line.replace("**", "").rstrip() for line in self._standing())]
        parts += [to_text(table, width=TEXT_WIDTH) for table in tables]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        """Show overlap, cost and the comparison with the baseline; the other tables are in the files."""
        shown = self.tables[:2]
        tables = [html_table(t.head, t.rows, text_columns=t.text_columns, caption=t.title) for t in shown if t.rows]
        notes = [*self._standing(), *(note for table in shown if table.rows for note in table.notes)]
        names = {"all tables": MARKDOWN, "every score": SCORES, "Dice against labelled scans": CURVE}
        places = {} if self.folder is None else {what: self.folder / name for what, name in names.items()}
        title = f"{self.study.name}: {len(self.results)} of {self.planned} trainings finished"
        return html_result(title, *tables, notes=notes, places=places)

    def write(self, folder: Path) -> list[Path]:
        """Write all files; return them."""
        self.folder = folder
        files = {
            MARKDOWN: self.markdown(),
            LATEX: "\n".join([*(f"% {line.strip()}" for line in self._standing()), *map(to_latex, self.tables)]),
            SCORES: tidy_csv(self.results),
            SUMMARY: summary_csv(self.lines, self.study.baseline),
            COMPARISON: comparison_csv([*self.comparisons, *chain.from_iterable(self.further.values())]),
        }
        for name, text in files.items():
            write_atomically(folder / name, text.encode())
        self._draw(folder / CURVE)
        return [folder / name for name in (*files, CURVE)]

    def _standing(self) -> list[str]:
        """Say what is missing from an unfinished study."""
        done = len(self.results)
        if done == self.planned:
            return []
        failed = f", {len(self.failed)} failed" if self.failed else ""
        lines = [
            f"**NOT FINISHED: {done} of {self.planned} cells{failed}.** Rows with missing seeds are provisional.\n"
        ]
        return lines + [f"- failed: {name}: {' '.join(text.split())}\n" for name, text in self.failed.items()]

    def _draw(self, path: Path) -> None:
        shown = [line for line in self.lines if self.dice in line.averages]
        full = [line for line in shown if line.row.labelled.is_all]
        bound = [line for line in full if line.row.method == self.study.baseline]
        # the upper bound is a line of its own, unless all methods were trained with all labels
        if len(full) == len(bound):
            shown = [line for line in shown if not line.row.labelled.is_all]
        scores = list(bound[0].averages[self.dice].by_seed.values()) if bound else []
        save_curve(
            path,
            [
                Curve(title, points, is_baseline=method == self.study.baseline)
                for (title, method), points in self._points(shown).items()
            ],
            title=f"{self.study.name}: {self.label}",
            upper_bound=scores,
            upper_title=f"{self.maker.title(bound[0].row)} on all {bound[0].row.labelled.count}" if bound else "",
        )

    def _points(self, lines: Iterable[Line]) -> dict[tuple[str, str], list[tuple[int, list[float]]]]:
        points: dict[tuple[str, str], list[tuple[int, list[float]]]] = {}
        for line in lines:
            key = (self.maker.title(line.row), line.row.method)
            scores = list(line.averages[self.dice].by_seed.values())
            points.setdefault(key, []).append((line.row.labelled.count, scores))
        return points


def summary_csv(lines: Sequence[Line], baseline: str) -> str:
    """Return every mean and spread, one line per row, what was scored, class and metric; overlap as fractions."""
    keys = {key for line in lines for key in line.averages if key.metric == "dice" and key.scored == AS_PREDICTED}
    share_of = {(key, share.row): share.share for key in keys for share in gap_shares(lines, baseline, key)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["method", "preset", "labelled", "annotated_min", "annotated_max", "seeds", "seeds_planned", "scored"]
    head += ["class", "metric", "mean", "sd_over_seeds", "scores", "infinite", "mean_of_finite"]
    writer.writerow([*head, "gap_recovered", "training_seconds", "peak_memory_mib"])
    for line in lines:
        row = line.row
        start = [row.method, row.preset, row.labelled.count, *line.annotated, len(line.results), line.planned]
        cost = [line.training_seconds, line.peak_memory_mib]
        for key, average in line.averages.items():
            share = share_of.get((key, row), nan)
            numbers = [average.mean, average.standard_deviation, average.n, average.infinite, average.mean_finite]
            values = [csv_number(value) for value in (*numbers, share, *cost)]
            writer.writerow([*start, key.scored, key.label, key.metric, *values])
    return text.getvalue()


def comparison_csv(comparisons: Iterable[Comparison]) -> str:
    """Return every paired test, one line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["method", "preset", "baseline", "baseline_preset", "labelled", "scored", "class", "metric", "seeds"]
    head += [
        "cases",
        "mean",
        "baseline_mean",
        "mean_difference",
        "by_seed",
        "low",
        "high",
        "median_difference",
        "better",
    ]
    writer.writerow([*head, "worse", "rank_biserial", "p", "p_holm"])
    for item in comparisons:
        row, other, key, test = item.row, item.baseline, item.key, item.test
        start = [row.method, row.preset, other.method, other.preset, row.labelled.count]
        start += [key.scored, key.label, key.metric, len(item.seeds), test.n]
        numbers = [csv_number(value) for value in (item.mean, item.baseline_mean, test.mean_difference)]
        numbers.append(" ".join(str(csv_number(value)) for value in item.by_seed))
        more = [item.low, item.high, test.median_difference, item.better, item.worse, test.rank_biserial, test.p]
        writer.writerow([*start, *numbers, *(csv_number(value) for value in (*more, item.p_holm))])
    return text.getvalue()
