"""``fewscan methods``: what there is."""

from typing import Annotated, Any

import typer

from fewscan.cli.console import emit


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, in detail.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the methods, or show one with its equations, settings and presets."""
    from fewscan.methods.registry import method_class, method_names

    if name is None:
        rows = {key: {"title": method_class(key).title, "paper": method_class(key).paper} for key in method_names()}
        width = max(len(key) for key in rows)
        text = "\n".join(f"{key:<{width}}  {row['title']} ({row['paper']})" for key, row in rows.items())
        emit({"methods": rows}, as_json=as_json, text=text)
        return
    details = describe(name)
    emit(details, as_json=as_json, text=as_text(details))


def describe(name: str) -> dict[str, Any]:
    """Return everything about one method as plain data."""
    from fewscan.methods.registry import method_class

    cls = method_class(name)
    fields = cls.hyper_parameters.model_fields
    return {
        "name": cls.name,
        "title": cls.title,
        "paper": cls.paper,
        "equations": cls.equations,
        "task": cls.task,
        "uses_unlabelled": cls.uses_unlabelled,
        "needs_labels": cls.needs_labels,
        "whole_scans": cls.whole_scans,
        "hyper_parameters": {
            key: {"default": field.default, "source": field.description} for key, field in fields.items()
        },
        "presets": {key: dict(value) for key, value in cls.presets.items()},
    }


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
