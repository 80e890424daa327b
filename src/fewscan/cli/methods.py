"""``fewscan methods``: what there is, what it costs, and when to use it."""

from typing import Annotated, Any

import typer

from fewscan.cli.console import emit
from fewscan.cli.method_details import PRESETS, as_plain_text, describe
from fewscan.methods.founding_papers import FOUNDING_PAPERS

HEAD = ("method", "what and where from", "networks and heads", "steps", "time", "memory", "when to use it")
WIDE, NARROW = 160, 110
"""Characters of a line where the terminal does not tell, and below which a table would be all folds."""

NOTES = (
    "steps: of a training with preset recommended unless told, of all networks and stages together.",
    "time, memory: of a training step with preset recommended, as multiples of supervised training on as many images.",
    "above, below: points of Dice against supervised training, where shown, on hippocampi (2, 4 labels) and atria (4).",
    "One method with its equations, settings and presets: fewscan methods NAME",
)


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, in detail.")] = None,
    brief: Annotated[
        bool, typer.Option("--brief", help="List the cost of each method and when to use it, and nothing more.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the methods, where they are from, their networks and cost, or show one with equations and presets.

    Time and memory are those of a training step, as multiples of supervised training on as many images.
    """
    if name is None:
        rows = overview()
        emit({"methods": rows}, as_json=as_json, text=brief_text(rows) if brief else overview_text(rows))
        return
    details = describe(name)
    emit(details, as_json=as_json, text=as_text(details))


def overview() -> dict[str, dict[str, Any]]:
    """Return one row for every method, by name."""
    from fewscan.methods.costs import cost
    from fewscan.methods.registry import aliases, trainable_class, trainable_names
    from fewscan.training.settings import resolve_settings

    rows = {}
    for key in trainable_names():
        found, measured = trainable_class(key), cost(key)
        rows[key] = {
            "title": found.title,
            "paper": found.paper,
            "aliases": sorted(short for short, full in aliases().items() if full == key),
            "parts": found.parts,
            "steps": resolve_settings(method=key, preset="recommended", config={}, overrides={}).iterations,
            "task": found.task,
            "uses_unlabelled": found.uses_unlabelled,
            "time": None if measured is None else measured.time,
            "memory": None if measured is None else measured.memory,
            "when": found.when,
        }
    return rows


def brief_text(rows: dict[str, dict[str, Any]]) -> str:
    """Return the methods for the terminal, each with its cost on one line and when to use it below."""
    from textwrap import fill

    from fewscan.metrics.text_table import align

    table = align([("method", "time", "memory"), *((key, *_cost_words(row)) for key, row in rows.items())])
    width = _terminal_width()
    lines = [table[0]]
    for line, row in zip(table[1:], rows.values(), strict=True):
        lines += [line, fill(row["when"], width, initial_indent="  ", subsequent_indent="  ")]
    return "\n".join([*lines, "", *_notes(width)])


def overview_text(rows: dict[str, dict[str, Any]]) -> str:
    """Return all columns for the terminal, as wide as that is; on a narrow one, a paragraph for each method."""
    lines: list[tuple[str, ...]] = []
    for key, row in rows.items():
        known = "".join(f" Also called {alias}." for alias in row["aliases"])
        what = f"{row['title']}. {row['paper']}.{known}"
        lines.append((key, what, row["parts"], str(row["steps"]), *_cost_words(row), row["when"]))
    width = _terminal_width()
    shown = as_paragraphs(HEAD, lines, width=width) if width < NARROW else as_table(HEAD, lines, width=width)
    return "\n".join([shown, "", *_notes(width), *_founding_papers()])


def _notes(width: int) -> list[str]:
    from textwrap import fill

    return [fill(note, width) for note in NOTES]


def _cost_words(row: dict[str, Any]) -> tuple[str, str]:
    from fewscan.methods.costs import Cost, as_words

    return as_words(None if row["time"] is None else Cost(row["time"], row["memory"]))


def _terminal_width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size((WIDE, 24)).columns


def as_table(head: tuple[str, ...], rows: list[tuple[str, ...]], *, width: int) -> str:
    """Return a table whose cells are folded to fit the width; the first column never is."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(head):
        table.add_column(name, no_wrap=index == 0)
    for row in rows:
        table.add_row(*row)
        table.add_row()
    console = Console(width=width, no_color=True, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines())


def as_paragraphs(head: tuple[str, ...], rows: list[tuple[str, ...]], *, width: int) -> str:
    """Return the cells of each row below one another, each with the name of its column."""
    from textwrap import fill

    paragraphs = []
    for first, *others in rows:
        named = [f"{name}: {cell}" for name, cell in zip(head[1:], others, strict=True)]
        paragraphs.append(
            "\n".join([first, *(fill(line, width, initial_indent="  ", subsequent_indent="    ") for line in named)])
        )
    return "\n\n".join(paragraphs)


def as_text(details: dict[str, Any]) -> str:
    """Return the page of one method for the terminal."""
    labels = "needs labelled scans" if details["needs_labels"] else "labelled scans help but are not needed"
    unlabelled = "uses unlabelled scans" if details["uses_unlabelled"] else "uses no unlabelled scans"
    lines = [
        f"{details['name']}: {details['title']}",
        f"paper: {details['paper']}",
        *_founding_papers(details["paper"], details["documentation"]),
        f"task: {details['task']}; {labels}; {unlabelled}",
        f"networks and heads: {details['parts']}",
        f"when to use it: {details['when']}",
        f"a training step, as a multiple of supervised training: {_costs(details['cost'])}",
        "",
        details["documentation"],
        "",
        "settings (--set hyper.NAME=VALUE); what each is, and where the published value is from:",
        *(_setting(key, field) for key, field in details["hyper_parameters"].items()),
        "",
        f"presets: paper, as published ({details['paper']}); recommended, {details['tuned']}",
    ]
    if not details["differences"]:
        return "\n".join([*lines, "both are the same"])
    rows = [
        (key, *(as_plain_text(values[preset]) for preset in PRESETS)) for key, values in details["differences"].items()
    ]
    return "\n".join([*lines, *_columns([("where they differ", *PRESETS), *rows])])


def _founding_papers(*texts: str) -> list[str]:
    """Return what "paper 1" to "paper 3" are, of those that the texts name; all of them without a text."""
    text = " ".join(texts).lower()
    return [f"  {name}: {found}" for name, found in FOUNDING_PAPERS.items() if not texts or name in text]


def _costs(costs: dict[str, dict[str, float] | None]) -> str:
    found = [
        f"time {value['time']:.1f}, memory {value['memory']:.1f} with preset {preset}"
        for preset, value in costs.items()
        if value is not None
    ]
    return "; ".join(found) or "not measured"


def _setting(key: str, field: dict[str, Any]) -> str:
    shown = {preset: as_plain_text(value) for preset, value in field["values"].items()}
    both = (
        shown["paper"] if len(set(shown.values())) == 1 else f"{shown['paper']} (recommended: {shown['recommended']})"
    )
    return f"  {key} = {both}    {field['source']}".rstrip()


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
