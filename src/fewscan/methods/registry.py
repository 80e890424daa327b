"""The methods and recipes by name. A new method is one file and one line here."""

from collections.abc import Mapping
from importlib import import_module
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
    return sorted(_METHODS)


def trainable_names() -> list[str]:
    """Return the names of all that ``--method`` takes: methods and recipes."""
    return sorted([*_METHODS, *_RECIPES])


def method_class(name: str) -> type[Method]:
    """Return the class of the method called ``name``, which may be an alias; its ``name`` is the full one.

    Raises
    ------
    UsageError
        For an unknown name; the message names the nearest one.
    """
    found: type[Method] = _find(name, _METHODS | _STAGES, offered=[*_METHODS, *_ALIASES])
    return found


def trainable_class(name: str) -> type[Trainable]:
    """Return the class of the method or recipe called ``name``; arguments and errors as of `method_class`."""
    found: type[Trainable] = _find(name, _METHODS | _RECIPES, offered=[*_METHODS, *_RECIPES, *_ALIASES])
    return found


def _find(name: str, places: Mapping[str, str], *, offered: list[str]) -> Any:
    full = _ALIASES.get(name, name)
    if full not in places:
        raise UsageError(f"unknown method {name!r}: {nearest_key(name, offered)}")
    module, attribute = places[full].split(":")
    return getattr(import_module(module), attribute)
