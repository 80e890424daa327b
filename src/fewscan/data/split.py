"""Which scans are labelled, unlabelled, for validation and for test.

One seeded order of the patients decides everything that is drawn: the labelled ones are taken from its front, the test
and then the validation ones from its end. So, for one seed, the labelled subset of N scans begins that of N + 1, and
neither depends on how many others are drawn. The order sorts patients by SHA-256 of seed and name: it is the same on
every machine and with every library version, and a scan added later moves none of the others.

A patient (group) is never in two of training, validation and test. Labelled and unlabelled are both training.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import model_validator

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.draw import Choice, count_of, name_part, named_labelled, seeded, take, unit_of, usable
from fewscan.errors import DataError, UsageError
from fewscan.settings import Settings


class Split(Settings):
    """The parts of a data set, by case id.

    Attributes
    ----------
    labelled : tuple of str
        Train with image and label; in the order drawn, so that smaller subsets are its beginning. Empty only for a
        method that needs no labels.
    unlabelled : tuple of str
        Train with the image alone, even where a label exists.
    validation : tuple of str
        Choose the checkpoint with these; their labels are part of the annotation cost.
    test : tuple of str
        Never read during training.
    seed : int
        Of the order that parts were drawn from.
    test_groups : dict of str to str
        Group (patient) of the test cases that have one: scans of one patient are no independent tests.
    notes : tuple of str
        What a reader should know of the drawing, such as a count exceeded because groups stay whole.
    """

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seed: int = 0
    test_groups: dict[str, str] = {}
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        ids = [*self.labelled, *self.unlabelled, *self.validation, *self.test]
        if not (self.labelled or self.unlabelled):
            msg = "a split needs at least one labelled case, or unlabelled ones for a method that needs no labels"
            raise ValueError(msg)
        twice = sorted({case_id for case_id in ids if ids.count(case_id) > 1})
        if twice:
            msg = f"a case is in one part only, but these are listed twice: {', '.join(twice)}"
            raise ValueError(msg)
        return self

    @property
    def annotation_cost(self) -> int:
        """How many scans had to be annotated for this training: labelled and validation."""
        return len(self.labelled) + len(self.validation)


def make_split(
    dataset: Dataset,
    *,
    labelled: Choice | None = None,
    validation: Choice = 0,
    test: Choice | None = None,
    seed: int = 0,
    needs_labels: bool = True,
) -> Split:
    """Divide a data set into parts.

    Parts that the layout prescribes are kept, and what is drawn or named comes on top: a case of ``imagesTs``, or one
    with a ``part`` in a manifest, never moves between training, validation and test. Test cases are only drawn where
    the layout prescribes none: two kinds of them would be mixed in one score.

    Parameters
    ----------
    dataset : Dataset
        What to divide.
    labelled : int, float or sequence of str, optional
        How many cases may use their labels; None for all that are left. Cases that carry a label but are not chosen
        become unlabelled.
    validation, test : int, float or sequence of str
        What to take out of training, besides the prescribed. They are drawn among the cases with labels; a test case
        that is named may lack one.
    seed : int
        Of the drawing.
    needs_labels : bool
        False allows that no case is labelled, because none is or because ``labelled`` is 0.

    Returns
    -------
    Split
        A fraction counts, rounded and at least one, of the cases that carry a label and are not prescribed for
        something else. Counts are of cases, but groups stay whole: groups are taken until the count is reached, and
        `Split.notes` says where that gave more.

    Raises
    ------
    UsageError
        When more is asked for than there is, nothing is labelled, an id is unknown, unlabelled or in two parts, or test
        cases are to be drawn although the data set has its own.
    DataError
        When no case outside validation and test carries a label.
    """
    _require_no_test(dataset, test)
    cases = {case.id: case for case in dataset}
    units: dict[str, list[Case]] = defaultdict(list)
    for case in dataset:
        units[unit_of(case)].append(case)
    # the units that are out of training; all others are training
    out: dict[str, Part] = {unit_of(case): case.part for case in dataset if case.part in (Part.TEST, Part.VALIDATION)}
    notes: list[str] = []
    order = seeded([unit for unit in units if unit not in out and usable(units[unit])], seed)
    pool = sum(len(usable(units[unit])) for unit in order)
    if not pool and needs_labels:
        known = sum(case.label is not None for case in dataset)
        why = f"none of its {len(dataset)} cases has one"
        if known:
            why = f"of {len(dataset)} cases, {known} have one, and those are prescribed for other parts"
        raise DataError(
            f"data set {dataset.name!r} has no label to train with: {why}",
            mend="annotate at least one scan, or check that labels are named like their images; --labelled 0 trains a "
            "registration, which needs none",
        )

    wanted: list[tuple[Part, Choice]] = [(Part.TEST, 0 if test is None else test), (Part.VALIDATION, validation)]
    for part, choice in wanted:
        if isinstance(choice, Sequence):
            name_part(part, choice, cases, units, out, notes)
    named = named_labelled(labelled, cases, out)
    kept = {unit_of(cases[case_id]) for case_id in named}
    for part, choice in wanted:
        if not isinstance(choice, Sequence):
            free = [unit for unit in reversed(order) if unit not in out and unit not in kept]
            free = [unit for unit in free if all(case.part is None for case in units[unit])]
            for unit in take(part, count_of(part, choice, pool), free, units, out, notes):
                out[unit] = part
    if not named:
        free = [unit for unit in order if unit not in out]
        left = sum(len(usable(units[unit])) for unit in free)
        count = left if labelled is None else count_of(Part.LABELLED, labelled, pool, at_least=int(needs_labels))
        if not needs_labels and count == 0:
            return _collect(dataset, (), out, seed, notes)
        named = [
            case.id for unit in take(Part.LABELLED, count, free, units, out, notes) for case in usable(units[unit])
        ]
    return _collect(dataset, named, out, seed, notes)


def read_id_list(path: Path) -> tuple[str, ...]:
    """Read case ids, one per line with ``#`` comments, or as a JSON list.

    Raises
    ------
    UsageError
        When the file cannot be read, is empty or repeats an id.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        if text.lstrip().startswith("["):
            ids = json.loads(text)
        else:
            ids = [line.split("#")[0].strip() for line in text.splitlines()]
            ids = [line for line in ids if line]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{path}: not readable as a list of ids: {error}", mend="write one id per line") from None
    if not ids or not all(isinstance(item, str) for item in ids):
        raise UsageError(f"{path}: lists no case ids", mend="write one id per line, or a JSON list of strings")
    twice = sorted({item for item in ids if ids.count(item) > 1})
    if twice:
        raise UsageError(f"{path}: lists {', '.join(twice)} more than once", mend="remove the repetition")
    return tuple(ids)


