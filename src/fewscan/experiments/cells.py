"""The cells of a study: every training it consists of, worked out before anything runs.

A cell is one method, preset, labelled count and seed. Its name ends in a digest of everything that decides its result
(training settings, ids of all its cases, plan), so a changed study gives cells of other names and never mixes results.
Two cells of one digest are the same training: supervised on all labels is trained once per seed, whoever asks for it.
Cells that differ in nothing but the predictor share one training, see `Cell.trained_in`.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fewscan.data.case import Dataset
from fewscan.data.plan import Plan
from fewscan.data.split import Split, make_split
from fewscan.errors import DataError, UsageError
from fewscan.experiments.study import Amount, MethodEntry, Study
from fewscan.methods.registry import trainable_class
from fewscan.settings import nearest_key
from fewscan.training.settings import SAFE_ON_RESUME, TrainSettings, lay_over, nest, resolve_settings

DIGEST_LENGTH = 8


@dataclass(frozen=True, order=True)
class Labelled:
    """How many labels the cells of one table row use; sorts by count, and all labels last.

    Attributes
    ----------
    is_all : bool
        Whether every label outside test and validation is used.
    count : int
        How many those are.
    name : str
        For folder names: ``n4``, ``all``, ``chosen2-1f6b``.
    choice : int, "all" or tuple of str
        For `make_split`.
    """

    is_all: bool
    count: int
    name: str
    choice: Amount = field(compare=False)

    @property
    def title(self) -> str:
        """For tables."""
        if self.is_all:
            return f"all ({self.count})"
        return f"{self.count} ({self.name})" if self.name.startswith("chosen") else str(self.count)


@dataclass(frozen=True)
class Row:
    """What the cells of one line of the tables share; they differ by seed."""

    method: str
    preset: str
    labelled: Labelled


@dataclass(frozen=True)
class Cell:
    """One training of a study.

    Attributes
    ----------
    row : Row
        Entry name, preset and labelled count.
    settings : TrainSettings
        Resolved, with the seed.
    split : Split
        Drawn by the seed; its test cases are those of the whole study.
    digest : str
        Of everything that decides the result.
    predictor : str
        Which predictor of the training, see `MethodEntry`; empty for the method's own.
    trained_in : str
        Name of the cell whose training this one predicts with; empty for its own.
    """

    row: Row
    settings: TrainSettings
    split: Split
    digest: str
    predictor: str = ""
    trained_in: str = ""

    @property
    def seed(self) -> int:
        """Of the labelled subset and of the training."""
        return self.settings.seed

    @property
    def name(self) -> str:
        """The folder name."""
        row = self.row
        return f"{row.method}-{row.preset}-{row.labelled.name}-seed{self.seed}-{self.digest}"


def list_cells(study: Study, dataset: Dataset) -> list[Cell]:
    """Work out all cells, by seed first, so that an interrupted study has whole comparisons.

    Raises
    ------
    UsageError
        For unknown methods and settings, counts that cannot be drawn, or a study without test cases.
    DataError
        When no test case carries a label.
    """
    parts = _Parts(study, dataset, choose_test(study, dataset))
    amounts = [(amount, _resolve(amount, parts)) for amount in study.labelled]
    wanted = [
        (entry, labelled)
        for amount, labelled in amounts
        for entry in study.methods
        if entry.labelled is None or amount in entry.labelled
    ]
    if study.upper_bound:
        wanted.append((study.entry(study.baseline), _resolve("all", parts)))
    cells: dict[str, Cell] = {}
    for seed in study.seeds:
        for entry, labelled in wanted:
            for preset in (entry.preset,) if entry.preset else study.presets:
                cell = _make_cell(study, entry, preset, labelled, parts.split(labelled.choice, seed))
                cells.setdefault(cell.name, cell)
    return _share_trainings(study, list(cells.values()))


def choose_test(study: Study, dataset: Dataset) -> tuple[str, ...]:
    """Return the ids of the test cases, the same for every seed; at least one must carry a label."""
    test = make_split(dataset, test=study.test).test
    if not test:
        raise UsageError(
            f"data set {dataset.name!r} has no test part", mend="write test: 0.2 (or a count, or a list) into the study"
        )
    if all(dataset[case_id].label is None for case_id in test):
        raise DataError(f"data set {dataset.name!r}: no test case has a label", mend="annotate them, or choose others")
    return test


def find_cell(cells: Iterable[Cell], name: str) -> Cell:
    """Return the cell called ``name``; `UsageError` that names the nearest one if there is none."""
    named = {cell.name: cell for cell in cells}
    if name not in named:
        raise UsageError(f"the study has no cell {name!r}: {nearest_key(name, list(named))}")
    return named[name]


@dataclass(frozen=True)
class _Parts:
    """Draws the parts of one cell after the other, with the same test cases."""

    study: Study
    dataset: Dataset
    test: tuple[str, ...]

    def split(self, choice: Amount, seed: int) -> Split:
        labelled = None if isinstance(choice, str) else choice
        drawn = make_split(self.dataset, labelled=labelled, validation=self.study.validation, test=self.test, seed=seed)
        # nothing can be scored on a test case without a label; it stays out of training all the same
        scored = tuple(case_id for case_id in drawn.test if self.dataset[case_id].label is not None)
        return drawn.model_copy(update={"test": scored})


def _resolve(amount: Amount, parts: _Parts) -> Labelled:
    """Give an amount of the study its name; a fraction becomes a count, and what amounts to all labels "all"."""
    seed = parts.study.seeds[0]
    every = parts.split("all", seed).labelled
    drawn = parts.split(amount, seed).labelled
    if set(drawn) == set(every):
        return Labelled(True, len(every), "all", "all")
    if isinstance(amount, tuple):
        return Labelled(False, len(drawn), f"chosen{len(drawn)}-{plain_digest(sorted(amount))[:4]}", amount)
    count = amount if isinstance(amount, int) else len(drawn)
    return Labelled(False, count, f"n{count}", count)


def _make_cell(study: Study, entry: MethodEntry, preset: str, labelled: Labelled, split: Split) -> Cell:
    config = lay_over(nest(study.settings), nest(entry.settings))
    settings = resolve_settings(method=entry.method, preset=preset, config=config, overrides={"seed": split.seed})
    trainable = trainable_class(settings.method)
    if trainable.task != "segmentation":
        raise UsageError(
            f"method {settings.method} is for {trainable.task}, and a study compares segmentations",
            mend="Leave it out of the study.",
        )
    predictor = "" if entry.predictor == trainable.name else entry.predictor
    if predictor and predictor not in trainable.predictors:
        raise UsageError(
            f"method {settings.method} has no predictor {predictor!r}",
            mend=f"Use {' or '.join((trainable.name, *trainable.predictors))}.",
        )
    digest = _digest(study, settings, split, predictor=predictor)
    return Cell(Row(entry.name, preset, labelled), settings, split, digest, predictor)


def _share_trainings(study: Study, cells: list[Cell]) -> list[Cell]:
    """Let cells of another predictor use the training of the first cell that trains the same; it comes before them."""
    owners: dict[str, Cell] = {}
    for cell in sorted(cells, key=lambda cell: bool(cell.predictor)):  # a method's own predictor owns the training
        owners.setdefault(_digest(study, cell.settings, cell.split), cell)
    shared = []
    for cell in cells:
        owner = owners[_digest(study, cell.settings, cell.split)]
        alone = not cell.predictor or owner is cell
        shared.append(cell if alone else replace(cell, trained_in=owner.name))
    order = {cell.name: place for place, cell in enumerate(cells)}
    return sorted(
        shared, key=lambda cell: (max(order[cell.name], order.get(cell.trained_in, 0)), bool(cell.trained_in))
    )


def _digest(study: Study, settings: TrainSettings, split: Split, *, predictor: str = "") -> str:
    # the best checkpoint is one of those that were validated
    unimportant = SAFE_ON_RESUME - ({"validate_every"} if study.checkpoint == "best" else set())
    values = settings.model_dump(mode="json", exclude=set(unimportant))
    plan: Any = study.planning if study.plan is None else Plan.read(Path(study.plan)).model_dump(mode="json")
    parts = split.model_dump(mode="json", include={"labelled", "unlabelled", "validation", "test"})
    parted = [values, parts, plan, study.checkpoint]
    return plain_digest([*parted, predictor] if predictor else parted)[:DIGEST_LENGTH]


def plain_digest(value: Any) -> str:
    """Return the SHA-256 of plain values, whatever the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
