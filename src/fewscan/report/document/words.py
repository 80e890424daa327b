"""Numbers as people read them."""

from math import isnan
from typing import Any

from fewscan.experiments.tables import MISSING, number, p_value

__all__ = ["count", "duration", "for_picture", "interval", "memory", "number", "p_value", "plain", "spread"]


def spread(mean: float, deviation: float, decimals: int = 3) -> str:
    """Return mean ± standard deviation, or the mean alone."""
    return number(mean, decimals) if isnan(deviation) else f"{number(mean, decimals)} ± {deviation:.{decimals}f}"


def interval(low: float, high: float) -> str:
    """Return the bounds of an interval."""
    return MISSING if isnan(low) else f"{number(low)} to {number(high)}"


def duration(seconds: float | None) -> str:
    """Return a time in the two units that matter: ``1 h 12 min``, ``2 min 45 s``, ``0.22 s``."""
    if seconds is None or isnan(seconds):
        return MISSING
    if seconds < 10:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def memory(mib: float | None) -> str:
    """Return an amount of memory."""
    if mib is None or isnan(mib):
        return MISSING
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"


def count(n: int, noun: str) -> str:
    """Return ``1 scan``, ``2 scans``."""
    return f"{n} {noun if n == 1 else noun + 's'}"


def plain(value: Any) -> str:
    """Return a setting as text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value) or "none"
    return str(value)


def for_picture(text: str) -> str:
    """Return text that matplotlib draws as it is: a dollar would begin a formula."""
    return text.replace("$", r"\$")