def _require_no_test(dataset: Dataset, test: Choice | None) -> None:
    """Refuse to draw test cases from training scans where the data set has its own."""
    own = [case.id for case in dataset if case.part is Part.TEST]
    if own and not isinstance(test, Sequence) and test:
        shown = ", ".join(own[:3]) + (", ..." if len(own) > 3 else "")
        raise UsageError(
            f"test: {test} asked for, but data set {dataset.name!r} names its own test cases ({len(own)}: {shown})",
            mend="leave the number of test cases out; those of the data set are kept out of training",
        )


def _collect(
    dataset: Dataset, labelled: Sequence[str], out: Mapping[str, Part], seed: int, notes: Sequence[str]
) -> Split:
    ids: dict[Part, list[str]] = {part: [] for part in Part}
    idle = []
    chosen = set(labelled)
    for case in sorted(dataset, key=lambda case: case.id):
        part = out.get(unit_of(case), Part.UNLABELLED)
        if part is Part.VALIDATION and case.label is None:
            idle.append(case.id)
        elif case.id not in chosen:
            ids[part].append(case.id)
    if idle:
        notes = [*notes, f"left out: {', '.join(idle)} without label, of a group in validation"]
    return Split(
        labelled=tuple(labelled),
        unlabelled=tuple(ids[Part.UNLABELLED]),
        validation=tuple(ids[Part.VALIDATION]),
        test=tuple(ids[Part.TEST]),
        seed=seed,
        test_groups={case.id: case.group for case in dataset if case.id in ids[Part.TEST] and case.group is not None},
        notes=tuple(notes),
    )
