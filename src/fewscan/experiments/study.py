"""The study file: which methods to compare, on which data, with how many labels and which seeds.

    name: hippocampus
    data: ../Dataset004_Hippocampus        # relative to this file
    methods:
      - supervised
      - mean_teacher
      - joint
      - {method: joint, name: combined, predictor: combined}    # the same training, predicted in another way
      - {method: co_learning, labelled: [2]}                    # with one of the amounts below alone
      - {method: mean_teacher, name: slow, label: "Mean Teacher, slow", settings: {hyper.decay: 0.999}}
    labelled: [2, 4, 0.1, all]             # counts, fractions, "all", or lists of case ids
    seeds: [0, 1, 2]                       # each draws its own labelled subset
    settings: {iterations: 3000}           # the same for all methods, so that budget and augmentation are equal
    upper_bound: true                      # also train the baseline on all labels

Everything in ``settings`` is stronger than a method's preset, and a method's own ``settings`` are stronger still.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from fewscan.methods.registry import is_trainable, trainable_names
from fewscan.settings import Settings, nearest_key

Preset = Literal["paper", "recommended"]
Amount = int | float | Literal["all"] | tuple[str, ...]

# a study varies these itself, in keys of their own
_VARIED = ("method", "preset", "seed")


def _refuse_bare_ids(amounts: Any) -> Any:
    loose = [item for item in amounts if isinstance(item, str) and item != "all"] if isinstance(amounts, list) else []
    if loose:
        msg = f"{loose[0]!r} is no amount; a list of ids is an amount by itself: [[{', '.join(loose)}]]"
        raise ValueError(msg)
    return amounts


def _refuse_varied(settings: dict[str, Any]) -> dict[str, Any]:
    for key in _VARIED:
        if key in settings:
            msg = f"{key} is varied by the study itself; set it beside methods, presets or seeds"
            raise ValueError(msg)
    return settings


Amounts = Annotated[tuple[Amount, ...], BeforeValidator(_refuse_bare_ids), Field(min_length=1)]
SharedSettings = Annotated[dict[str, Any], AfterValidator(_refuse_varied)]


class MethodEntry(Settings):
    """One line of the tables.

    Attributes
    ----------
    method : str
        As in `fewscan methods`.
    name : str
        Used in folder names, so a new name trains anew; the method unless told.
    label : str
        Used in tables and pictures; the name unless told.
    predictor : str
        Which of several predictors of the method, such as "combined" of method joint; the method's own unless told. It
        shares the training of the line that has all the same settings.
    preset : "paper" or "recommended", optional
        The only preset to use; those of the study unless told.
    labelled : tuple of int, float, "all" or list of ids, optional
        Some of the study's amounts, which alone are run; all of them unless told. The baseline is run with all.
    settings : mapping
        Training settings of this line alone, nested or with dotted keys.
    """

    method: str
    name: str = Field("", pattern=r"^[A-Za-z0-9_+-]*$")
    label: str = ""
    predictor: str = ""
    preset: Preset | None = None
    labelled: Amounts | None = None
    settings: SharedSettings = {}

    @model_validator(mode="before")
    @classmethod
    def _default_names(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        name = data.get("name") or data.get("method")
        return {**data, "name": name, "label": data.get("label") or name}


class Study(Settings):
    """A comparison of methods on one data set.

    Attributes
    ----------
    name : str
        For titles.
    data : str
        The data set; in a file, relative to that file.
    methods : tuple of MethodEntry
        Names, or entries with more.
    labelled : tuple of int, float, "all" or list of ids
        How many (or which) cases use their labels. Counts are drawn by each seed, the smaller within the larger.
    seeds : tuple of int
        Each draws a labelled subset and everything random of a training.
    presets : tuple of str
        Every method is trained with each of these.
    settings : mapping
        Training settings that all methods share.
    validation : int, float or list of ids
        Labelled cases kept for choosing the checkpoint; part of the annotation cost.
    test : int, float or list of ids, optional
        Drawn once for all seeds; the data set's own test part unless told.
    checkpoint : "last" or "best"
        Which weights predict; the best is that on the validation cases.
    also_against : tuple of str
        Further methods that all others are tested against, as against the baseline.
    baseline : str
        Name of the entry that the others are compared with.
    upper_bound : bool
        Also train the baseline with all labels, which the share of the recovered gap needs.
    planning : mapping
        Wishes for the plan: dimensions, spacing_mm, join_labels, patch_size, ...; see `derive_plan`.
    plan : str, optional
        A plan.yaml in place of a derived plan; in a file, relative to that file.
    """

    name: str
    data: str
    methods: tuple[MethodEntry, ...] = Field(min_length=1)
    labelled: Amounts
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    presets: tuple[Preset, ...] = Field(("recommended",), min_length=1)
    settings: SharedSettings = {}
    validation: int | float | tuple[str, ...] = 0
    test: int | float | tuple[str, ...] | None = None
    checkpoint: Literal["last", "best"] = "last"
    baseline: str = "supervised"
    also_against: tuple[str, ...] = ()
    upper_bound: bool = False
    planning: dict[str, Any] = {}
    plan: str | None = None

    @field_validator("methods", mode="before")
    @classmethod
    def _read_methods(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [_method_entry(item, index) for index, item in enumerate(value)]

    @field_validator("labelled", "validation", "test", mode="before")
    @classmethod
    def _no_truth_values(cls, value: Any) -> Any:
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, bool):
                msg = "a count, a fraction or a list is needed"
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = Counter(entry.name for entry in self.methods)
        labels = Counter(entry.label for entry in self.methods)
        twice = [name for name, count in {**labels, **names}.items() if count > 1]
        if twice:
            msg = f"methods: {', '.join(twice)} is there twice; give each entry a name and label of its own"
            raise ValueError(msg)
        for entry in self.methods:
            if not is_trainable(entry.method):
                msg = f"methods: unknown method {entry.method!r}: {nearest_key(entry.method, trainable_names())}"
                raise ValueError(msg)
        if self.baseline not in names:
            msg = f"the baseline {self.baseline!r} is not among the methods: {nearest_key(self.baseline, list(names))}"
            raise ValueError(msg)
        for name in self.also_against:
            if name not in names or name == self.baseline:
                msg = f"also_against: {name!r} is not one of the other methods: {nearest_key(name, list(names))}"
                raise ValueError(msg)
        for entry in self.methods:
            if entry.labelled is not None and not set(entry.labelled) <= set(self.labelled):
                msg = f"methods: {entry.name}: labelled has amounts that the study's labelled does not have"
                raise ValueError(msg)
            if entry.labelled is not None and entry.name == self.baseline:
                msg = f"methods: {entry.name}: the baseline is compared with at every amount, so leave its labelled out"
                raise ValueError(msg)
        if len(set(self.seeds)) < len(self.seeds):
            msg = "seeds: one is there twice"
            raise ValueError(msg)
        if self.checkpoint == "best" and self.validation in (0, ()):
            msg = "checkpoint 'best' needs validation cases"
            raise ValueError(msg)
        if self.plan is not None and self.planning:
            msg = "plan and planning exclude each other"
            raise ValueError(msg)
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a study file; its paths become absolute."""
        study = super().read(path)
        folder = path.resolve().parent
        plan = None if study.plan is None else str((folder / study.plan).resolve())
        return study.model_copy(update={"data": str((folder / study.data).resolve()), "plan": plan})

    def entry(self, name: str) -> MethodEntry:
        """Return the entry called ``name``; KeyError if there is none."""
        for entry in self.methods:
            if entry.name == name:
                return entry
        raise KeyError(name)


def _method_entry(item: Any, index: int) -> MethodEntry:
    if isinstance(item, MethodEntry):
        return item
    return MethodEntry.parse({"method": item} if isinstance(item, str) else item, source=f"methods[{index}]")
