"""Makes one page for each package, with every public name of its modules, and lets Sphinx read our docstrings.

Docstrings are numpydoc, but formulas stand in them as in the papers: `|x|` is a norm here, and no substitution, and
numbered equations keep their lines.
"""

import re
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

from command_pages import NAME, command_page
from pages import write_pages

FOLDER = "reference"
LEFT_OUT = ("cli", "report", "__main__")
"""The command line has its own page (`command_pages`); makers of pictures and reports are no one's building blocks."""
_LITERAL = re.compile(r"\A\(\d|\A    |\A\S+   ")
_TYPE = re.compile(r"^(\s*:(?:var)?type [^:]+:) (.+)$")
_SEVERAL = re.compile(r"(?<=^:ivar )[^:]+(?=:)|(?<=^:vartype )[^:]+(?=:)")
"""Names of attributes that share a description; Sphinx would take the first of them for a type."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / FOLDER, reference_pages()))
    app.connect("autodoc-skip-member", skipped)
    app.connect("autodoc-process-docstring", readable, priority=400)  # napoleon comes at 500
    app.connect("autodoc-process-docstring", linked, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def reference_pages() -> dict[str, str]:
    """Return every page of the folder by file name: those of the packages, and that of the command line."""
    return package_pages() | {NAME: command_page()}


def package_pages() -> dict[str, str]:
    """Return every page by file name."""
    packages = {"fewscan": modules_of("fewscan")}
    waiting = [name for name, is_package in packages["fewscan"].items() if is_package]
    while waiting:
        name = waiting.pop(0)
        packages[name] = modules_of(name)
        waiting += [inner for inner, is_package in packages[name].items() if is_package]
    pages = {f"{name}.rst": package_page(name, modules) for name, modules in sorted(packages.items())}
    names = "\n".join(f"   {name.removesuffix('.rst')}" for name in pages)
    index = f"{heading('Modules', '=')}\n\n.. toctree::\n   :maxdepth: 1\n\n{names}\n"
    return pages | {"index.rst": index}


def modules_of(package: str) -> dict[str, bool]:
    """Return the public modules of a package, and whether each is a package."""
    found = iter_modules(import_module(package).__path__, f"{package}.")
    return {item.name: item.ispkg for item in found if not item.name.rpartition(".")[2].startswith(LEFT_OUT)}


def package_page(package: str, modules: dict[str, bool]) -> str:
    """Return the page of a package: what it is, and each of its modules."""
    parts = [heading(package, "="), f".. automodule:: {package}\n   :no-index:"]
    for name, is_package in modules.items():
        if not is_package:
            parts += [
                heading(name.removeprefix(f"{package}."), "-"),
                f".. automodule:: {name}\n   :members:\n   :ignore-module-all:",
            ]
    return "\n\n".join(parts) + "\n"


def heading(text: str, line: str) -> str:
    """Return a title."""
    return f"{text}\n{line * len(text)}"


def skipped(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what Python or pydantic adds to a class: its own docstring says what the fields are."""
    return True if name == "model_config" or type(obj).__name__ == "_tuplegetter" else None


def readable(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change a docstring in place, before its sections are read, so that formulas are printed as they are."""
    if what == "module":
        lines[:] = paragraphs("\n".join(lines).split("\n\n")).split("\n")
    lines[:] = [line if line.startswith("    (") else plain(line) for line in lines]


def plain(line: str) -> str:
    """Return a line without markup but for what stands in backticks."""
    parts = re.split(r"(`+[^`]+`+)", line)
    return "".join(
        part if k % 2 else re.sub(r"(?<!\\)([|*]|(?<=\w)_(?!\w))", r"\\\1", part) for k, part in enumerate(parts)
    )


def linked(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change the types of parameters and attributes in place: links where the module knows a class of that name."""
    module = name
    while module not in sys.modules:
        module = module.rpartition(".")[0]
    for index, line in enumerate(lines):
        line = _SEVERAL.sub(lambda found: found[0].replace(", ", ","), line)
        lines[index] = _TYPE.sub(lambda found: f"{found[1]} {type_text(found[2], sys.modules[module])}", line)


def type_text(text: str, module: ModuleType) -> str:
    """Return a type as a link to the class, or as it is."""
    found = getattr(module, text, None)
    if isinstance(found, type) and found.__module__.startswith("fewscan."):
        return f":py:class:`~{found.__module__}.{found.__qualname__}`"
    return text if "`" in text else "``{}``".format(text.replace("\\*", "*").replace("\\|", "|"))


def paragraphs(given: list[str]) -> str:
    """Return the docstring of a module; numbered equations and tables of files keep their lines."""
    written: list[str] = []
    for paragraph in given:
        if _LITERAL.search(paragraph) and "===" not in paragraph and not (written and written[-1].endswith("::")):
            written.append("::")
            paragraph = "\n".join(f"    {line}" for line in paragraph.split("\n"))
        written.append(paragraph)
    return "\n\n".join(written)
