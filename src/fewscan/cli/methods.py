"""``fewscan methods``: what there is."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewscan.cli.console import emit

if TYPE_CHECKING:
    from fewscan.settings import Settings


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, in detail.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the methods, or show one with its equations, settings and presets."""
    from fewscan.methods.registry import trainable_class, trainable_names

    if name is None:
        classes = {key: trainable_class(key) for key in trainable_names()}
        rows = {key: {"title": found.title, "paper": found.paper} for key, found in classes.items()}
        width = max(len(key) for key in rows)
        text = "\n".join(f"{key:<{width}}  {row['title']} ({row['paper']})" for key, row in rows.items())
        emit({"methods": rows}, as_json=as_json, text=text)
        return
    details = describe(name)
    emit(details, as_json=as_json, text=as_text(details))


def describe(name: str) -> dict[str, Any]:
    """Return everything about one method as plain data."""
    from fewscan.methods.registry import trainable_class

    cls = trainable_class(name)
    return {
        "name": cls.name,
        "title": cls.title,
        "paper": cls.paper,
        "equations": cls.equations,
        "task": cls.task,
        "uses_unlabelled": cls.uses_unlabelled,
        "needs_labels": cls.needs_labels,
        "whole_scans": cls.whole_scans,
        "hyper_parameters": _fields(cls.hyper_parameters),
        "presets": {key: dict(value) for key, value in cls.presets.items()},
    }


def _fields(model: "type[Settings]") -> dict[str, Any]:
    """Return default and source of every setting; those inside of others have dotted keys."""
    found: dict[str, Any] = {}
    for key, field in model.model_fields.items():
        default, inner = field.default, field.annotation
        if isinstance(inner, type) and hasattr(inner, "model_fields"):
            if any(each.description for each in inner.model_fields.values()):
                found |= {f"{key}.{name}": value for name, value in _fields(inner).items()}
                continue
            default = default.model_dump(mode="json")
        found[key] = {"default": default, "source": field.description}
    return found


def as_text(details: dict[str, Any]) -> str:
    """Return the page of one method for the terminal."""
    import yaml

    labels = "needs labelled scans" if details["needs_labels"] else "labelled scans help but are not needed"
    unlabelled = "uses unlabelled scans" if details["uses_unlabelled"] else "uses no unlabelled scans"
    lines = [f"{details['name']}: {details['title']}", f"paper: {details['paper']}"]
    lines += [f"task: {details['task']}; {labels}; {unlabelled}", "", details["equations"], ""]
    lines += ["settings (--set hyper.NAME=VALUE):"]
    for key, field in details["hyper_parameters"].items():
        lines.append(f"  {key} = {field['default']}    {field['source']}")
    for key, value in details["presets"].items():
        body = yaml.safe_dump(value, sort_keys=False).strip() if value else "the defaults"
        lines += ["", f"preset {key}:", *(f"  {line}" for line in body.splitlines())]
    return "\n".join(lines)
