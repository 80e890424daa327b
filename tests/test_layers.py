"""Imports run downwards, as CONTRIBUTING says; those inside functions count too."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "fewscan"
LAYERS = (
    ("augment", "data", "losses", "metrics", "networks"),
    ("pictures",),
    ("inference", "methods", "registration", "training"),
    ("recipes",),
    ("experiments",),
    ("report",),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS, start=1) for name in names}


def part_of(module):
    """Return the part of the package that a module belongs to; what belongs to none is at the bottom."""
    words = module.split(".")[1:]
    return words[0] if words else ""


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "fewscan":
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == "fewscan")


@pytest.mark.parametrize("part", RANK)
def test_nothing_is_imported_from_above(part):
    files = {path.relative_to(SOURCE.parent).with_suffix(""): path for path in SOURCE.rglob("*.py")}
    named = {".".join(place.parts): path for place, path in files.items()}
    own = {module: path for module, path in named.items() if part_of(module) == part}
    assert own
    above = [
        f"{module} imports {found}"
        for module, path in own.items()
        for found in imported(path)
        if RANK.get(part_of(found), 0) > RANK[part]
    ]
    assert not above
