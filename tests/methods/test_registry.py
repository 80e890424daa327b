"""Methods by name: ours, and those that installed packages add."""

import inspect
import re
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from fewscan.errors import UsageError
from fewscan.methods import registry
from fewscan.methods.recipe import Recipe
from fewscan.methods.registry import aliases, is_trainable, method_class, method_names, trainable_class, trainable_names
from fewscan.methods.supervised import Supervised


class Theirs(Supervised):
    name = "theirs"


class TheirRecipe(Recipe):
    name = "their_recipe"


@pytest.fixture
def other_package(monkeypatch):
    """A package `theirs_package` that adds a method and a recipe, one of our names, and three that do not work."""
    module = types.ModuleType("theirs_package")
    module.Theirs, module.TheirRecipe, module.constant = Theirs, TheirRecipe, 7
    monkeypatch.setitem(sys.modules, "theirs_package", module)
    offered = {
        "fewscan.methods": {
            "theirs": "theirs_package:Theirs",
            "supervised": "theirs_package:Theirs",
            "misnamed": "theirs_package:Theirs",
            "constant": "theirs_package:constant",
            "gone": "theirs_package:Gone",
        },
        "fewscan.recipes": {"their_recipe": "theirs_package:TheirRecipe"},
    }

    def entry_points(*, group):
        return [EntryPoint(name, place, group) for name, place in offered.get(group, {}).items()]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    registry._installed.cache_clear()
    yield
    registry._installed.cache_clear()


def test_an_alias_stands_for_the_full_name():
    assert method_class("uamt").name == "uncertainty_aware_mean_teacher"


def test_an_installed_package_adds_methods(other_package):
    assert method_class("theirs") is trainable_class("theirs") is Theirs
    assert trainable_class("their_recipe") is TheirRecipe
    assert "theirs" in method_names()
    assert "their_recipe" not in method_names()
    assert {"theirs", "their_recipe"} <= set(trainable_names())


def test_an_installed_package_replaces_none_of_ours(other_package):
    assert method_class("supervised") is Supervised
    assert trainable_names().count("supervised") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("misnamed", "theirs_package:Theirs is not a Method whose `name` is 'misnamed'"),
        ("constant", "theirs_package:constant is not a Method"),
        ("gone", r"'gone' of another package \(theirs_package:Gone\) cannot be loaded: .*Gone"),
        ("their_recipe", "unknown method 'their_recipe'"),
        ("their", "unknown method 'their': did you mean 'theirs'"),
    ],
)
def test_what_does_not_work_is_told(name, message, other_package):
    with pytest.raises(UsageError, match=message):
        method_class(name)


def test_short_names_are_known():
    assert {"cps", "uamt"} <= set(aliases())
    for short, full in aliases().items():
        assert trainable_class(short) is trainable_class(full)
        assert is_trainable(short)
    assert is_trainable("joint")
    assert not is_trainable("pseudo_supervised")  # a stage
    assert not is_trainable("nnunet")


@pytest.mark.parametrize("name", method_names())
def test_a_method_can_be_read_in_one_sitting(name):
    """A file of at most 120 lines that knows nothing of devices, files, precision and logging."""
    text = Path(inspect.getfile(method_class(name))).read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    assert not re.search(r"autocast|\.cuda\(|\.to\(|import (logging|pathlib|os)\b|from pathlib|open\(", text)
