"""Predicted against true volume, a dot per case; on the diagonal both agree."""

from collections.abc import Mapping

import numpy as np

from fewscan.report.charts.style import COLOURS, FAINT, chart
from fewscan.report.document.content import Picture
from fewscan.report.document.embed import svg
from fewscan.report.document.words import for_picture


def volume_chart(groups: Mapping[str, Mapping[str, tuple[float, float]]], *, unit: str) -> Picture:
    """Return the chart.

    Parameters
    ----------
    groups : mapping of str to mapping of str to (float, float)
        True and predicted volume of each case, by class.
    unit : str
        Of both axes.
    """
    with chart(title="Predicted against true volume") as (figure, axis):
        most, parts = 0.0, []
        for k, (name, cases) in enumerate(groups.items()):
            points = np.array(list(cases.values()), float).reshape(-1, 2)
            most = max(most, float(points.max(initial=0.0)))
            axis.plot(points[:, 0], points[:, 1], "o", color=COLOURS[k % len(COLOURS)], alpha=0.6, markersize=4.5,
                      markeredgewidth=0, label=for_picture(name))  # fmt: skip
            total = points.sum(axis=0)
            if total[0] > 0:
                parts.append(f"{name}: {100 * (total[1] / total[0] - 1):+.0f} % of the true volume in sum")
        edge = 1.05 * most or 1.0
        axis.plot((0, edge), (0, edge), color=FAINT, linewidth=1.0, zorder=0)
        axis.set(xlim=(0, edge), ylim=(0, edge), xlabel=f"true, {unit}", ylabel=f"predicted, {unit}")
        if 1 < len(groups) < 9:
            axis.legend(frameon=False, fontsize=7.5, loc="upper left")
        alt = f"Scatter plot of predicted against true volume, in {unit}."
        alt = f"{alt} {'; '.join(parts)}." if parts else alt
        return svg(figure, alt=alt, caption="Above the line: too much was segmented; below: too little.")
