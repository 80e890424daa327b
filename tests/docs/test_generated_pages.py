"""The pages that are made while the documentation is built."""

import sys
from pathlib import Path

import pytest
import typer

from fewscan.cli.app import app
from fewscan.cli.method_details import describe
from fewscan.methods.registry import trainable_names

pytest.importorskip("sphinx", reason="the extra docs is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "_ext"))

import command_pages
import kept_files
import method_pages
import module_pages
from pages import write_pages


def test_every_method_has_a_page():
    pages = method_pages.method_pages()
    assert set(pages) == {"index.md", *(f"{name}.md" for name in trainable_names())}
    for name in trainable_names():
        assert f"]({name}.md)" in pages["index.md"]
        assert f"\n{name}\n" in pages["index.md"]


def test_a_page_holds_what_the_method_declares():
    details = describe("mean_teacher")
    page = method_pages.method_page(details)
    equations = [line for line in details["documentation"].splitlines() if line.startswith("(")]
    assert len(equations) == 3
    block = page.split("```text\n")[1].split("\n```")[0]
    assert block.splitlines() == equations
    assert "| `temperature` | `1` | `0.5` | tau of p\\_T^(1/tau), below 1 is surer | paper 2: 1 |" in page
    assert "| `optimiser.name` | `sgd` | `adamw` |" in page
    assert "fewscan train DATA --method mean_teacher --labelled 4 --out RUN" in page
    assert "fewscan predict RUN SCANS --out PREDICTIONS" in page
    assert "*Paper 2*: Cheng and Song" in page
    assert "Paper 3" not in page


def test_a_registration_page_says_how_to_register():
    page = method_pages.method_page(describe("registration"))
    assert "fewscan register RUN --moving SCAN --fixed SCAN --out FOLDER" in page
    assert "none is needed (`--labelled 0`)" in page


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("p_k and a * b", r"p\_k and a \* b"),
        ("|x| <= 1", r"\|x\| \<= 1"),
        ("see `p_k` and ``a*b``", "see `p_k` and ``a*b``"),
    ],
)
def test_prose_is_printed_as_it_is(text, markdown):
    assert method_pages.prose(text) == markdown


def test_pages_that_are_not_wanted_any_more_go(tmp_path):
    write_pages(tmp_path / "pages", {"a.md": "a", "b.md": "b"})
    before = (tmp_path / "pages" / "b.md").stat().st_mtime_ns
    write_pages(tmp_path / "pages", {"b.md": "b", "c.md": "c"})
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {"b.md", "c.md"}
    assert (tmp_path / "pages" / "b.md").stat().st_mtime_ns == before


def test_every_package_has_a_page_with_its_modules():
    pages = module_pages.package_pages()
    assert "fewscan.data.check.rst" in pages
    assert ".. automodule:: fewscan.losses.dice\n" in pages["fewscan.losses.rst"]
    assert not any(name.startswith("fewscan.cli") for name in pages)
    assert ".. automodule:: fewscan.seeding\n" in pages["fewscan.rst"]


def test_the_page_of_the_command_line_has_every_command_and_option():
    page = module_pages.reference_pages()["command_line.md"]
    for name, command in typer.main.get_command(app).commands.items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            shown = ", ".join(parameter.opts) if parameter.param_type_name == "option" else parameter.name.upper()
            assert f"| `{shown}` |" in section or f"| `{parameter.metavar}` |" in section, (name, shown)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("predict", "| `--views` | INTEGER, 1 or more | `1` | Average"),
        ("register", "| `--refine` | INTEGER, 0 or more | `0` | Steps"),
        ("register", "| `--max-folds` | NUMBER, 0 to 1 | `0.005` | Share"),
        ("train", "| `--set` | KEY=VALUE |  | One setting"),
        ("train", "| `--resume` |  |  | Continue"),
        ("train", "\nfewscan train DATA --out OUT [OPTIONS]\n"),
        ("predict", "\nfewscan predict RUN SCANS... --out OUT [OPTIONS]\n"),
        ("methods", "\nfewscan methods [NAME] [OPTIONS]\n"),
    ],
)
def test_a_command_says_what_it_takes(command, line):
    assert line in command_pages.command_page().split(f"\n## {command}\n")[1].split("\n## ")[0]


def test_equations_of_modules_keep_their_lines():
    lines = ["Title.", "", "(1)  L = |x|", "(2)  H", "", "Prose with |x| and a * b."]
    module_pages.readable(None, "module", "m", None, None, lines)
    assert lines[2:7] == ["::", "", "    (1)  L = |x|", "    (2)  H", ""]
    assert lines[7] == r"Prose with \|x\| and a \* b."


def test_types_become_links_where_the_module_knows_the_class():
    lines = [":param spec: Which.", ":type spec: NetworkSpec", ":type other: sequence of int", ":ivar a, b: Two."]
    module_pages.linked(None, "function", "fewscan.networks.registry.build_network", None, None, lines)
    assert lines[1] == ":type spec: :py:class:`~fewscan.networks.registry.NetworkSpec`"
    assert lines[2:] == [":type other: ``sequence of int``", ":ivar a,b: Two."]


def test_links_to_kept_tables_become_downloads():
    source = ["([all](../benchmarks/results/registration.md)), [page](protocol.md), [c](../benchmarks/tables.py)"]
    kept_files.downloads(None, "results", source)
    assert source == [
        "({download}`all <../benchmarks/results/registration.md>`), [page](protocol.md), [c](../benchmarks/tables.py)"
    ]
