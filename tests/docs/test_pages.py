"""What the pages tell a reader to type is understood: commands with their options, settings, studies, Python."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

import fewscan
from fewscan.cli.app import app
from fewscan.experiments.study import Study
from fewscan.training.settings import parse_assignments, resolve_settings

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if path.parent.name not in ("methods", "reference", "_build")]
MADE = [("docs", "methods"), ("docs", "reference")]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def code_blocks(language):
    """Return the code blocks of all hand-written pages in one language, each with the name of its page."""
    return [
        pytest.param(text, id=f"{path.stem}-{index}")
        for path in PAGES
        for index, (found, text) in enumerate(_BLOCK.findall(path.read_text(encoding="utf-8")))
        if found == language
    ]


def commands():
    """Return every line that runs fewscan, and those within running text."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        lines = [line for _, block in _BLOCK.findall(text) for line in block.splitlines()]
        lines += [inline.replace("\n", " ") for inline in re.findall(r"`(fewscan [^`]+)`", _BLOCK.sub("", text))]
        found += [
            pytest.param(line, id=f"{path.stem}: {line}") for line in lines if re.search(r"(^|-m )fewscan ", line)
        ]
    return found


@pytest.mark.parametrize("line", commands())
def test_commands_are_understood(line):
    command = typer.main.get_command(app)
    words = shlex.split(line, comments=True)
    words = words[words.index("fewscan") + 1 :]
    assert words, line
    inner = command.commands[words[0]]
    if "--out" not in words and any("--out" in option.opts and option.required for option in inner.params):
        assert len(words) <= 3, f"neither a whole command nor the name of one: {line}"
        return
    try:
        context = inner.make_context(words[0], words[1:])
    except Exception as error:  # what Typer raises has another name in each version
        pytest.fail(f"{line}: {error}")
    given = context.params
    if words[0] == "train" and "--resume" not in words:
        assert given["method"], "what is trained when no method is named depends on the data"
        overrides = parse_assignments(given["set_"] or [])
        resolve_settings(method=given["method"], preset=given["preset"], config={}, overrides=overrides)


def test_every_public_name_is_in_the_reference():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    for name in set(fewscan.__all__) - {"__version__"}:
        assert re.search(rf"auto(function|class):: (fewscan\.)?{name}\n", text), name


def test_there_are_commands():
    assert len(commands()) > 40


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in PAGES])
def test_links_have_a_text_and_lead_somewhere(path):
    """An editor and GitHub show a link without text as nothing; `make docs` makes pages of methods and modules."""
    text = path.read_text(encoding="utf-8")
    assert "[](" not in text
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        made = (path.parent / target).resolve().relative_to(DOCS.parent).parts[:2] in MADE
        assert made or (path.parent / target).exists(), target


@pytest.mark.parametrize("text", code_blocks("yaml"))
def test_studies_are_understood(text):
    assert Study.parse(yaml.safe_load(text), source="the page").methods


@pytest.mark.parametrize("text", code_blocks("python"))
def test_python_compiles(text):
    assert compile(text, "page", "exec").co_code
