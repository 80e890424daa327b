"""How pseudo-masks change over the rounds of a joint training."""

from collections.abc import Sequence

from fewscan.pictures.curves import as_arrays
from fewscan.recipes.joint_record import RoundRecord
from fewscan.report.charts.style import COLOURS, chart
from fewscan.report.document.content import Picture
from fewscan.report.document.embed import svg
from fewscan.report.document.words import number

CURVES = (
    ("validation Dice", "mean_dice", "Dice of the segmentation network"),
    ("entropy of the pseudo-masks", "entropy", "mean entropy"),
    ("disagreement of both networks", "disagreement", "mean disagreement"),
)


def round_charts(history: Sequence[RoundRecord]) -> list[Picture]:
    """Return a chart per measure that any round has."""
    pictures = []
    for k, (title, name, unit) in enumerate(CURVES):
        points = [(record.round, getattr(record, name)) for record in history]
        held = [(step, value) for step, value in points if value is not None]
        if not held:
            continue
        with chart(title=title) as (figure, axis):
            step, value = as_arrays(held)
            axis.plot(step, value, color=COLOURS[k], linewidth=2.0, marker="o", markersize=6)
            axis.set(xlabel="round", ylabel=unit)
            axis.set_xticks([record.round for record in history])
            values = ", ".join(f"round {int(s)}: {number(v)}" for s, v in held)
            pictures.append(svg(figure, alt=f"Line chart of {title} over the rounds. {values}."))
    return pictures
