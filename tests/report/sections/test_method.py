import pytest

from fewscan.experiments.tables import Table
from fewscan.methods.founding_papers import FOUNDING_PAPERS
from fewscan.methods.registry import trainable_class
from fewscan.report.document.content import Code, Facts, Text
from fewscan.report.sections.method import AS_PUBLISHED, method_blocks
from fewscan.training.settings import resolve_settings


@pytest.fixture
def inside(of_kind):
    """Return a function that gives the blocks of one kind about a method."""

    def make(kind, preset="recommended", name="mean_teacher"):
        settings = resolve_settings(method=name, preset=preset, config={}, overrides={})
        [fold] = method_blocks(settings, trainable_class(name))
        return of_kind(kind, fold.blocks)

    return make


def test_beside_the_equation_stands_what_this_training_did_otherwise(inside):
    [equation] = inside(Code)
    assert equation.title == "As published"
    said = inside(Text)[-1].text
    assert said.startswith("This training differs from the published method in: ")
    assert "consistency = relative (published: squared)" in said
    [table] = inside(Table)
    rows = {row[0]: row[1:3] for row in table.rows}
    assert rows["consistency"] == ("relative", "squared")
    assert rows["noise_clip"] == ("0.2", "0.2")


def test_a_training_as_published_says_so(inside):
    assert inside(Text, "paper")[-1].text == AS_PUBLISHED


def test_papers_that_are_named_by_number_are_named_in_full(inside):
    [papers] = inside(Facts)
    assert ("Paper 2", FOUNDING_PAPERS["paper 2"]) in papers.items
    [papers] = inside(Facts, name="joint")
    assert ("Paper 1", FOUNDING_PAPERS["paper 1"]) in papers.items
