"""Where the hyper-parameters of a run leave the published method, whose equations the class shows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fewscan.methods.base import Trainable


class Departure(NamedTuple):
    """A hyper-parameter by its dotted name: the value of the run, and the published one."""

    name: str
    value: Any
    published: Any


def published_values(method: type[Trainable]) -> dict[str, Any]:
    """Return the hyper-parameters of preset ``paper``, by dotted name."""
    given = method.presets.get("paper", {}).get("hyper", {})
    hyper = method.hyper_parameters.parse(given, source=f"preset paper of {method.name}")
    return flat(hyper.model_dump(mode="json"))


def departures(method: type[Trainable], hyper: Mapping[str, Any]) -> list[Departure]:
    """Return the hyper-parameters of a run that differ from the published ones, in the order of the method.

    Parameters
    ----------
    method : type
        What was trained.
    hyper : mapping
        The run's own; those that this version of the method does not know are left out.
    """
    own = flat(hyper)
    pairs = ((name, own[name], value) for name, value in published_values(method).items() if name in own)
    return [Departure(*pair) for pair in pairs if _plain(pair[1]) != _plain(pair[2])]


def flat(values: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Return nested settings by dotted name."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{start}{name}.") if isinstance(value, Mapping) else {f"{start}{name}": value}
    return found


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
