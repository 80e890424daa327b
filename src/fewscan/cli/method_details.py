"""Everything about one method as plain data, read off its class: for ``fewscan methods NAME`` and the docs."""

import sys
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fewscan.settings import Settings

PRESETS = ("paper", "recommended")


def describe(name: str) -> dict[str, Any]:
    """Return everything about one method.

    Returns
    -------
    dict
        Among others ``documentation`` (the docstring of its module, with numbered equations), ``hyper_parameters``
        (default, source, and the value in each preset, by dotted key), ``presets`` (as declared) and ``differences``
        (every setting of a run that differs between the presets, with both values).
    """
    from fewscan.methods.costs import cost
    from fewscan.methods.registry import trainable_class

    cls = trainable_class(name)
    settings = {preset: _resolved(cls.name, preset) for preset in PRESETS}
    hyper = {preset: values.pop("hyper") for preset, values in settings.items()}
    fields = _fields(cls.hyper_parameters)
    for key, field in fields.items():
        field["values"] = {preset: _value_at(values, key) for preset, values in hyper.items()}
    costs = {preset: cost(cls.name, preset) for preset in PRESETS}
    return {
        "name": cls.name,
        "title": cls.title,
        "paper": cls.paper,
        "equations": cls.equations,
        "documentation": cleandoc(sys.modules[cls.__module__].__doc__ or ""),
        "parts": cls.parts,
        "when": cls.when,
        "tuned": cls.tuned,
        "task": cls.task,
        "uses_unlabelled": cls.uses_unlabelled,
        "needs_labels": cls.needs_labels,
        "whole_scans": cls.whole_scans,
        "predictors": list(cls.predictors),
        "cost": {preset: None if value is None else value._asdict() for preset, value in costs.items()},
        "hyper_parameters": fields,
        "presets": {key: dict(value) for key, value in cls.presets.items()},
        "differences": _differences(settings, fields),
    }


def as_plain_text(value: Any) -> str:
    """Return the value of a setting for a table."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        if set(value) == {"name", "options"}:  # a network
            return f"{value['name']} ({as_plain_text(value['options'])})" if value["options"] else str(value["name"])
        return ", ".join(f"{key} {as_plain_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_plain_text(item) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def meaning_and_source(description: str) -> tuple[str, str]:
    """Divide the description of a setting: what follows the last semicolon is where the published value is from."""
    meaning, found, source = description.rpartition("; ")
    return (meaning, source) if found else (description, "")


def _resolved(name: str, preset: str) -> dict[str, Any]:
    """Return all settings of a run with a preset."""
    from fewscan.augment.settings import PRESETS as AUGMENTATIONS
    from fewscan.training.settings import resolve_settings

    settings = resolve_settings(method=name, preset=preset, config={}, overrides={})
    names = [key for key, value in AUGMENTATIONS.items() if value == settings.augmentation]
    values = settings.model_dump(mode="json", exclude={"method", "preset"})
    return values | ({"augmentation": names[0]} if names else {})


def _fields(model: "type[Settings]") -> dict[str, dict[str, Any]]:
    """Return default and source of every setting; those inside of others have dotted keys."""
    found: dict[str, dict[str, Any]] = {}
    for key, field in model.model_fields.items():
        default, inner = field.default, field.annotation
        if isinstance(inner, type) and hasattr(inner, "model_fields"):
            if any(each.description for each in inner.model_fields.values()):
                found |= {f"{key}.{name}": value for name, value in _fields(inner).items()}
                continue
            default = default.model_dump(mode="json")
        found[key] = {"default": default, "source": field.description or ""}
    return found


def _value_at(values: "Mapping[str, Any]", dotted: str) -> Any:
    for part in dotted.split("."):
        values = values[part]
    return values


def _differences(
    settings: "Mapping[str, Mapping[str, Any]]", fields: "Mapping[str, Mapping[str, Any]]"
) -> dict[str, dict[str, Any]]:
    """Return both values of every setting that differs; those of the method itself begin with ``hyper.``."""
    flat = {preset: dict(_flat(values)) for preset, values in settings.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    found = {key: {preset: values.get(key) for preset, values in flat.items()} for key in keys}
    found |= {f"hyper.{key}": dict(field["values"]) for key, field in fields.items()}
    return {key: values for key, values in found.items() if values["paper"] != values["recommended"]}


def _flat(values: "Mapping[str, Any]", prefix: str = "") -> "Iterator[tuple[str, Any]]":
    """Yield settings with dotted keys; a network is one value."""
    for key, value in values.items():
        if isinstance(value, dict) and set(value) != {"name", "options"}:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
