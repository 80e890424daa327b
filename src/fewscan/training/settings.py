"""Everything a training run can be told, in one strict model; written to ``settings.yaml`` of the run."""

from collections.abc import Mapping
from typing import Any, Literal

import yaml
from pydantic import Field, PositiveInt, field_validator

from fewscan.augment.settings import Augmentation, augmentation
from fewscan.errors import UsageError
from fewscan.methods.registry import trainable_class
from fewscan.networks.registry import NetworkSpec
from fewscan.settings import Settings, nearest_key


class OptimiserSettings(Settings):
    """Optimiser and learning-rate schedule.

    Attributes
    ----------
    name : "sgd", "nesterov" or "adamw"
        SGD with plain momentum, as most methods were published, or with Nesterov's, as nnU-Net trains.
    learning_rate : float
        The base rate; the peak for one-cycle.
    weight_decay : float
        Decoupled for AdamW.
    schedule : "poly", "onecycle", "step", "step_sixths" or "constant"
        See `fewscan.training.schedules`.
    momentum : float
        Of SGD; of AdamW the first beta.
    clip_gradient_norm : float or None
        Upper limit of the gradient's norm.
    """

    name: Literal["sgd", "nesterov", "adamw"] = "adamw"
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["poly", "onecycle", "step", "step_sixths", "constant"] = "onecycle"
    clip_gradient_norm: float | None = Field(12.0, gt=0)


class BatchSettings(Settings):
    """Patches per step and process."""

    labelled: int = Field(4, ge=1)
    unlabelled: int = Field(4, ge=0)


class TrainSettings(Settings):
    """Settings of one run.

    Attributes
    ----------
    method, preset : str
        What is trained, and which published or recommended values it starts from.
    hyper : dict
        The method's own hyper-parameters.
    network : NetworkSpec
        Architecture by name, with options.
    iterations : int
        Optimiser steps.
    batch : BatchSettings
        Patches per step.
    patch_size : tuple of int or None
        None takes the plan's.
    foreground_fraction : float
        Share of labelled patches centred on foreground.
    augmentation : Augmentation or preset name
        Applied to both streams.
    optimiser : OptimiserSettings
    precision : "auto", "fp32" or "bf16"
        Auto is bf16 where the processor gains by it.
    ema_decay : float or None
        Validate and save an exponential moving average of the predictor instead of its last weights.
    seed : int
        Of everything random in the run.
    validate_every, checkpoint_every, log_every : int
        Steps between validations (0: at the end only), checkpoints and log records.
    """

    method: str = "supervised"
    preset: Literal["paper", "recommended"] = "recommended"
    hyper: dict[str, Any] = {}
    network: NetworkSpec = NetworkSpec()
    iterations: int = Field(1000, ge=1)
    batch: BatchSettings = BatchSettings()
    patch_size: tuple[PositiveInt, ...] | None = None
    foreground_fraction: float = Field(0.5, ge=0, le=1)
    augmentation: Augmentation = augmentation("standard")
    optimiser: OptimiserSettings = OptimiserSettings()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    ema_decay: float | None = Field(None, gt=0, lt=1)
    seed: int = Field(0, ge=0)
    validate_every: int = Field(250, ge=0)
    checkpoint_every: int = Field(250, ge=1)
    log_every: int = Field(10, ge=1)

    @field_validator("augmentation", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        return augmentation(value) if isinstance(value, str) else value


# Changing these between a run and its continuation changes none of the weights that training ends with, but
# ``validate_every`` decides among which ``model_best.safetensors`` is chosen.
SAFE_ON_RESUME = frozenset({"validate_every", "checkpoint_every", "log_every"})


def resolve_settings(
    *, method: str | None = None, preset: str | None = None, config: Mapping[str, Any], overrides: Mapping[str, Any]
) -> TrainSettings:
    """Combine, from weakest to strongest: defaults, the method's preset, a YAML config, single settings.

    The name of an augmentation preset stands for all of its values, so that a stronger setting changes one of them and
    keeps the others. Options of a network do not pass to another network. Registration networks learn without flips.

    Parameters
    ----------
    method, preset : str, optional
        From the command line; stronger than those in ``config``.
    config : mapping
        Nested values, as read from a YAML file.
    overrides : mapping
        Dotted keys to values, as given by ``--set optimiser.learning_rate=0.01``.

    Raises
    ------
    UsageError
        For an unknown key (the nearest is named), method or preset, or an invalid value.
    """
    values = lay_over(config, nest(overrides))
    name = str(method or values.get("method", "supervised"))
    chosen = str(preset or values.get("preset", "recommended"))
    cls = trainable_class(name)
    if chosen not in cls.presets:
        raise UsageError(f"method {name} has no preset {chosen!r}: {nearest_key(chosen, list(cls.presets))}")
    weak = lay_over({"augmentation": "standard"}, cls.presets[chosen])
    source = f"settings of method {name}"
    # spelt out, so that whoever sets one option of a network or of a batch keeps the others
    weak["hyper"] = cls.hyper_parameters.parse(weak.get("hyper", {}), source=source).model_dump(mode="json")
    values = lay_over(weak, values) | {"method": cls.name, "preset": chosen}
    settings = TrainSettings.parse(values, source="settings")
    hyper = cls.hyper_parameters.parse(settings.hyper, source=source)
    changes: dict[str, Any] = {"hyper": hyper.model_dump(mode="json")}
    if cls.network_kind == "registration":  # no smooth field lays a scan onto a mirror image
        changes["augmentation"] = settings.augmentation.unmirrored()
    return settings.model_copy(update=changes)


def nest(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``{"a.b": 1}`` into ``{"a": {"b": 1}}``."""
    result: dict[str, Any] = {}
    for key, value in dotted.items():
        inner = result
        *parents, last = key.split(".")
        for parent in parents:
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise UsageError(f"{key}: {parent!r} is set to {inner!r} at the same time", mend="Set one of the two.")
        inner[last] = value
    return result


def merge(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``weak`` with the values of ``strong`` laid over it, mapping by mapping."""
    result = dict(weak)
    for key, value in strong.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and not _another_network(below, value):
            result[key] = merge(below, value)
        else:
            result[key] = value
    return result


def lay_over(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two layers of settings, with what names of augmentations and networks mean; see `resolve_settings`."""
    below = {key: _spelt_out(key, value) for key, value in weak.items()}
    above = {key: _spelt_out(key, value) for key, value in strong.items()}
    return merge(below, above)


def _another_network(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    names = {layer.get("name") for layer in (below, above)} - {None}
    return "options" in below and len(names) == 2


def _spelt_out(key: str, value: Any) -> Any:
    return augmentation(value).model_dump() if key == "augmentation" and isinstance(value, str) else value


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """Parse ``["optimiser.name=sgd", "iterations=500"]``; values are read as YAML."""
    result: dict[str, Any] = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--set {text!r}: expected key=value", mend="For example: --set iterations=500")
        try:
            result[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--set {text!r}: the value is not valid YAML") from None
    return result


def changed_on_resume(old: TrainSettings, new: TrainSettings) -> list[str]:
    """Return the settings that differ and would change the weights."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    return [key for key in before if key not in SAFE_ON_RESUME and before[key] != after[key]]
