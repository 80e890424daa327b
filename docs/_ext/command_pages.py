"""Makes the page of the command line: every command with its arguments and options, as its function declares them."""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import typer

from fewscan.cli.app import app
from method_pages import prose, table

NAME = "command_line.md"
VALUES = {Path: "PATH", int: "INTEGER", float: "NUMBER", str: "TEXT"}
HEAD = ["argument or option", "value", "default", "what it is"]
INTRO = """# Command line

What `fewscan COMMAND --help` prints, for all commands. Where the default is empty, nothing is set unless you set it, or
the last column says what holds; `--preset` is `recommended` unless told. Settings of a training are given by
`--set KEY=VALUE`: [the page of each method](../methods/index.md) lists its own, `RUN/settings.yaml` has all of them.

Exit codes: 0 finished; 2 the command or a setting is wrong; 3 scans, labels or files are wrong; 4 stopped, and can be
resumed. `fewscan --version` prints the version."""


def command_page() -> str:
    """Return the page."""
    functions = {command.callback.__name__: command.callback for command in app.registered_commands if command.callback}
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parts = [INTRO]
    for name, command in commands.items():
        rows = [row(parameter, functions[name]) for parameter in command.params]
        names = [usage(parameter) for parameter in command.params]
        parts += [
            f"## {name}",
            f"```\n{' '.join(['fewscan', name, *filter(None, names), '[OPTIONS]'])}\n```",
            *(paragraph(text) for text in command.help.split("\n\n")),
            table(HEAD, rows),
        ]
    return "\n\n".join(parts) + "\n"


def paragraph(text: str) -> str:
    """Return a paragraph of help in Markdown; one whose lines Typer is told to keep as a block."""
    if text.startswith("\b"):
        return "```\n" + text.removeprefix("\b").strip("\n") + "\n```"
    return prose(" ".join(text.split()))


def usage(parameter: Any) -> str:
    """Return how an argument or a required option stands in the command, and nothing for other options."""
    if parameter.param_type_name == "option":
        return f"{parameter.opts[0]} {parameter.metavar or parameter.name.upper()}" if parameter.required else ""
    name = argument_name(parameter) + ("..." if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def argument_name(parameter: Any) -> str:
    """Return what the help calls an argument."""
    return str(parameter.metavar or parameter.name.upper())


def row(parameter: Any, function: Any) -> list[str]:
    """Return the line of an argument or option."""
    is_option = parameter.param_type_name == "option"
    name = ", ".join(parameter.opts) if is_option else argument_name(parameter)
    value, least, most = declared(parameter.name, function)
    value = parameter.metavar if is_option and parameter.metavar else value
    if least is not None or most is not None:
        value += f", {least} to {most}" if most is not None else f", {least} or more"
    unset = parameter.default is None or parameter.default is False
    default = "required" if parameter.required else "" if unset else f"`{parameter.default}`"
    return [f"`{name}`", prose(value), default, prose(parameter.help or "")]


def declared(name: str, function: Any) -> tuple[str, Any, Any]:
    """Return what kind of value a parameter of a command takes, empty for a switch, and its least and largest one."""
    hint = get_type_hints(function, include_extras=True)[name]
    kind, info = get_args(hint)
    kinds = list(plain_types(kind))
    return ", ".join(VALUES[kind] for kind in kinds if kind is not bool), info.min, info.max


def plain_types(kind: Any) -> Iterator[Any]:
    """Return the types of which one is meant, without lists and None."""
    if get_origin(kind) is None:
        if kind is not NoneType:
            yield kind
        return
    for inner in get_args(kind):
        yield from plain_types(inner)
