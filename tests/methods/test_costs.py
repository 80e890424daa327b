"""What is shipped about the cost of methods, and how it is read."""

import pytest

from fewscan.methods import costs
from fewscan.methods.costs import NOT_MEASURED, Cost, as_words, cost
from fewscan.methods.registry import trainable_class, trainable_names


@pytest.fixture
def shipped(monkeypatch):
    """Two presets of one method, in place of the file."""
    values = {"bcp": {"recommended": {"time": 1.26, "memory": 1.04}, "paper": {"time": 2.0, "memory": 1.5}}}
    monkeypatch.setattr(costs, "measured", lambda: {"what": "", "setting": {}, "methods": values})


def test_the_presets_cost_is_found(shipped):
    assert cost("bcp") == Cost(time=1.26, memory=1.04)
    assert cost("bcp", "paper") == (2.0, 1.5)
    assert as_words(cost("bcp")) == ("1.3", "1.0")


def test_what_was_not_measured_says_so(shipped):
    assert cost("supervised") is None
    assert as_words(cost("supervised")) == (NOT_MEASURED, NOT_MEASURED)


@pytest.mark.parametrize("name", trainable_names())
def test_every_method_has_numbers_or_none(name):
    for preset in trainable_class(name).presets:
        found = cost(name, preset)
        assert found is None or (0 < found.time < 100 and 0 < found.memory < 100)


def test_the_file_names_registered_methods_alone():
    assert set(costs.measured()["methods"]) <= set(trainable_names())
