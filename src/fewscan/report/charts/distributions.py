"""How the scores of cases are spread: a box per group, and every case as a dot.

Box: quartiles and median; whiskers: to the farthest case within 1.5 times the height of the box. Infinite scores (an
empty mask has no surface) are drawn as triangles at the upper edge, never left out.
"""

from collections.abc import Mapping, Sequence
from math import isfinite, isinf, isnan
from typing import Any

import numpy as np

from fewscan.report.charts.style import COLOURS, FAINT, INK, chart
from fewscan.report.document.content import Picture
from fewscan.report.document.embed import svg
from fewscan.report.document.words import for_picture, number

LETTERS_PER_INCH = 11
"""Room for names below the boxes; longer ones are turned."""


def box_chart(
    title: str, groups: Mapping[str, Mapping[str, float]], *, unit: str, worst_is_low: bool = True
) -> Picture:
    """Return boxes side by side.

    Parameters
    ----------
    title : str
        Of the chart.
    groups : mapping of str to mapping of str to float
        Score of each case, by group; NaN (nothing to score) is passed over.
    unit : str
        Of the upright axis.
    worst_is_low : bool
        Which end the text alternative names.
    """
    found = {name: [v for v in cases.values() if not isnan(v)] for name, cases in groups.items()}
    width = max(4.3, 1.2 + 0.62 * len(found))
    with chart(title=for_picture(title), size=(width, 3.0)) as (figure, axis):
        for place, values in enumerate(found.values()):
            _draw_group(axis, place, [v for v in values if isfinite(v)], COLOURS[place % len(COLOURS)])
            lost = sum(isinf(v) for v in values)
            if lost:
                edge: dict[str, Any] = {"transform": axis.get_xaxis_transform(), "clip_on": False}
                axis.plot(_jitter(lost) + place, np.full(lost, 1.0), "^", color=COLOURS[place % len(COLOURS)], **edge)
                axis.text(place, 1.03, f"{lost} × ∞", ha="center", va="bottom", fontsize=7.5, color=INK, **edge)
        turned = len(found) * max((len(name) for name in found), default=0) > LETTERS_PER_INCH * width
        labels = [for_picture(name) for name in found]
        axis.set_xticks(range(len(found)), labels, rotation=30 if turned else 0, ha="right" if turned else "center")
        axis.set_xlim(-0.6, len(found) - 0.4)
        axis.set_ylabel(for_picture(unit))
        axis.grid(visible=False, axis="x")
        return svg(figure, alt=_describe(title, found, worst_is_low=worst_is_low))


def _draw_group(axis: Any, place: int, values: Sequence[float], colour: str) -> None:
    if not values:
        axis.text(place, 0.5, "none", transform=axis.get_xaxis_transform(), ha="center", color=FAINT)
        return
    if len(values) > 3:
        line = {"color": INK, "linewidth": 1.0}
        axis.boxplot(
            [values], positions=[place], widths=0.5, showfliers=False, patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": colour, "alpha": 0.22, "edgecolor": colour}, medianprops={**line, "linewidth": 1.8},
            whiskerprops=line, capprops=line,
        )  # fmt: skip
    size = 5 if len(values) > 10 else 9
    axis.plot(_jitter(len(values)) + place, values, ".", color=colour, alpha=0.7, markersize=size, markeredgewidth=0)


def _jitter(n: int) -> Any:
    """Return places beside one another, the same every time and spread evenly (the golden ratio's multiples)."""
    return 0.34 * ((np.arange(n) * 0.6180339887) % 1.0 - 0.5)


def _describe(title: str, found: Mapping[str, Sequence[float]], *, worst_is_low: bool) -> str:
    parts = []
    for name, values in found.items():
        if not values:
            parts.append(f"{name}: no cases")
            continue
        end = min(values) if worst_is_low else max(values)
        word = "lowest" if worst_is_low else "highest"
        parts.append(f"{name}: median {number(float(np.median(values)))}, {word} {number(end)}, {len(values)} cases")
    return f"Box plot. {title}. " + "; ".join(parts) + "."
