"""``evaluation.json`` read back into what `fewscan.evaluate` returned."""

from collections.abc import Mapping
from dataclasses import fields
from math import inf, nan
from pathlib import Path
from typing import Any

from fewscan.errors import DataError
from fewscan.metrics.case_scores import ClassScores
from fewscan.metrics.evaluation import JSON_FILE, Evaluation
from fewscan.metrics.jensen import JensenCheck
from fewscan.metrics.statistics import PairedTest
from fewscan.metrics.summary import ComparisonRow, SummaryRow
from fewscan.report.kinds import read_json

_NOT_IN_JSON = {None: nan, "inf": inf, "-inf": -inf}


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
            scores=tuple(_class_scores(row) for row in data["scores"]),
            summary=tuple(_row(SummaryRow, row) for row in data["summary"]),
            comparison=tuple(_comparison(row) for row in data["comparison"]),
            means={label: _row(JensenCheck, check) for label, check in data["means"].items()},
            missing=tuple(data["missing"]),
            unscored=tuple(data["unscored"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: not as `fewscan evaluate` writes it ({text})", mend="evaluate again") from None


def _class_scores(row: Mapping[str, Any]) -> ClassScores:
    scores = {str(metric): _number(value) for metric, value in row["scores"].items()}
    sizes = int(row["prediction_voxels"]), int(row["truth_voxels"])
    return ClassScores(str(row["case_id"]), int(row["value"]), *sizes, scores)


def _comparison(row: Mapping[str, Any]) -> ComparisonRow:
    found: ComparisonRow = _row(ComparisonRow, {**row, "test": _row(PairedTest, row["test"])})
    return found


def _row(kind: type[Any], row: Mapping[str, Any]) -> Any:
    names = [field.name for field in fields(kind)]
    return kind(**{name: row[name] if name in ("label", "metric") else _number(row[name]) for name in names})


def _number(value: Any) -> Any:
    """Return a value with infinity and NaN as numbers again."""
    return _NOT_IN_JSON[value] if value is None or value in ("inf", "-inf") else value
