"""Makes a page for each registered method, and a table of all: a new method is documented by being registered.

Everything is read off the method's class and the docstring of its module by `fewscan.cli.method_details.describe`.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from fewscan.cli.method_details import PRESETS, as_plain_text, describe, meaning_and_source
from fewscan.cli.methods import overview
from fewscan.cli.train import next_command
from fewscan.methods.costs import Cost, as_words
from fewscan.methods.founding_papers import FOUNDING_PAPERS
from pages import write_pages

FOLDER = "methods"
_EQUATION = re.compile(r"\(\d|\s")
"""What an equation, or its continuation, begins with."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / FOLDER, method_pages()))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def method_pages() -> dict[str, str]:
    """Return every page by file name."""
    rows = overview()
    return {f"{name}.md": method_page(describe(name)) for name in rows} | {"index.md": index_page(rows)}


def index_page(rows: dict[str, dict[str, Any]]) -> str:
    """Return the table of all methods."""
    head = ["method", "what", "networks and heads", "time", "memory", "when to use it"]
    lines = []
    for name, row in rows.items():
        time, memory = as_words(None if row["time"] is None else Cost(row["time"], row["memory"]))
        lines.append([f"[`{name}`]({name}.md)", *map(prose, (row["title"], row["parts"])), time, memory, row["when"]])
    intro = (
        "# Methods\n\n"
        "Each is trained by `fewscan train DATA --method NAME --out RUN`; `fewscan methods` prints this table, "
        "`fewscan methods NAME` what its page says. Time and memory are those of one training step with preset "
        "`recommended`, as multiples of supervised training on as many images. Points above or below, where a "
        "difference was shown, are of Dice against supervised training, on hippocampus volumes with 2 and 4 labelled "
        "scans (two draws) and on atria with 4 (one): [the results](../results.md)."
    )
    papers = "\n".join(f"- {name.capitalize()}: {prose(text)}." for name, text in FOUNDING_PAPERS.items())
    names = "\n".join(rows)
    return "\n\n".join(
        [
            intro,
            table(head, lines),
            "## Founding papers\n\nSettings and equations refer to three papers by number.",
            papers,
            f"```{{toctree}}\n:hidden:\n\n{names}\n```\n",
        ]
    )


def method_page(details: dict[str, Any]) -> str:
    """Return the page of one method."""
    name = details["name"]
    train = f"fewscan train DATA --method {name} --labelled 4 --out RUN"
    parts = [
        f"# {name}\n\n**{prose(details['title'])}**",
        f"Source: {prose(details['paper'])}." + founding_papers(details),
        "## When to use it\n\n" + prose(details["when"]),
        f"```\n{train}\n{next_command(name, Path('RUN'))}\n```",
        "## Equations\n\n" + documentation(details["documentation"]),
        "## What takes part\n\n" + facts(details),
        "## Settings\n\n" + settings(details["hyper_parameters"]),
        "## Presets\n\n" + differences(details),
    ]
    return "\n\n".join(parts) + "\n"


def founding_papers(details: dict[str, Any]) -> str:
    """Return what "paper 1" is, where the page names it."""
    text = f"{details['paper']} {details['documentation']}".lower()
    return "".join(
        f"\n\n*{name.capitalize()}*: {prose(found)}." for name, found in FOUNDING_PAPERS.items() if name in text
    )


def documentation(text: str) -> str:
    """Return the docstring of the module in Markdown: paragraphs of numbered equations as they are, in code blocks."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        as_it_is = _EQUATION.match(paragraph) or "===" in paragraph
        paragraphs.append(f"```text\n{paragraph}\n```" if as_it_is else prose(paragraph))
    return "\n\n".join(paragraphs)


def facts(details: dict[str, Any]) -> str:
    """Return networks, what kinds of scans are used, and the cost of a step."""
    lines = [
        f"Networks and heads: {prose(details['parts'])}.",
        "Uses unlabelled scans." if details["uses_unlabelled"] else "Uses no unlabelled scans.",
        "Needs labelled scans."
        if details["needs_labels"]
        else "Labelled scans help, but none is needed (`--labelled 0`).",
    ]
    if details["whole_scans"]:
        lines.append("Trains on whole scans instead of patches.")
    if details["predictors"]:
        names = ", ".join(f"`--predictor {name}`" for name in details["predictors"])
        lines.append(f"Beside its own, other predictors: {names}.")
    costs = []
    for preset, values in details["cost"].items():
        if values is not None:
            time, memory = as_words(Cost(**values))
            costs.append(f"{time} times the time and {memory} times the memory with preset `{preset}`")
    lines.append(f"A training step against supervised training: {', '.join(costs) or 'not measured'}.")
    return "\n".join(f"- {line}" for line in lines)


def settings(fields: dict[str, dict[str, Any]]) -> str:
    """Return the table of the method's own settings."""
    if not fields:
        return "It has none of its own."
    rows = []
    for key, field in fields.items():
        values = [code(field["values"][preset]) for preset in PRESETS]
        meaning, source = meaning_and_source(field["source"])
        rows.append([f"`{key}`", *values, prose(meaning), prose(source)])
    return "Set by `--set hyper.NAME=VALUE`.\n\n" + table(["setting", *PRESETS, "what it is", "source"], rows)


def differences(details: dict[str, Any]) -> str:
    """Return the table of what differs between the presets."""
    intro = f"`paper`: as published. `recommended`, used unless told: {prose(details['tuned'])}."
    if not details["differences"]:
        return intro + " They are the same."
    rows = [
        [f"`{key}`", *(code(values[preset]) for preset in PRESETS)] for key, values in details["differences"].items()
    ]
    return f"{intro}\n\n{table(['setting', *PRESETS], rows)}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def code(value: Any) -> str:
    """Return the value of a setting for a cell of a table."""
    return f"`{as_plain_text(value)}`".replace("|", r"\|")


def prose(text: str) -> str:
    """Return text that Markdown prints as it is, but for what stands in backticks."""
    parts = re.split(r"(`+[^`]+`+)", text)
    return "".join(part if k % 2 else re.sub(r"([*_<>|\[\]~$\\])", r"\\\1", part) for k, part in enumerate(parts))
