"""Learning curves of one run, a small chart for each: total loss, every term, validation Dice, learning rate.

Raw values are faint, their moving mean (`fewscan.pictures.curves`) is drawn above them. Where a term's weight is not 1,
its value without the weight is dashed. In a run of several stages a term belongs to its stage. Steps count from 1, as
people count them: the last of 60 stands at 60, although the log calls it 59.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from fewscan.pictures.curves import ADVERSARY, SMOOTH_OVER, as_arrays, moving_mean
from fewscan.pictures.loss_curves import LOG_FROM
from fewscan.report.charts.style import COLOURS, FAINT, INK, chart
from fewscan.report.document.content import Picture
from fewscan.report.document.embed import svg
from fewscan.report.document.words import for_picture, number

FEW = 6
"""Fewer points than this are marked, so that a short line is seen."""
WIDE = 1e3
"""Largest over smallest value from which a logarithmic axis names powers of ten alone."""
FloatArray = npt.NDArray[np.float64]
Record = Mapping[str, Any]
Points = Sequence[tuple[int, float | None]]


def learning_charts(records: Sequence[Record]) -> list[Picture]:
    """Return the charts of a log; fewer where less was logged, none for an empty log."""
    records = [{**record, "step": record["step"] + 1} for record in records if "step" in record]
    steps = [record for record in records if record.get("kind") == "step"]
    pictures = []
    if steps:
        stages = list(dict.fromkeys(record.get("stage", "") for record in steps))
        if len(stages) == 1:
            pictures.append(_total(steps))
        for stage in stages:
            of_stage = [record for record in steps if record.get("stage", "") == stage]
            for group in ("terms", ADVERSARY):
                names = dict.fromkeys(name for record in of_stage for name in record.get(group, {}))
                pictures += [_term(of_stage, name, stage, k, group=group) for k, name in enumerate(names)]
    for kind, title in (
        ("validation", "validation Dice"),
        ("registration_validation", "registration: validation Dice"),
    ):
        found = [record for record in records if record.get("kind") == kind and record.get("dice")]
        if found:
            pictures.append(_validation(found, title))
    if steps:
        pictures.append(_rate(steps))
    return pictures


def mean_of_last(values: FloatArray) -> float:
    """Return the mean of the finite values in the last `SMOOTH_OVER` of a curve; NaN without any."""
    last = values[-max(1, round(SMOOTH_OVER * len(values))) :] if len(values) else values
    last = last[np.isfinite(last)]
    return float(last.mean()) if last.size else float("nan")


def _total(steps: Sequence[Record]) -> Picture:
    return _plain([(r["step"], r["loss"]) for r in steps], "total loss", "sum of all weighted terms", INK)


def _rate(steps: Sequence[Record]) -> Picture:
    """Return the learning rate, a line for each stage and round."""
    with chart(title="learning rate") as (figure, axis):
        stages = list(dict.fromkeys(record.get("stage", "") for record in steps))
        parts = dict.fromkeys((record.get("stage", ""), record.get("round", 0)) for record in steps)
        named = set()
        for stage, round_number in parts:
            here = [r for r in steps if (r.get("stage", ""), r.get("round", 0)) == (stage, round_number)]
            step, value = as_arrays([(record["step"], record.get("lr")) for record in here])
            label = "_" if stage in named or not stage else stage
            named.add(stage)
            axis.plot(step, value, color=COLOURS[stages.index(stage) % len(COLOURS)], linewidth=1.9, label=label)
        if len(stages) > 1:
            axis.legend(frameon=False, fontsize=8)
        _finish(axis, "learning rate")
        step, value = as_arrays([(record["step"], record.get("lr")) for record in steps])
        return svg(figure, alt=_describe("learning rate", step, value))


def _plain(points: Points, title: str, unit: str, colour: str = COLOURS[0]) -> Picture:
    with chart(title=title) as (figure, axis):
        step, value = as_arrays(points)
        _draw(axis, step, value, colour)
        _finish(axis, unit)
        return svg(figure, alt=_describe(title, step, value))


def _term(steps: Sequence[Record], name: str, stage: str, k: int, *, group: str = "terms") -> Picture:
    found = [record for record in steps if name in record.get(group, {})]
    title = ": ".join([*([stage] if stage else []), *([ADVERSARY] if group == ADVERSARY else []), name])
    colour = COLOURS[k % len(COLOURS)]
    with chart(title=for_picture(title)) as (figure, axis):
        points = [(r["step"], r[group][name].get("product")) for r in found]
        step, value = as_arrays(points)
        weight = as_arrays([(r["step"], r[group][name].get("weight")) for r in found])[1]
        weighted = bool(np.any(weight[np.isfinite(weight)] != 1))
        rounds = np.array([record.get("round", 0) for record in found])
        for round_number in dict.fromkeys(rounds.tolist()):
            here, is_first = rounds == round_number, round_number == rounds[0]
            _draw(axis, step[here], value[here], colour, label="weighted" if weighted and is_first else "")
            if weighted:
                raw = as_arrays([(r["step"], r[group][name].get("value")) for r in found])[1][here]
                smooth = moving_mean(raw, max(1, round(SMOOTH_OVER * len(raw))))
                label = "without weight" if is_first else "_"
                axis.plot(step[here], smooth, color=FAINT, linewidth=1.2, linestyle=(0, (4, 2)), label=label)
        if weighted:
            axis.legend(frameon=False, fontsize=8)
        _finish(axis, "loss term")
        caption = ""
        if weighted:
            caption = f"Weight from {number(_first(weight), 4)} to {number(_last(weight), 4)}."
        return svg(figure, alt=_describe(f"loss term {title}", step, value), caption=caption)


def _validation(records: Sequence[Record], title: str) -> Picture:
    with chart(title=title) as (figure, axis):
        names = list(dict.fromkeys(name for record in records for name in record["dice"]))
        for k, name in enumerate(names):
            step, value = as_arrays([(r["step"], r["dice"].get(name)) for r in records])
            colour = COLOURS[k % len(COLOURS)]
            axis.plot(step, value, color=colour, linewidth=1.3, marker="o", markersize=3, label=for_picture(name))
        step, mean = as_arrays([(r["step"], r.get("mean_dice")) for r in records])
        if len(names) > 1:
            axis.plot(step, mean, color=INK, linewidth=2.2, marker="o", markersize=3.5, label="mean")
        axis.legend(frameon=False, fontsize=7.5, ncols=2)
        axis.set(xlabel="training step", ylabel="Dice")
        low = float(np.nanmin([line.get_ydata() for line in axis.lines])) if np.isfinite(mean).any() else 0.0
        axis.set_ylim(max(0.0, low - 0.08), 1.0)
        return svg(figure, alt=_describe(title, step, mean))


def _draw(axis: Axes, step: FloatArray, value: FloatArray, colour: str, *, label: str = "") -> None:
    axis.plot(step, value, color=colour, alpha=0.25, linewidth=0.8)
    smooth = moving_mean(value, max(1, round(SMOOTH_OVER * len(value))))
    marker = "o" if len(step) < FEW else None
    axis.plot(step, smooth, color=colour, linewidth=1.9, marker=marker, markersize=4, label=label or "_")


def _finish(axis: Axes, unit: str) -> None:
    """Name the axes; the upright one is logarithmic where values are positive and far apart."""
    axis.set(xlabel="training step", ylabel=unit)
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axis.lines])
    values = values[np.isfinite(values)]
    if not values.size:
        axis.text(0.5, 0.5, "nothing finite was logged", transform=axis.transAxes, ha="center", color=FAINT)
    elif values.min() > 0 and values.max() > LOG_FROM * values.min():
        axis.set_yscale("log")
        wide = values.max() > WIDE * values.min()
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=6 if wide else None))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))


def _describe(title: str, step: FloatArray, value: FloatArray) -> str:
    if not np.isfinite(value).any():
        return f"Line chart of {title} over training steps; nothing finite was logged."
    last = mean_of_last(value)
    return f"Line chart of {title} over {len(step)} logged steps: from {number(_first(value), 4)} to {number(last, 4)}."


def _first(values: FloatArray) -> float:
    found = values[np.isfinite(values)]
    return float(found[0]) if found.size else float("nan")


def _last(values: FloatArray) -> float:
    return _first(values[::-1])
