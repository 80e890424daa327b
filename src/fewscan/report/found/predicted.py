"""A folder of predictions with everything that is known about it: scores, scans, truth, confidence, training run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fewscan.data.grids import require_same_grid
from fewscan.data.image_io import read_channel_images, read_image
from fewscan.data.label_map import count_values, integer_labels
from fewscan.errors import DataError
from fewscan.metrics.evaluate import evaluate
from fewscan.metrics.evaluation import JSON_FILE, Evaluation
from fewscan.metrics.joined import join_values, recorded_classes
from fewscan.metrics.summary import ALL_CLASSES, columns
from fewscan.report.found.evaluation_file import read_evaluation, unlike_scored
from fewscan.report.found.kinds import MARKS, Kind, Reportable, read_json
from fewscan.report.found.naming import named
from fewscan.report.found.sources import (
    confidence_maps,
    given_labels,
    given_scans,
    label_maps,
    place_of_scans,
    recorded_labels,
    recorded_scans,
)
from fewscan.report.panels.cases import PicturedCase
from fewscan.report.review import Looks, foreground_confidence


@dataclass(frozen=True)
class Predicted:
    """Predictions and what belongs to them.

    Attributes
    ----------
    folder : Path
        Where the label maps are; it may be gone for an evaluation that was moved.
    record : mapping
        ``prediction.json``; empty without.
    files, confidence, labels : mapping of str to Path
        Label map, confidence map and true label of each case that has one.
    scans : mapping of str to tuple of Path
        Image files of each case that were found.
    evaluation : Evaluation or None
        Scores of these very label maps.
    names : mapping of int to str
        Classes by label value.
    run : Path or None
        The training run, where it still is.
    joined : mapping of int to int
        Values of the true labels that the predictions hold as another one, see `fewscan.metrics.joined`.
    others_scores : Path or None
        An evaluation that was found, but is of other predictions than these.
    unlike : tuple of str
        Cases whose label map is not the one scored there.
    scan_place : Path or None
        What gives all the scans that were predicted, where that is known.
    """

    folder: Path
    record: Mapping[str, Any]
    files: Mapping[str, Path]
    confidence: Mapping[str, Path]
    labels: Mapping[str, Path]
    scans: Mapping[str, tuple[Path, ...]]
    evaluation: Evaluation | None
    names: Mapping[int, str]
    run: Path | None = None
    joined: Mapping[int, int] = field(default_factory=dict)
    others_scores: Path | None = None
    unlike: tuple[str, ...] = ()
    scan_place: Path | None = None

    @property
    def main_label(self) -> str:
        """The class that stands for all: the mean over classes, or the only one."""
        names = list(self.evaluation.names.values()) if self.evaluation is not None else []
        return ALL_CLASSES if len(names) != 1 else names[0]

    def dice(self) -> dict[str, float]:
        """Return the Dice of each scored case, the mean over its classes; NaN where nothing is there to score."""
        return self.by_case(self.main_label, "dice")

    def by_case(self, label: str, metric: str) -> dict[str, float]:
        """Return one score of each case; empty without an evaluation."""
        if self.evaluation is None:
            return {}
        for column in columns(self.evaluation.scores, self.evaluation.names):
            if (column.label, column.metric) == (label, metric):
                return dict(column.by_case)
        return {}

    def pictured(self, case_id: str) -> PicturedCase:
        """Read what there is to see of a case.

        Raises
        ------
        DataError
            If a file cannot be read, or they do not lie on one grid.
        """
        scan = next(read_channel_images(self.scans[case_id]))
        found = {"prediction": self.files, "true label": self.labels, "confidence map": self.confidence}
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, paths in found.items():
            if case_id not in paths:
                continue
            image = read_image(paths[case_id])
            require_same_grid(
                image.geometry,
                scan.geometry,
                what=f"case {case_id}: its {name} {paths[case_id]}",
                mend="give the scans that were predicted",
            )
            arrays[name] = image.array
        truth = arrays.get("true label")
        if truth is not None:
            truth = join_values(integer_labels(truth, path=self.labels[case_id]), self.joined)
        prediction, confidence = arrays["prediction"], arrays.get("confidence map")
        return PicturedCase(case_id, scan.array, prediction, scan.geometry, truth, confidence)

    def looks(self, case_id: str, dice: Mapping[str, float]) -> Looks:
        """Read what tells whether a person should look at a case.

        Raises
        ------
        DataError
            If a file cannot be read, or prediction and confidence map differ in size.
        """
        path = self.files[case_id]
        image = read_image(path)
        labels, voxel = integer_labels(image.array, path=path), image.geometry.voxel_volume_mm3
        counts = count_values(labels, path=path)
        volumes = {value: counts.get(value, 0) * voxel for value in {*self.names, *counts} - {0}}
        sure = nan
        if case_id in self.confidence:
            confidence = read_image(self.confidence[case_id]).array
            if confidence.shape != labels.shape:
                sizes = f"the prediction has the size {labels.shape}, its confidence map {confidence.shape}"
                raise DataError(
                    f"case {case_id}: {sizes}",
                    mend="predict it again with --confidence",
                )
            sure = foreground_confidence(confidence, labels)
        return Looks(sure, dice.get(case_id, nan), volumes, voxel)


def gather(found: Reportable, *, scans: Path | None = None, labels: Path | None = None) -> Predicted:
    """Find everything that belongs to a folder of predictions, or to an evaluation.

    Parameters
    ----------
    found : Reportable
        The folder.
    scans, labels : Path, optional
        Where the scans and true labels are, unless records tell. Labels are scored if that was not done yet.

    Raises
    ------
    DataError, UsageError
        If records cannot be read, or what the user gave does not belong to the predictions.
    """
    recorded = read_evaluation(found.scores)
    folder = found.folder
    if found.kind is Kind.EVALUATION and recorded is not None:
        folder = Path(recorded.predictions)
        folder = folder.parent if folder.is_file() else folder
    record = read_json(folder / MARKS[Kind.PREDICTION])
    files = label_maps(folder) if folder.is_dir() else {}
    unlike = () if recorded is None else unlike_scored(recorded, files)
    evaluation = None if unlike else recorded
    known = _case_ids(found, record, recorded)
    if known:  # whatever else lies in the folder was not predicted with these settings
        files = {case: path for case, path in files.items() if case in known}
    joined, renamed = recorded_classes(folder)
    if labels is not None and evaluation is None:
        evaluation = evaluate(folder, labels, names=_names(record) or None, allow_missing=True, write=False)
    if evaluation is not None:
        evaluation = named(evaluation, _names(record))
    run = _run(record)
    found_scans = _scans(files, recorded, run, scans=scans, labels=labels)
    return Predicted(
        folder,
        record,
        files,
        {case: path for case, path in confidence_maps(folder).items() if case in files} if files else {},
        _labels(folder, labels, recorded) if files else {},
        found_scans,
        evaluation,
        dict(evaluation.names) if evaluation is not None else renamed or _names(record),
        run,
        joined,
        found.scores / JSON_FILE if unlike else None,
        unlike,
        place_of_scans(_predicted_scans(record, found_scans)) if scans is None else scans.absolute(),
    )


def _case_ids(found: Reportable, record: Mapping[str, Any], evaluation: Evaluation | None) -> set[str]:
    """Return the ids of the cases that were predicted, or without a record scored; none if neither is known."""
    ids = {str(scan["id"]) for scan in record.get("scans", [])}
    if not ids and found.kind is Kind.EVALUATION and evaluation is not None:
        return {*evaluation.case_ids, *evaluation.unscored}
    return ids


def _predicted_scans(record: Mapping[str, Any], scans: Mapping[str, tuple[Path, ...]]) -> dict[str, tuple[Path, ...]]:
    """Return the images of all scans that were to be predicted; nothing where one of them is not known."""
    ids = {str(scan["id"]) for scan in record.get("scans", [])} | {str(case) for case in record.get("failures", {})}
    return {case: scans[case] for case in ids} if ids <= scans.keys() else {}


def _run(record: Mapping[str, Any]) -> Path | None:
    """Return the training run behind the model, where it still is."""
    run = Path(str(record["model"])).parent if "model" in record else None
    return run if run is not None and (run / MARKS[Kind.RUN]).is_file() else None


def _scans(
    files: Mapping[str, Path],
    evaluation: Evaluation | None,
    run: Path | None,
    *,
    scans: Path | None,
    labels: Path | None,
) -> dict[str, tuple[Path, ...]]:
    """Return the image files of each scan: those that the user gave, else those that the records name."""
    if scans is not None:
        images = given_scans(scans)
        if files and not files.keys() & images.keys():
            raise DataError(
                f"--scans {scans}: holds no scan of these predictions", mend="give the scans that were predicted"
            )
        return images
    if not files:
        return {}
    told = ([] if evaluation is None else [Path(evaluation.labels)]) + ([] if labels is None else [labels])
    places = [*told, *(place.parent for place in told)]  # labelsTs lies in the data set itself
    if run is not None:
        places.append(Path(str(read_json(run / MARKS[Kind.RUN]).get("data", run))))
    return recorded_scans(places)


def _labels(folder: Path, given: Path | None, evaluation: Evaluation | None) -> dict[str, Path]:
    if given is not None:
        return given_labels(folder, given)
    return {} if evaluation is None else recorded_labels(folder, Path(evaluation.labels))


def _names(record: Mapping[str, Any]) -> dict[int, str]:
    """Return the foreground classes that the model names."""
    return {int(item["output"]): str(item["name"]) for item in record.get("classes", [])[1:]}
