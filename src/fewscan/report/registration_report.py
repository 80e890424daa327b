"""The report on a folder of registrations."""

from collections.abc import Mapping, Sequence
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np

from fewscan.data.image_io import read_geometry
from fewscan.errors import FewscanError
from fewscan.experiments.ranking import best_median_worst
from fewscan.experiments.tables import Table
from fewscan.metrics.statistics import mean_of
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
from fewscan.report.pair_measures import MEASURES, WHENS, Pair, known_measures, lost_dice, ranking, stored_number
from fewscan.report.panels.pairs import label_names, model_plan, pair_panels, read_pair
from fewscan.report.sections.machine import version_blocks
from fewscan.report.sections.reproduce import register_command

PICTURED = 3


def registration_report(folder: Path) -> Report:
    """Return the report; of an interrupted or partly failed registration too, which says so."""
    record = read_json(folder / MARKS[Kind.REGISTRATION])
    pairs: list[Pair] = record.get("pairs", [])
    failures: Mapping[str, str] = record.get("failures", {})
    sections = [
        section("scores", "How well it fits", attempt("The tables", lambda: _scores(pairs, failures))),
        section("spread", "How the pairs are spread", attempt("The charts", lambda: _charts(pairs, _names(record)))),
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
    return Report(
        title_of(folder),
        "registration",
        _state(pairs, failures),
        complete,
        _tiles(pairs),
        tuple(sections),
        _figures(pairs, failures),
    )


def _state(pairs: Sequence[Pair], failures: Mapping[str, str]) -> str:
    if failures:
        return f"NOT COMPLETE: {count(len(failures), 'pair')} could not be registered."
    return "NOT COMPLETE: no pair is on record; it was interrupted." if not pairs else "complete"


def _tiles(pairs: Sequence[Pair]) -> tuple[Tile, ...]:
    tiles = [Tile("pairs", str(len(pairs)))]
    for measure in known_measures(pairs):
        before, after = (number(measure.mean(pairs, when), measure.decimals) for when in WHENS)
        tiles.append(Tile(measure.title, after, f"before {before}"))
    if pairs:
        folds = [float(pair["fold_fraction"]) for pair in pairs]
        tiles.append(Tile("folded voxels, at most", f"{max(folds):.3%}", f"mean {float(np.mean(folds)):.3%}"))
        tiles.append(Tile("flagged pairs", str(sum(bool(pair["flags"]) for pair in pairs))))
    if any(measure.key == "dice" for measure in known_measures(pairs)):
        tiles.append(Tile("pairs that lost Dice", str(len(lost_dice(pairs)))))
    return tuple(tiles)


def _figures(pairs: Sequence[Pair], failures: Mapping[str, str]) -> dict[str, Any]:
    figures: dict[str, Any] = {"pairs": len(pairs), "failures": len(failures)}
    for measure in MEASURES:
        figures[measure.key] = {when: measure.mean(pairs, when) for when in WHENS}
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
    for measure in known_measures(pairs):
        before, after = (measure.values(pairs, when) for when in WHENS)
        changes = [b - a for a, b in zip(before, after, strict=True) if isfinite(a) and isfinite(b)]
        change = number(mean_of(changes), measure.decimals, sign=True)
        known = str(sum(not isnan(value) for value in after))
        means = (number(mean_of(values), measure.decimals) for values in (before, after))
        rows.append((measure.title, known, *means, change))
    notes = (
        "Means over the pairs that have the measure; the change is over pairs in which both values are finite. Before: "
        "as the scans lay before anything was registered. Similarity: global normalised cross-correlation, 1 at best, "
        "over the voxels inside the moving scan.",
    )
    head = ("measure", "pairs", "before", "after", "mean change")
    blocks.append(Table("", head, tuple(rows), notes))
    regular = {
        "folded voxels": [100 * float(pair["fold_fraction"]) for pair in pairs],
        "SD of ln Jacobian": [stored_number(pair["sd_log_jacobian"]) for pair in pairs],
        "largest shift, mm": [stored_number(pair["largest_mm"]) for pair in pairs],
        "fixed scan inside moving": [100 * stored_number(pair["inside"]) for pair in pairs],
    }
    units = {"folded voxels": " %", "fixed scan inside moving": " %"}
    lines = tuple(
        (name, *(number(float(f(values)), 2) + units.get(name, "") for f in (np.min, np.mean, np.max)))
        for name, values in regular.items()
    )
    return [*blocks, Table("Regularity of the fields", ("measure", "lowest", "mean", "highest"), lines)]


def _names(record: Mapping[str, Any]) -> dict[int, str]:
    return label_names(model_plan(record.get("model")))


def _charts(pairs: Sequence[Pair], names: Mapping[int, str]) -> list[Block]:
    pictures: list[Picture] = []
    for measure in known_measures(pairs):
        title, read = measure.title, measure.read
        scores = {str(pair["id"]): (read(pair, "before"), read(pair, "after")) for pair in pairs}
        pictures.append(paired_chart(title, scores, names=WHENS, unit=title, higher_is_better=measure.higher_is_better))
    values = sorted({row["value"] for pair in pairs for row in pair["labels"]})
    boxes = {
        f"{names.get(value, f'label {value}')}, {when}": {
            str(pair["id"]): stored_number(row[f"dice_{when}"])
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
            f"Ranked by {what} registration, whatever it was before. Jacobian: the volume that a voxel of the fixed "
            "scan covers in the moving scan, as a multiple of its own; red: more, so that the moving scan shrinks "
            f"there; blue: less, so that it is stretched; white: the same.{_planes(pairs[0])}"
        )
    ]
    for rank, (pair_id, _) in best_median_worst(scores).items():
        blocks += _pair(folder, record, by_id[pair_id], f"{rank.capitalize()}: {pair_id}")
    return blocks


def _planes(pair: Pair) -> str:
    """Say where planes are cut; a 2-D scan is shown whole."""
    try:
        flat = read_geometry(Path(pair["fixed"]["images"][0])).dimensions == 2
    except (FewscanError, LookupError):
        flat = False
    return "" if flat else " Planes go through the centre of the warped labels, or of the fixed scan."


def _pair(folder: Path, record: Mapping[str, Any], pair: Pair, title: str) -> list[Block]:
    facts = ", ".join(
        f"{measure.title} {measure.text(pair, 'before')} → {measure.text(pair, 'after')}{measure.fell(pair)}"
        for measure in known_measures([pair])
    )
    facts = f"{facts}; {float(pair['fold_fraction']):.3%} folded"

    def make() -> list[Block]:
        align = str(record.get("settings", {}).get("align", "centre"))
        seen = read_pair(folder, pair, align=align, plan=model_plan(record.get("model")))
        return [pair_panels(seen, pair_id=str(pair["id"]), title=title, facts=facts, names=_names(record))]

    return attempt(f"Pair {pair['id']}", make)


def _review(folder: Path, record: Mapping[str, Any], pairs: Sequence[Pair]) -> list[Block]:
    what, scores = ranking(pairs)
    lost = lost_dice(pairs)
    # those that have no score, which is NaN, come first: least is known of them
    listed = sorted(
        (pair for pair in pairs if pair["flags"] or str(pair["id"]) in lost),
        key=lambda pair: (not isnan(scores[str(pair["id"])]), scores[str(pair["id"])]),
    )
    if not pairs:
        return []
    limit = f"{float(record.get('settings', {}).get('max_folds', 0.005)):.1%}"
    none = f"none folds in more than {limit} of its voxels, lost similarity, or lies largely outside"
    if not listed:
        has_labels = any(measure.key == "dice" for measure in known_measures(pairs))
        also = " No pair with labels lost Dice." if has_labels else ""
        return [Note(f"No pair was flagged: {none}.{also}", "good")]
    blocks: list[Block] = []
    if lost:
        flags = "" if any(pair["flags"] for pair in pairs) else f" No pair was flagged when it was registered: {none}."
        blocks.append(Note(f"In {len(lost)} of {count(len(pairs), 'pair')} Dice fell.{flags}", "warning"))
    rows = tuple((str(pair["id"]), _why(pair, lost), number(scores[str(pair["id"])])) for pair in listed)
    note = (
        "Flagged when it was registered: for folds, similarity that fell, or little overlap of both scans. "
        "Registration does not see Dice; that it fell is told here. Worst fit first."
    )
    blocks.append(Table("Pairs to look at", ("pair", "why", what), rows, (note,), text_columns=2))
    for pair in listed[:PICTURED]:
        blocks += _pair(folder, record, pair, f"{'Flagged' if pair['flags'] else 'Lost Dice'}: {pair['id']}")
    return blocks


def _why(pair: Pair, lost: Mapping[str, str]) -> str:
    return "; ".join([*pair["flags"], *(text for name, text in lost.items() if name == str(pair["id"]))])


def _every(pairs: Sequence[Pair]) -> list[Block]:
    known = known_measures(pairs)
    head = (
        "pair",
        *(f"{measure.title}, {when}" for measure in known for when in WHENS),
        "folded",
        "SD ln J",
        "largest mm",
        "time",
    )
    rows = tuple(
        (
            str(pair["id"]),
            *(measure.text(pair, when) for measure in known for when in WHENS),
            f"{float(pair['fold_fraction']):.3%}", number(stored_number(pair["sd_log_jacobian"])),
            number(stored_number(pair["largest_mm"]), 1), duration(sum(pair["seconds"].values())),
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
        (name, f"{duration(mean_of([pair['seconds'].get(name, nan) for pair in pairs]))} per pair") for name in parts
    ]
    total = sum(sum(pair["seconds"].values()) for pair in pairs)
    return [Facts((("all pairs, in sum", duration(total)), *facts))] if pairs else []
