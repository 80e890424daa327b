"""What a training step of each method costs, relative to supervised training; measured, and shipped with the package.

``costs.json`` is written by ``benchmarks/method_costs_table.py``. A method that it does not name was not measured.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

NOT_MEASURED = "not measured"


class Cost(NamedTuple):
    """One step of a method as a multiple of one of supervised training on as many images.

    Attributes
    ----------
    time : float
        Of processor time.
    memory : float
        Of the growth of peak memory.
    """

    time: float
    memory: float


@cache
def measured() -> dict[str, Any]:
    """Return the content of ``costs.json``: what was measured, at which setting, and the values by method."""
    found: dict[str, Any] = json.loads(files("fewscan.methods").joinpath("costs.json").read_text(encoding="utf-8"))
    return found


def cost(method: str, preset: str = "recommended") -> Cost | None:
    """Return the cost of a method with one of its presets; None where it was not measured."""
    values = measured()["methods"].get(method, {}).get(preset)
    return None if values is None else Cost(time=values["time"], memory=values["memory"])


def as_words(value: Cost | None) -> tuple[str, str]:
    """Return time and memory for a table."""
    if value is None:
        return NOT_MEASURED, NOT_MEASURED
    return f"{value.time:.1f}", f"{value.memory:.1f}"
