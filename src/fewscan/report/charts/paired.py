"""The same cases twice: a line per case from its first to its second score."""

from collections.abc import Mapping
from math import isfinite

import numpy as np

from fewscan.report.charts.style import BETTER, FAINT, INK, WORSE, chart
from fewscan.report.document.content import Picture
from fewscan.report.document.embed import svg
from fewscan.report.document.words import for_picture, number


def paired_chart(
    title: str,
    pairs: Mapping[str, tuple[float, float]],
    *,
    names: tuple[str, str],
    unit: str,
    higher_is_better: bool = True,
) -> Picture:
    """Return lines from the left to the right, coloured by whether the case became better or worse.

    Parameters
    ----------
    title : str
        Of the chart.
    pairs : mapping of str to (float, float)
        Both scores of each case; those of which one is not finite are counted in the text, not drawn.
    names : (str, str)
        What stands on the left and on the right.
    unit : str
        Of the upright axis.
    higher_is_better : bool
        Of the score.
    """
    drawn = {case: pair for case, pair in pairs.items() if isfinite(pair[0]) and isfinite(pair[1])}
    gains = {case: (b - a) * (1 if higher_is_better else -1) for case, (a, b) in drawn.items()}
    better, worse = sum(gain > 0 for gain in gains.values()), sum(gain < 0 for gain in gains.values())
    with chart(title=for_picture(title)) as (figure, axis):
        for case, pair in drawn.items():
            colour = BETTER if gains[case] > 0 else WORSE if gains[case] < 0 else FAINT
            axis.plot((0, 1), pair, color=colour, alpha=0.55, linewidth=1.0, marker="o", markersize=3)
        means = (float("nan"), float("nan"))
        if drawn:
            left, right = np.mean(list(drawn.values()), axis=0)
            means = float(left), float(right)
            axis.plot((0, 1), means, color=INK, linewidth=2.6, marker="D", markersize=6, zorder=5)
            for place, mean, side, shift in ((0, means[0], "right", -9), (1, means[1], "left", 9)):
                axis.annotate(
                    number(mean), (place, mean), xytext=(shift, 0), textcoords="offset points", ha=side, va="center",
                    fontweight="bold", color=INK,
                )  # fmt: skip
        axis.set_xticks((0, 1), [for_picture(name) for name in names])
        axis.set_xlim(-0.45, 1.45)
        axis.set_ylabel(for_picture(unit))
        axis.grid(visible=False, axis="x")
        axis.text(
            0.5, 1.0, f"{better} better", color=BETTER, transform=axis.transAxes, ha="right", va="bottom", fontsize=8
        )
        axis.text(
            0.52, 1.0, f"{worse} worse", color=WORSE, transform=axis.transAxes, ha="left", va="bottom", fontsize=8
        )
        axis.set_title(for_picture(title), loc="left", fontsize=10, fontweight="bold", pad=16)
        left_out = len(pairs) - len(drawn)
        alt = (
            f"Paired plot of {len(drawn)} cases. {title}. {names[0]}: mean {number(means[0])}; {names[1]}: mean "
            f"{number(means[1])}; {better} better, {worse} worse, {len(drawn) - better - worse} equal."
        )
        note = f"{left_out} without two finite values are not drawn." if left_out else ""
        return svg(figure, alt=f"{alt} {note}".strip(), caption=note)
