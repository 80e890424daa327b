"""The report on a folder of registrations."""

from collections.abc import Callable, Mapping, Sequence
from math import inf, isfinite, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np

from fewscan.experiments.tables import Table
from fewscan.metrics.evaluation import number_from_json
from fewscan.report.charts.distributions import box_chart
from fewscan.report.charts.paired import paired_chart
from fewscan.report.document.attempt import attempt
from fewscan.report.document.content import (
    Block,
    Code,
    Facts,
    Fold,
    Gallery,
    Note,
    Picture,
    Report,
    Text,
    Tile,
    section,
)
from fewscan.report.document.words import count, duration, number, plain
from fewscan.report.found.kinds import MARKS, Kind, read_json, title_of
from fewscan.report.panels.pairs import model_plan, pair_panels, read_pair
from fewscan.report.ranking import best_median_worst
from fewscan.report.sections.machine import version_blocks
from fewscan.report.sections.reproduce import register_command

Pair = Mapping[str, Any]
PICTURED = 3
WHENS = ("before", "after")


def registration_report(folder: Path) -> Report:
    """Return the report; of an interrupted or partly failed registration too, which says so."""
    record = read_json(folder / MARKS[Kind.REGISTRATION])
    pairs: list[Pair] = record.get("pairs", [])
    failures: Mapping[str, str] = record.get("failures", {})
    sections = [
        section("scores", "How well it fits", attempt("The tables", lambda: _scores(pairs, failures))),
        section("spread", "How the pairs are spread", attempt("The charts", lambda: _charts(pairs))),
        section("pictures", "Best, median and worst pair", _pictures(folder, record, pairs)),
        section("review", "Pairs most in need of a human look", _review(folder, record, pairs)),
        section("all-pairs", "Every pair", _every(pairs)),
        section("how", "What registered", _how(record)),
        section("time", "Time", attempt("Time", lambda: _time(pairs))),
        section(
            "reproduce",
            "How to reproduce it",
            [Code(register_command(record, folder)), *version_blocks(record.get("versions", {}))],
        ),
    ]
    complete = bool(pairs) and not failures
    state = "complete" if complete else _problems(pairs, failures)
    return Report(
        title_of(folder), "registration", state, complete, _tiles(pairs), tuple(sections), _figures(pairs, failures)
    )


def ranking(pairs: Sequence[Pair]) -> tuple[str, dict[str, float]]:
    """Return what pairs are ranked by, and the score of each: Dice, or similarity where no pair has labels.

    Pairs without labels among others that have some are NaN: the two measures cannot be ranked together.
    """
    has_labels = any(not isnan(_dice(pair, "after")) for pair in pairs)
    name, read = ("mean Dice after", _dice) if has_labels else ("similarity after", _similarity)
    return name, {str(pair["id"]): read(pair, "after") for pair in pairs}


def _problems(pairs: Sequence[Pair], failures: Mapping[str, str]) -> str:
    if failures:
        return f"NOT COMPLETE: {count(len(failures), 'pair')} could not be registered."
    return "NOT COMPLETE: no pair is on record; it was interrupted." if not pairs else "complete"


def number_or(value: float, other: float) -> float:
    """Return ``other`` in place of NaN, which cannot be sorted."""
    return other if isnan(value) else value


def _number(value: Any) -> float:
    return float(number_from_json(value))


def _similarity(pair: Pair, when: str) -> float:
    return _number(pair["similarity"][when])


def _dice(pair: Pair, when: str) -> float:
    return _number((pair.get("mean_dice") or {}).get(when))


def _distance(pair: Pair, when: str) -> float:
    values = [_number(row[f"hd95_mm_{when}"]) for row in pair["labels"]]
    return _mean(values)


def _mean(values: Sequence[float]) -> float:
    held = [value for value in values if not isnan(value)]
    return inf if inf in held else float(np.mean(held)) if held else nan


MEASURES: dict[str, tuple[Callable[[Pair, str], float], bool, int]] = {
    "similarity (GNCC)": (_similarity, True, 3),
    "Dice": (_dice, True, 3),
    "95 % Hausdorff distance, mm": (_distance, False, 2),
}
"""How to read each measure, whether higher is better, and its decimals."""


def _known(pairs: Sequence[Pair]) -> list[str]:
    return [name for name, (read, _, _) in MEASURES.items() if any(not isnan(read(p, "after")) for p in pairs)]


