"""The methods by name. A new method is one file and one line here."""

from importlib import import_module

from fewscan.errors import UsageError
from fewscan.methods.base import Method
from fewscan.settings import nearest_key

_METHODS = {
    "supervised": "fewscan.methods.supervised:Supervised",
}


def method_names() -> list[str]:
    """Return the names of all methods."""
    return sorted(_METHODS)


def method_class(name: str) -> type[Method]:
    """Return the class of the method called ``name``.

    Raises
    ------
    UsageError
        For an unknown name; the message names the nearest one.
    """
    if name not in _METHODS:
        raise UsageError(f"unknown method {name!r}: {nearest_key(name, list(_METHODS))}")
    module, attribute = _METHODS[name].split(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found
