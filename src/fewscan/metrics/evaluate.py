"""Score predicted label maps on disk against true ones: per case and class, summary, comparison with a baseline."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fewscan.data.components import keep_largest_components
from fewscan.data.grids import TOLERANCE_VOX, grid_distance_vox
from fewscan.data.image_io import Image, read_image
from fewscan.data.label_map import count_values, integer_labels
from fewscan.data.store_format import content_digest
from fewscan.data.workers import ShowProgress, available_workers
from fewscan.errors import DataError, FewscanError
from fewscan.metrics.case_scores import ABSENT, ClassScores, score_case
from fewscan.metrics.evaluation import Evaluation
from fewscan.metrics.joined import RECORD_NAME, baseline_values, join_values, recorded_classes
from fewscan.metrics.pairing import Pair, Pairing, pair_files
from fewscan.metrics.summary import check_means, columns, compare, summarise
from fewscan.metrics.trained_on import TrainingCases, among, recorded_training_cases


def evaluate(
    predictions: Path | str,
    labels: Path | str,
    *,
    baseline: Path | str | None = None,
    out: Path | str | None = None,
    write: bool = True,
    names: Mapping[int, str] | None = None,
    case_ids: Collection[str] | None = None,
    allow_missing: bool = False,
    largest_component: bool = False,
    join_classes: bool = True,
    workers: int | None = None,
    progress: ShowProgress | None = None,
) -> Evaluation:
    """Score predictions against labels of the same ids; write the scores beside what `fewscan.predict` made.

    Classes are all values that are declared (``names``, or the data set's) or found in any file, but 0. Distances in mm
    use the spacing of the label file; PNG and TIFF have none, their mm are pixels.

    Parameters
    ----------
    predictions, labels : path
        See `pair_files`.
    baseline : path, optional
        Other predictions of the same cases, for a paired comparison. Their label values are joined as those of the
        truth (`fewscan.metrics.joined`), so that both are scored on the same classes.
    out : path, optional
        Folder for the tables. Unless told, that of the predictions if it is one that `fewscan.predict` wrote to, so
        that a report shows them; nothing is written into a folder of anything else.
    write : bool
        False writes nothing at all; see `Evaluation.write`.
    names : mapping of int to str, optional
        Class names by label value; those of the data set unless told, or of the model that made the predictions.
    case_ids : collection of str, optional
        Score these cases only.
    allow_missing : bool
        Score the cases that have a prediction and record the others, instead of raising. With a baseline only cases
        that both methods predicted are scored, so that all numbers are of the same cases.
    largest_component : bool
        Keep only the largest connected component of every class of predictions and baseline before scoring.
    join_classes : bool
        Join label values of truth and baseline as the model that made the predictions joins them.
    workers : int, optional
        Threads; as many as there are processors unless told.
    progress : ShowProgress, optional
        Counts the files that are scored.

    Returns
    -------
    Evaluation
        Rows, summary and comparison; prints them, and writes them again.

    Raises
    ------
    DataError
        For missing or unreadable files, label values that are none, and grids that differ between prediction and
        label; one error for all cases. For a baseline that joins label values which the predictions keep apart.
    """
    predictions, labels = Path(predictions), Path(labels)
    found = pair_files(predictions, labels, case_ids=case_ids, allow_missing=allow_missing)
    others: tuple[Pair, ...] = ()
    if baseline is not None:
        against = pair_files(Path(baseline), labels, case_ids=case_ids, allow_missing=allow_missing)
        found, others = _common(found, against)
    pairs = found.pairs
    joined, recorded = recorded_classes(predictions) if join_classes else ({}, {})
    rejoined = baseline_values(predictions, Path(baseline)) if join_classes and baseline is not None else {}
    known_names = recorded if joined else found.names or recorded
    class_names = dict(known_names if names is None else names)
    score = partial(score_pair, declared=class_names.keys(), joined=joined, largest_component=largest_component)
    jobs = [partial(score, pair) for pair in pairs]
    jobs += [partial(score, pair, predicted_as=rejoined) for pair in others]
    scored = _score_all(jobs, workers=workers, progress=progress)
    values = sorted(class_names.keys() | {row.value for rows in scored for row in rows} - {0})
    scores = _complete(scored[: len(pairs)], pairs, values)
    table = columns(scores, class_names)
    rows = summarise(table, patients=found.patients)
    known = recorded_training_cases(predictions)
    theirs = TrainingCases() if baseline is None else recorded_training_cases(Path(baseline))
    ids = [pair.case_id for pair in pairs]
    comparison = (
        compare(table, columns(_complete(scored[len(pairs) :], others, values), class_names), patients=found.patients)
        if others
        else []
    )
    result = Evaluation(
        predictions=str(predictions),
        labels=str(labels),
        baseline=None if baseline is None else str(baseline),
        largest_component=largest_component,
        names={value: class_names.get(value, str(value)) for value in values},
        scores=tuple(scores),
        summary=tuple(rows),
        comparison=tuple(comparison),
        means=check_means(rows),
        missing=found.missing,
        unscored=found.unscored,
        not_test=found.not_test,
        patients=found.patients,
        digests={pair.case_id: content_digest(pair.prediction) for pair in pairs},
        trained_on=among(ids, known.labelled),
        validated_on=among(ids, known.validation),
        seen_unlabelled=among(ids, known.unlabelled),
        baseline_trained_on=among(ids, theirs.labelled),
        baseline_validated_on=among(ids, theirs.validation),
        baseline_seen_unlabelled=among(ids, theirs.unlabelled),
        baseline_joined=rejoined,
    )
    place = predictions if out is None and (predictions / RECORD_NAME).is_file() else out
    if write and place is not None:
        result.write(Path(place))
    return result


def score_pair(
    pair: Pair,
    *,
    declared: Collection[int] = (),
    joined: Mapping[int, int] = MappingProxyType({}),
    predicted_as: Mapping[int, int] = MappingProxyType({}),
    largest_component: bool = False,
) -> list[ClassScores]:
    """Read and score one case: the declared values and those found in either file; see `evaluate`.

    ``joined`` replaces values of the true label, ``predicted_as`` of the prediction; see `fewscan.metrics.joined`.
    """
    prediction, predicted_values = _read_labels(pair.prediction, predicted_as)
    truth, true_values = _read_labels(pair.label, joined)
    distance = grid_distance_vox(truth.geometry, prediction.geometry)
    if distance > TOLERANCE_VOX:
        ours, theirs = prediction.geometry, truth.geometry
        msg = (
            f"case {pair.case_id}: prediction {pair.prediction} lies on another grid than its label {pair.label}: "
            f"size {ours.size} and {theirs.size}, spacing {ours.spacing_mm} and {theirs.spacing_mm} mm, "
            f"origin {ours.origin_mm} and {theirs.origin_mm} mm; corners up to {distance:.3g} voxels apart"
        )
        raise DataError(msg, mend="score predictions on the grid of the original scan, or resample them onto it")
    return score_case(
        keep_largest_components(prediction.array) if largest_component else prediction.array,
        truth.array,
        values={*declared, *predicted_values, *true_values},
        spacing_mm=truth.geometry.spacing_mm,
        case_id=pair.case_id,
    )


def _read_labels(path: Path, joined: Mapping[int, int] = MappingProxyType({})) -> tuple[Image, set[int]]:
    """Read a label map and the values it holds."""
    image = read_image(path)
    array = join_values(integer_labels(image.array, path=path), joined)
    values = set(count_values(array, path=path))
    if min(values) < 0:
        raise DataError(f"label {path}: holds negative values (lowest: {min(values)})", mend="use values from 0 up")
    return Image(array, image.geometry), values


def _score_all(
    jobs: Sequence[Callable[[], list[ClassScores]]],
    *,
    workers: int | None,
    progress: ShowProgress | None,
) -> list[list[ClassScores]]:
    """Run all jobs, and return their scores in the same order; the failures of all are one error.

    Threads, not processes: numpy and scipy let go of the interpreter's lock, and nothing has to start.
    """
    show: AbstractContextManager[Any] = nullcontext() if progress is None else progress("evaluate", len(jobs))
    failures = []
    with ThreadPoolExecutor(workers or available_workers()) as pool, show as shown:
        futures = [pool.submit(job) for job in jobs]
        try:
            for future in as_completed(futures):
                if shown is not None:
                    shown.advance()
                error = future.exception()
                if isinstance(error, FewscanError):
                    failures.append(error)
                elif error is not None:
                    raise error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if len(failures) == 1:
        raise failures[0]
    if failures:
        lines = sorted({error.message for error in failures})
        raise DataError("\n  ".join([f"{len(lines)} cases cannot be scored:", *lines]), mend=failures[0].mend)
    return [future.result() for future in futures]


def _common(found: Pairing, against: Pairing) -> tuple[Pairing, tuple[Pair, ...]]:
    """Return the pairing, and the baseline's pairs, of the cases that both have; the others count as missing."""
    ids = {pair.case_id for pair in found.pairs} & {pair.case_id for pair in against.pairs}
    if not ids:
        raise DataError("predictions and baseline have no case in common", mend="predict the same cases with both")
    ours, theirs = (tuple(pair for pair in side.pairs if pair.case_id in ids) for side in (found, against))
    missing = tuple(sorted({*found.missing, *against.missing}))
    return replace(found, pairs=ours, missing=missing), theirs


def _complete(
    scored: Sequence[Sequence[ClassScores]], pairs: Sequence[Pair], values: Sequence[int]
) -> list[ClassScores]:
    """Give every case a row for every class: one found only in other cases is absent here."""
    rows = []
    for pair, found in zip(pairs, scored, strict=True):
        by_value = {row.value: row for row in found}
        rows += [by_value.get(value) or ClassScores(pair.case_id, value, 0, 0, ABSENT) for value in values]
    return rows