def _tiles(pairs: Sequence[Pair]) -> tuple[Tile, ...]:
    tiles = [Tile("pairs", str(len(pairs)))]
    for name in _known(pairs):
        read, _, decimals = MEASURES[name]
        before, after = (_mean([read(pair, when) for pair in pairs]) for when in WHENS)
        tiles.append(Tile(name, number(after, decimals), f"before {number(before, decimals)}"))
    if pairs:
        folds = [float(pair["fold_fraction"]) for pair in pairs]
        tiles.append(Tile("folded voxels, at most", f"{max(folds):.3%}", f"mean {float(np.mean(folds)):.3%}"))
        tiles.append(Tile("flagged pairs", str(sum(bool(pair["flags"]) for pair in pairs))))
    return tuple(tiles)


def _figures(pairs: Sequence[Pair], failures: Mapping[str, str]) -> dict[str, Any]:
    figures: dict[str, Any] = {"pairs": len(pairs), "failures": len(failures)}
    for name, key in (
        ("similarity (GNCC)", "similarity"),
        ("Dice", "dice"),
        ("95 % Hausdorff distance, mm", "hd95_mm"),
    ):
        figures[key] = {when: _mean([MEASURES[name][0](pair, when) for pair in pairs]) for when in WHENS}
    figures["largest_fold_fraction"] = max((float(pair["fold_fraction"]) for pair in pairs), default=nan)
    return figures


def _scores(pairs: Sequence[Pair], failures: Mapping[str, str]) -> list[Block]:
    blocks: list[Block] = []
    if failures:
        blocks.append(Note(f"{count(len(failures), 'pair')} could not be registered:", "warning"))
        blocks.append(Facts(tuple((str(pair), str(reason)) for pair, reason in failures.items())))
    if not pairs:
        return [*blocks, Note("No pair is on record.", "warning")]
    rows = []
    for name in _known(pairs):
        read, _, decimals = MEASURES[name]
        before, after = ([read(pair, when) for pair in pairs] for when in WHENS)
        changes = [b - a for a, b in zip(before, after, strict=True) if isfinite(a) and isfinite(b)]
        change = number(_mean(changes), decimals, sign=True)
        known = str(sum(not isnan(value) for value in after))
        rows.append((name, known, number(_mean(before), decimals), number(_mean(after), decimals), change))
    notes = (
        "Means over the pairs that have the measure; the change is over pairs in which both values are finite. Before: "
        "as the scans lay before anything was registered. Similarity: global normalised cross-correlation, 1 at best, "
        "over the voxels inside the moving scan.",
    )
    head = ("measure", "pairs", "before", "after", "mean change")
    blocks.append(Table("", head, tuple(rows), notes))
    regular = {
        "folded voxels": [100 * float(pair["fold_fraction"]) for pair in pairs],
        "SD of ln Jacobian": [_number(pair["sd_log_jacobian"]) for pair in pairs],
        "largest shift, mm": [_number(pair["largest_mm"]) for pair in pairs],
        "fixed scan inside moving": [100 * _number(pair["inside"]) for pair in pairs],
    }
    units = {"folded voxels": " %", "fixed scan inside moving": " %"}
    lines = tuple(
        (name, *(number(float(f(values)), 2) + units.get(name, "") for f in (np.min, np.mean, np.max)))
        for name, values in regular.items()
    )
    return [*blocks, Table("Regularity of the fields", ("measure", "lowest", "mean", "highest"), lines)]


def _charts(pairs: Sequence[Pair]) -> list[Block]:
    pictures: list[Picture] = []
    for name in _known(pairs):
        read, higher, _ = MEASURES[name]
        scores = {str(pair["id"]): (read(pair, "before"), read(pair, "after")) for pair in pairs}
        pictures.append(paired_chart(name, scores, names=WHENS, unit=name, higher_is_better=higher))
    values = sorted({row["value"] for pair in pairs for row in pair["labels"]})
    boxes = {
        f"label {value}, {when}": {
            str(pair["id"]): _number(row[f"dice_{when}"])
            for pair in pairs
            for row in pair["labels"]
            if row["value"] == value
        }
        for value in values
        for when in WHENS
    }
    if boxes:
        pictures.append(box_chart("Dice by label", boxes, unit="Dice"))
    return [Gallery(tuple(pictures))] if pictures else []


