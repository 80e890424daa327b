"""The methods by name. A new method is one file and one line here."""

from importlib import import_module

from fewscan.errors import UsageError
from fewscan.methods.base import Method
from fewscan.settings import nearest_key

_METHODS = {
    "multi_atlas": "fewscan.methods.multi_atlas:MultiAtlasSegmentation",
    "registration": "fewscan.methods.registration:Registration",
    "supervised": "fewscan.methods.supervised:Supervised",
    "mean_teacher": "fewscan.methods.mean_teacher:MeanTeacher",
    "uncertainty_aware_mean_teacher": "fewscan.methods.uncertainty_aware_mean_teacher:UncertaintyAwareMeanTeacher",
}
_ALIASES = {"uamt": "uncertainty_aware_mean_teacher"}


def method_names() -> list[str]:
    """Return the names of all methods."""
    return sorted(_METHODS)


def method_class(name: str) -> type[Method]:
    """Return the class of the method called ``name``, which may be an alias; its ``name`` is the full one.

    Raises
    ------
    UsageError
        For an unknown name; the message names the nearest one.
    """
    full = _ALIASES.get(name, name)
    if full not in _METHODS:
        raise UsageError(f"unknown method {name!r}: {nearest_key(name, [*_METHODS, *_ALIASES])}")
    module, attribute = _METHODS[full].split(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found
