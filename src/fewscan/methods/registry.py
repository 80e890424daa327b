"""The methods and recipes by name. A new method is one file and one line here.

An installed package adds its own by entry points of the groups ``fewscan.methods`` and ``fewscan.recipes``, whose names
are those of the methods; it cannot replace one of ours. Nothing is looked for in a file that was handed on.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from fewscan.errors import UsageError
from fewscan.methods.base import Method, Trainable
from fewscan.settings import nearest_key

_METHODS = {
    "adversarial": "fewscan.methods.adversarial:Adversarial",
    "dtc": "fewscan.methods.dtc:DTC",
    "mc_net": "fewscan.methods.mc_net:MCNet",
    "sassnet": "fewscan.methods.sassnet:SASSNet",
    "ss_net": "fewscan.methods.ss_net:SSNet",
    "urpc": "fewscan.methods.urpc:URPC",
    "bcp": "fewscan.methods.bcp:BCP",
    "co_learning": "fewscan.methods.co_learning:CoLearning",
    "cross_pseudo_supervision": "fewscan.methods.cross_pseudo_supervision:CrossPseudoSupervision",
    "cross_teaching": "fewscan.methods.cross_teaching:CrossTeaching",
    "entropy_minimisation": "fewscan.methods.entropy_minimisation:EntropyMinimisation",
    "fixmatch": "fewscan.methods.fixmatch:FixMatch",
    "interpolation_consistency": "fewscan.methods.interpolation_consistency:InterpolationConsistency",
    "multi_atlas": "fewscan.methods.multi_atlas:MultiAtlasSegmentation",
    "registration": "fewscan.methods.registration:Registration",
    "supervised": "fewscan.methods.supervised:Supervised",
    "mean_teacher": "fewscan.methods.mean_teacher:MeanTeacher",
    "uncertainty_aware_mean_teacher": "fewscan.methods.uncertainty_aware_mean_teacher:UncertaintyAwareMeanTeacher",
}
# trainings that only stages of recipes are; not for the command line
_STAGES = {"pseudo_supervised": "fewscan.methods.pseudo_supervised:PseudoSupervised"}
# by name alone, as recipes are built on the engine, which is built on methods
_RECIPES = {"joint": "fewscan.recipes.joint:Joint"}
_ALIASES = {"cps": "cross_pseudo_supervision", "uamt": "uncertainty_aware_mean_teacher"}


def method_names() -> list[str]:
    """Return the names of all methods that are one training."""
    return sorted({*_METHODS, *_installed("methods")})


def trainable_names() -> list[str]:
    """Return the names of all that ``--method`` takes: methods and recipes."""
    return sorted({*method_names(), *_RECIPES, *_installed("recipes")})


def aliases() -> dict[str, str]:
    """Return the short names that some methods also have, and the full ones."""
    return dict(_ALIASES)


def is_trainable(name: str) -> bool:
    """Tell whether ``--method`` takes the name, which may be an alias."""
    return _ALIASES.get(name, name) in trainable_names()


def method_class(name: str) -> type[Method]:
    """Return the class of the method called ``name``, which may be an alias; its ``name`` is the full one.

    Raises
    ------
    UsageError
        For an unknown name; the message names the nearest one. For a method of another package that cannot be loaded.
    """
    found: type[Method] = _find(name, _METHODS | _STAGES, ("methods",), kind=Method)
    return found


def trainable_class(name: str) -> type[Trainable]:
    """Return the class of the method or recipe called ``name``; arguments and errors as of `method_class`."""
    found: type[Trainable] = _find(name, _METHODS | _RECIPES, ("methods", "recipes"), kind=Trainable)
    return found


def _find(name: str, ours: Mapping[str, str], groups: tuple[str, ...], *, kind: type) -> Any:
    full = _ALIASES.get(name, name)
    if full in ours:
        return _load(ours[full])
    theirs = {key: place for group in groups for key, place in _installed(group).items()}
    if full not in theirs:
        offered = [*(set(ours) - set(_STAGES)), *theirs, *_ALIASES]
        raise UsageError(f"unknown method {name!r}: {nearest_key(name, offered)}")
    try:
        found = _load(theirs[full])
    except Exception as error:  # whatever the other package does wrong
        raise UsageError(f"method {full!r} of another package ({theirs[full]}) cannot be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, kind) and getattr(found, "name", "") == full):
        raise UsageError(
            f"method {full!r} of another package: {theirs[full]} is not a {kind.__name__} whose `name` is {full!r}",
            mend="see the documentation's page on adding a method",
        )
    return found


@cache
def _installed(group: str) -> Mapping[str, str]:
    """Return module and class of what installed packages add, by name."""
    return {point.name: point.value for point in entry_points(group=f"fewscan.{group}")}


def _load(place: str) -> Any:
    module, attribute = place.split(":")
    return getattr(import_module(module), attribute)
