"""The table that the README shows is the one that the kept scores give."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
STUDY = "steps_hippocampus"


@pytest.fixture
def overview():
    spec = importlib.util.spec_from_file_location("overview_table", ROOT / "benchmarks" / "overview_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def one_study(overview, tmp_path, monkeypatch):
    """Return a function that changes one file of a copied study, and the table of its one column."""
    monkeypatch.setattr(overview, "COLUMNS", (overview.Column(STUDY, 4, "hippocampus"),))
    copied = tmp_path / "studies" / STUDY
    copied.mkdir(parents=True)
    for name in ("cells.json", "summary.csv", "comparison.csv"):
        shutil.copy(RESULTS / "studies" / STUDY / name, copied)

    def table(name, change):
        lines = (copied / name).read_text(encoding="utf-8").splitlines()
        (copied / name).write_text("\n".join(map(change, lines)), encoding="utf-8")
        return overview.overview_table(tmp_path)

    return table


def test_the_readme_has_the_table_that_the_kept_studies_give(overview):
    made = overview.overview_table(RESULTS)
    assert (RESULTS / "overview.md").read_text(encoding="utf-8") == made
    assert made in (ROOT / "README.md").read_text(encoding="utf-8")


def test_one_column(one_study):
    # Dice 0.8566 and, compared with it, 0.8575 (p = 0.97), 0.8625 and 0.8671 (p < 0.001); 0.8911 with all labels
    assert one_study("summary.csv", str).splitlines() == [
        "| points of test Dice | hippocampus<br>4 of 180<br>4000 steps<br>2 draws |",
        "| --- | --: |",
        "| `supervised`, Dice in % | 85.7 |",
        "| two supervised networks, mean of both | **+0.6** |",
        "| `mean_teacher` | +0.1 |",
        "| `co_learning` | **+1.0** |",
        "| `supervised`, all labels | +3.4 |",
    ]


def test_without_a_p_nothing_is_bold(one_study):
    assert "| `co_learning` | +1.0 |" in one_study("comparison.csv", _without_p)


def _without_p(line):
    *others, p = line.split(",")
    return line if p == "p_holm" else ",".join([*others, "n/a"])


def test_lines_that_miss_draws_are_refused(one_study):
    with pytest.raises(ValueError, match="misses draws"):
        one_study("summary.csv", lambda line: line.replace(",2,2,as predicted", ",1,2,as predicted"))


def test_lines_that_are_not_known_are_refused(one_study):
    with pytest.raises(ValueError, match="line new_method is not known"):
        one_study("comparison.csv", lambda line: line.replace("mean_teacher", "new_method"))