def _pictures(folder: Path, record: Mapping[str, Any], pairs: Sequence[Pair]) -> list[Block]:
    if not pairs:
        return []
    by_id = {str(pair["id"]): pair for pair in pairs}
    what, scores = ranking(pairs)
    blocks: list[Block] = [
        Text(
            f"Ranked by {what} registration. Jacobian: the volume that a voxel of the fixed scan covers in the moving "
            "scan, as a multiple of its own; red: more, so that the moving scan shrinks there; blue: less, so that it "
            "is stretched; white: the same. Planes go through the centre of the warped labels, or of the fixed scan."
        )
    ]
    for rank, (pair_id, _) in best_median_worst(scores).items():
        blocks += _pair(folder, record, by_id[pair_id], f"{rank.capitalize()}: {pair_id}")
    return blocks


def _pair(folder: Path, record: Mapping[str, Any], pair: Pair, title: str) -> list[Block]:
    facts = ", ".join(
        f"{name} {number(read(pair, 'before'), decimals)} → {number(read(pair, 'after'), decimals)}"
        for name, (read, _, decimals) in MEASURES.items()
        if not isnan(read(pair, "after"))
    )
    facts = f"{facts}; {float(pair['fold_fraction']):.3%} folded"

    def make() -> list[Block]:
        align = str(record.get("settings", {}).get("align", "centre"))
        seen = read_pair(folder, pair, align=align, plan=model_plan(record.get("model")))
        return [pair_panels(seen, pair_id=str(pair["id"]), title=title, facts=facts)]

    return attempt(f"Pair {pair['id']}", make)


def _review(folder: Path, record: Mapping[str, Any], pairs: Sequence[Pair]) -> list[Block]:
    what, scores = ranking(pairs)
    # those that have no score come first: least is known of them
    flagged = sorted(
        (pair for pair in pairs if pair["flags"]), key=lambda pair: number_or(scores[str(pair["id"])], -inf)
    )
    if not pairs:
        return []
    if not flagged:
        limit = f"{float(record.get('settings', {}).get('max_folds', 0.005)):.1%}"
        text = (
            f"No pair was flagged: none folds in more than {limit} of its voxels, lost similarity, or lies "
            "largely outside."
        )
        return [Note(text, "good")]
    rows = tuple((str(pair["id"]), "; ".join(pair["flags"]), number(scores[str(pair["id"])])) for pair in flagged)
    note = (
        "Flagged when it was registered: for folds, similarity that fell, or little overlap of both scans; "
        "worst fit first."
    )
    blocks: list[Block] = [Table("Flagged pairs", ("pair", "why", what), rows, (note,), text_columns=2)]
    for pair in flagged[:PICTURED]:
        blocks += _pair(folder, record, pair, f"Flagged: {pair['id']}")
    return blocks


def _every(pairs: Sequence[Pair]) -> list[Block]:
    known = _known(pairs)
    head = ("pair", *(f"{name}, {when}" for name in known for when in WHENS), "folded", "SD ln J", "largest mm", "time")
    rows = tuple(
        (
            str(pair["id"]),
            *(number(MEASURES[name][0](pair, when), MEASURES[name][2]) for name in known for when in WHENS),
            f"{float(pair['fold_fraction']):.3%}", number(_number(pair["sd_log_jacobian"])),
            number(_number(pair["largest_mm"]), 1), duration(sum(pair["seconds"].values())),
        )
        for pair in pairs
    )  # fmt: skip
    table = Table("", head, rows)
    return [] if not pairs else [table] if len(pairs) <= 12 else [Fold(f"All {len(pairs)} pairs", (table,))]


def _how(record: Mapping[str, Any]) -> list[Block]:
    what = record.get("classical")
    facts = [("method", f"classical: {what}")] if what else [("model", plain(record.get("model")))]
    facts += [(name, plain(value)) for name, value in record.get("settings", {}).items() if value is not None]
    blocks: list[Block] = [Facts(tuple(facts))]
    without = {side: ids for side, ids in record.get("without_labels", {}).items() if ids}
    blocks += [Note(f"{side} scans without a label file: {', '.join(ids)}", "warning") for side, ids in without.items()]
    return blocks


def _time(pairs: Sequence[Pair]) -> list[Block]:
    parts = list(dict.fromkeys(name for pair in pairs for name in pair["seconds"]))
    facts = [
        (name, f"{duration(_mean([pair['seconds'].get(name, nan) for pair in pairs]))} per pair") for name in parts
    ]
    total = sum(sum(pair["seconds"].values()) for pair in pairs)
    return [Facts((("all pairs, in sum", duration(total)), *facts))] if pairs else []
