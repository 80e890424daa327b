"""Which prediction belongs to which true label: by id, the file name without its image suffix.

A label without a prediction is an error that lists all of them; left out on request, it stays on record.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fewscan.data.case import Part
from fewscan.data.image_files import image_stem, is_image_file
from fewscan.data.layouts import load_dataset
from fewscan.errors import DataError, UsageError
from fewscan.metrics.text_table import listed


@dataclass(frozen=True)
class Pair:
    """One case: the file to judge and the file that judges it."""

    case_id: str
    prediction: Path
    label: Path


@dataclass(frozen=True)
class Pairing:
    """All cases to score.

    Attributes
    ----------
    pairs : tuple of Pair
        Sorted by id.
    missing : tuple of str
        Labelled cases without a prediction.
    unscored : tuple of str
        Predictions that nothing is to be compared with.
    not_test : tuple of str
        Those of them whose case has a label, but is no test case of the data set.
    names : mapping of int to str
        Class names by label value, where a data set declares them.
    patients : mapping of str to str
        Patient (group) of the cases, where a data set names one.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[str, ...] = ()
    unscored: tuple[str, ...] = ()
    not_test: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)


def pair_files(
    predictions: Path, labels: Path, *, case_ids: Collection[str] | None = None, allow_missing: bool = False
) -> Pairing:
    """Find the prediction of every label.

    Parameters
    ----------
    predictions : Path
        A folder of label maps, or one file. Confidence maps (``*_confidence``) are passed over.
    labels : Path
        A folder of label maps, one file, or a data set: then its labelled test cases, or all its labelled cases where
        it has no test part. One prediction file and one label file belong together whatever their names.
    case_ids : collection of str, optional
        Score these cases only.
    allow_missing : bool
        Leave out labels without a prediction and record them, instead of raising.

    Raises
    ------
    UsageError
        When a path does not exist.
    DataError
        When a label or a prediction is missing, or an id is not unique.
    """
    found = _prediction_files(predictions)
    known = _label_files(labels, case_ids)
    truths = known.files
    if len(found) == 1 and len(truths) == 1 and predictions.is_file() and labels.is_file():
        truths = dict(zip(found, truths.values(), strict=True))
    missing = sorted(truths.keys() - found.keys())
    both = sorted(truths.keys() & found.keys())
    unscored = tuple(sorted(found.keys() - truths.keys()))
    not_test = tuple(case for case in unscored if case in known.others)
    if not both:
        raise _nothing_fits(predictions, labels, missing=missing, unscored=unscored, not_test=not_test)
    if missing and not allow_missing:
        raise DataError(
            f"{predictions}: {len(missing)} of {len(truths)} labelled cases have no prediction: {listed(missing)}",
            mend="predict them, or leave them out knowingly (--allow-missing); a prediction is named like its label",
        )
    return Pairing(
        pairs=tuple(Pair(case, found[case], truths[case]) for case in both),
        missing=tuple(missing),
        unscored=unscored,
        not_test=not_test,
        names=known.names,
        patients={case: known.patients[case] for case in both if case in known.patients},
    )


def _nothing_fits(
    predictions: Path, labels: Path, *, missing: Sequence[str], unscored: Sequence[str], not_test: Sequence[str]
) -> DataError:
    """Return the error where no prediction belongs to any label."""
    if not_test:
        return DataError(
            f"{predictions}: none of the {len(unscored)} predictions is of a test case of {labels}, and only those are "
            f"scored: {listed(missing)}",
            mend="predict the test cases; to score others, give a folder of their labels instead of the data set",
        )
    return DataError(
        f"{predictions}: none of the {len(unscored)} predictions ({listed(unscored, limit=3)}) is named like one "
        f"of the {len(missing)} labels of {labels} ({listed(missing, limit=3)})",
        mend="is it the wrong folder? a prediction is named like its label",
    )


def _prediction_files(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {image_stem(path): path}
    if not path.is_dir():
        raise UsageError(f"{path}: no such file or folder of predictions", mend="check the path")
    files = [file for file in _image_files(path) if not image_stem(file).endswith("_confidence")]
    if not files:
        raise DataError(f"{path}: holds no predictions", mend="give the folder that `fewscan predict` wrote to")
    return _by_id(files)


class _Truths(NamedTuple):
    """The labels to compare with, class names, patients, and other labelled cases, which are no test cases."""

    files: dict[str, Path]
    names: dict[int, str]
    patients: dict[str, str]
    others: frozenset[str]


def _label_files(path: Path, case_ids: Collection[str] | None) -> _Truths:
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder of labels", mend="check the path")
    names: dict[int, str] = {}
    patients: dict[str, str] = {}
    others: frozenset[str] = frozenset()
    if path.is_file() and is_image_file(path):
        truths = {image_stem(path): path}
    elif path.is_dir() and (files := _image_files(path)):
        truths = _by_id(files)
    else:
        dataset = load_dataset(path)
        names = {value: name for name, value in dataset.labels.items() if value != 0}
        truths = {case.id: case.label for case in dataset if case.label is not None}
        patients = {case.id: case.group for case in dataset if case.group is not None}
        test = {case.id for case in dataset if case.part is Part.TEST} & truths.keys()
        if test and case_ids is None:
            others = frozenset(truths.keys() - test)
            truths = {case: truths[case] for case in test}
    if case_ids is not None:
        unknown = sorted(set(case_ids) - truths.keys())
        if unknown:
            raise DataError(f"{path}: no label for {listed(unknown)}", mend="check the list of cases")
        truths = {case: truths[case] for case in case_ids}
    if not truths:
        raise DataError(f"{path}: holds no labels", mend="give the folder of true labels, or a data set with labels")
    return _Truths(truths, names, patients, others)


def _image_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if is_image_file(file) and file.is_file())


def _by_id(files: Iterable[Path]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for file in files:
        other = named.setdefault(image_stem(file), file)
        if other is not file:
            raise DataError(f"{file}: the same case as {other.name}", mend="keep one file per case")
    return named
