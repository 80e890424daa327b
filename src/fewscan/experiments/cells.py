"""The cells of a study: every training it consists of, worked out before anything runs.

A cell is one method, preset, labelled count and seed. Its name ends in a digest of everything that decides its result
(training settings, ids of all its cases, plan), so a changed study gives cells of other names and never mixes results.
Two cells of one digest are the same training: supervised on all labels is trained once per seed, whoever asks for it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewscan.data.case import Dataset
from fewscan.data.plan import Plan
from fewscan.data.split import Split, make_split
from fewscan.errors import DataError, UsageError
from fewscan.experiments.study import Amount, MethodEntry, Study
from fewscan.methods.registry import method_class
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
    """

    row: Row
    settings: TrainSettings
    split: Split
    digest: str

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
    amounts = list(dict.fromkeys(_resolve(amount, parts) for amount in study.labelled))
    wanted = [(entry, labelled) for labelled in amounts for entry in study.methods]
    if study.upper_bound:
        wanted.append((study.entry(study.baseline), _resolve("all", parts)))
    cells: dict[str, Cell] = {}
    for seed in study.seeds:
        for entry, labelled in wanted:
            for preset in (entry.preset,) if entry.preset else study.presets:
                cell = _make_cell(study, entry, preset, labelled, parts.split(labelled.choice, seed))
                cells.setdefault(cell.name, cell)
    return list(cells.values())


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
        return Labelled(False, len(drawn), f"chosen{len(drawn)}-{_hash(sorted(amount))[:4]}", amount)
    count = amount if isinstance(amount, int) else len(drawn)
    return Labelled(False, count, f"n{count}", count)


def _make_cell(study: Study, entry: MethodEntry, preset: str, labelled: Labelled, split: Split) -> Cell:
    config = lay_over(nest(study.settings), nest(entry.settings))
    settings = resolve_settings(method=entry.method, preset=preset, config=config, overrides={"seed": split.seed})
    if (task := method_class(settings.method).task) != "segmentation":
        raise UsageError(
            f"method {settings.method} is for {task}, and a study compares segmentations",
            mend="Leave it out of the study.",
        )
    return Cell(Row(entry.name, preset, labelled), settings, split, _digest(study, settings, split))


def _digest(study: Study, settings: TrainSettings, split: Split) -> str:
    values = settings.model_dump(mode="json", exclude=set(SAFE_ON_RESUME))
    plan: Any = study.planning if study.plan is None else Plan.read(Path(study.plan)).model_dump(mode="json")
    parts = split.model_dump(mode="json", include={"labelled", "unlabelled", "validation", "test"})
    return _hash([values, parts, plan, study.checkpoint])[:DIGEST_LENGTH]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
