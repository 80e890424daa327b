"""What is written about registrations: ``registration.json``, ``pairs.csv``, and a few lines for the terminal.

Infinite numbers and those that do not apply are encoded as in `fewscan.metrics.evaluation`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isinf, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np

from fewscan.files import write_atomically
from fewscan.metrics.evaluation import csv_text, plain_json
from fewscan.metrics.text_table import align
from fewscan.notebook import html_result, html_table
from fewscan.registration.pairs import ScanPair
from fewscan.registration.quality import PairReport, mean_dice

RECORD_NAME = "registration.json"
TABLE_NAME = "pairs.csv"

_COLUMNS = (
    "pair", "moving", "fixed", "similarity_before", "similarity_after", "inside", "dice_before", "dice_after",
    "hd95_mm_before", "hd95_mm_after", "fold_fraction", "sd_log_jacobian", "smallest_mm", "largest_mm", "seconds",
    "flags",
)  # fmt: skip


@dataclass(frozen=True)
class Registration:
    """The registrations of one call.

    Attributes
    ----------
    out : Path
        Folder of the files.
    record : dict
        What ``registration.json`` holds.
    reports : dict of str to PairReport
        By pair, in the order of the work.
    """

    out: Path
    record: dict[str, Any]
    reports: Mapping[str, PairReport]

    @property
    def flagged(self) -> dict[str, tuple[str, ...]]:
        """What a person should look at, by pair."""
        return {pair: report.flags for pair, report in self.reports.items() if report.flags}

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with the folder."""
        return {"out": str(self.out), **plain_json(self.record)}

    def table(self) -> str:
        """Return means over the pairs before and after, and the flags, for a terminal."""
        lines = [f"{self._count()} registered, in {self.out}"]
        lines += [f"  {line}" for line in align(self._means())]
        return "\n".join([*lines, f"  {self._folds()}", *self._warnings()])

    def _repr_html_(self) -> str:
        head, *rows = self._means()
        places = {"folder": self.out, "every pair": self.out / TABLE_NAME, "settings": self.out / RECORD_NAME}
        notes = [self._folds(), *self._warnings()]
        return html_result(f"{self._count()} registered", html_table(head, rows), notes=notes, places=places)

    def _count(self) -> str:
        return f"{len(self.reports)} {'pair' if len(self.reports) == 1 else 'pairs'}"

    def _means(self) -> list[list[str]]:
        reports = list(self.reports.values())
        rows = [["mean", "before", "after"]]
        rows.append(["similarity (GNCC)", *(_both(reports, lambda r, w: getattr(r, f"similarity_{w}"), decimals=3))])
        if any(report.labels for report in reports):
            rows.append(["Dice", *_both(reports, lambda r, w: mean_dice(r.labels)[w], decimals=3)])
            rows.append(["HD95 mm", *_both(reports, _mean_hd95, decimals=2)])
        return rows

    def _folds(self) -> str:
        worst = max((report.regularity.fold_fraction for report in self.reports.values()), default=nan)
        return f"folded voxels: {worst:.3%} at most"

    def _warnings(self) -> list[str]:
        return [f"warning: {pair}: {text}" for pair, texts in self.flagged.items() for text in texts]


def pair_record(
    pair: ScanPair, report: PairReport, *, files: Sequence[Path], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return what ``registration.json`` says about one pair."""
    return {
        "id": pair.id,
        "moving": {"id": pair.moving.id, "images": [str(path) for path in pair.moving.images]},
        "fixed": {"id": pair.fixed.id, "images": [str(path) for path in pair.fixed.images]},
        "files": [path.name for path in files],
        "similarity": {"before": report.similarity_before, "after": report.similarity_after},
        "inside": report.inside,
        **asdict(report.regularity),
        "labels": [asdict(row) for row in report.labels],
        "mean_dice": mean_dice(report.labels) if report.labels else None,
        "flags": list(report.flags),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write ``registration.json`` and ``pairs.csv``."""
    text = json.dumps(plain_json(record), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(out / RECORD_NAME, text.encode())
    write_atomically(out / TABLE_NAME, csv_text(_table(record["pairs"])).encode())


def _table(pairs: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Return the lines of ``pairs.csv``; after the means stand columns for the Dice of every class that occurs."""
    values = sorted({row["value"] for pair in pairs for row in pair["labels"]})
    lines: list[list[Any]] = [
        [*_COLUMNS, *(f"dice_{when}_{value}" for value in values for when in ("before", "after"))]
    ]
    for pair in pairs:
        rows = {row["value"]: row for row in pair["labels"]}
        dice = pair["mean_dice"] or {"before": nan, "after": nan}
        distances = [_mean([row[f"hd95_mm_{when}"] for row in rows.values()]) for when in ("before", "after")]
        line = [pair["id"], pair["moving"]["id"], pair["fixed"]["id"], *pair["similarity"].values(), pair["inside"]]
        line += [dice["before"], dice["after"], *distances]
        line += [pair[name] for name in ("fold_fraction", "sd_log_jacobian", "smallest_mm", "largest_mm")]
        line += [round(sum(pair["seconds"].values()), 3), "; ".join(pair["flags"])]
        for value in values:
            line += [rows[value][f"dice_{when}"] if value in rows else nan for when in ("before", "after")]
        lines.append(line)
    return lines


def _both(reports: Sequence[PairReport], value: Callable[[PairReport, str], float], *, decimals: int) -> list[str]:
    means = [_mean([value(report, when) for report in reports]) for when in ("before", "after")]
    return ["n/a" if isnan(v) else f"{v:.{decimals}f}" for v in means]


def _mean_hd95(report: PairReport, when: str) -> float:
    return _mean([getattr(row, f"hd95_mm_{when}") for row in report.labels])


def _mean(values: Sequence[float]) -> float:
    """Return the mean of what applies; infinite if anything is."""
    held = [v for v in values if not isnan(v)]
    if not held:
        return nan
    return max(held) if any(isinf(v) for v in held) else float(np.mean(held))
