"""``evaluation.json`` read back into what `fewscan.evaluate` returned."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from fewscan.data.store_format import content_digest
from fewscan.errors import DataError
from fewscan.metrics.evaluation import JSON_FILE, Evaluation, number_from_json, scores_from_json
from fewscan.metrics.jensen import JensenCheck
from fewscan.metrics.statistics import PairedTest
from fewscan.metrics.summary import ComparisonRow, SummaryRow
from fewscan.report.found.kinds import read_json

# of cases that either model saw in training; early versions wrote none, or only some
_CASE_LISTS = tuple(
    f"{whose}{what}" for whose in ("", "baseline_") for what in ("trained_on", "validated_on", "seen_unlabelled")
)


def read_evaluation(folder: Path) -> Evaluation | None:
    """Return the evaluation in a folder; None where there is none.

    Raises
    ------
    DataError
        If the file is not what `fewscan evaluate` writes.
    """
    path = folder / JSON_FILE
    data = read_json(path)
    if not data:
        return None
    try:
        return Evaluation(
            predictions=str(data["predictions"]),
            labels=str(data["labels"]),
            baseline=data["baseline"],
            largest_component=bool(data["largest_component"]),
            names={int(value): str(name) for value, name in data["names"].items()},
            scores=tuple(scores_from_json(row) for row in data["scores"]),
            summary=tuple(_row(SummaryRow, row) for row in data["summary"]),
            comparison=tuple(_comparison(row) for row in data["comparison"]),
            means={label: _row(JensenCheck, check) for label, check in data["means"].items()},
            missing=tuple(data["missing"]),
            unscored=tuple(data["unscored"]),
            not_test=tuple(data.get("not_test", ())),
            digests=dict(data.get("digests", {})),
            patients=dict(data.get("patients", {})),
            baseline_joined={int(value): int(output) for value, output in data.get("baseline_joined", {}).items()},
            **{name: tuple(data.get(name, ())) for name in _CASE_LISTS},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: not as `fewscan evaluate` writes it ({text})", mend="evaluate again") from None


def unlike_scored(evaluation: Evaluation, files: Mapping[str, Path]) -> tuple[str, ...]:
    """Return the cases whose label map is not the one that was scored, by its SHA-256; sorted.

    Parameters
    ----------
    evaluation : Evaluation
        The scores; those of an early version do not say of which files they are, and are believed.
    files : mapping of str to Path
        The label maps at hand. Where no scored case is among them, all are others; one that is gone is not judged.
    """
    if files and not files.keys() & set(evaluation.case_ids):
        return tuple(sorted(files))
    both = evaluation.digests.keys() & files.keys()
    return tuple(sorted(case for case in both if content_digest(files[case]) != evaluation.digests[case]))


def _comparison(row: Mapping[str, Any]) -> ComparisonRow:
    found: ComparisonRow = _row(ComparisonRow, {**row, "test": _row(PairedTest, row["test"])})
    return found


def _row(kind: type[Any], row: Mapping[str, Any]) -> Any:
    names = [field.name for field in fields(kind)]
    return kind(**{name: row[name] if name in ("label", "metric") else number_from_json(row[name]) for name in names})
