"""The report on a study: methods side by side over labelled counts and seeds."""

from functools import partial
from pathlib import Path

from fewscan.experiments.averages import Key, Line
from fewscan.experiments.compare import STUDY_FILE
from fewscan.experiments.state import AS_PREDICTED
from fewscan.report.document.attempt import attempt
from fewscan.report.document.content import Block, Facts, Fold, Note, Picture, Report, Tile, section
from fewscan.report.document.words import count
from fewscan.report.found.study_cells import FoundStudy, find_study
from fewscan.report.listening import announce
from fewscan.report.sections.learning import learning_blocks
from fewscan.report.sections.rounds import round_blocks
from fewscan.report.sections.study_cases import review_blocks, spread_blocks
from fewscan.report.sections.study_pictures import draw_all
from fewscan.report.sections.study_setup import machine_blocks, reproduce_blocks, setup_blocks, standing_blocks
from fewscan.report.sections.training import settings_blocks
from fewscan.training.log import read_log


def study_report(folder: Path) -> Report:
    """Return the report; of an unfinished study too, which says what is missing."""
    announce("cells of the study")
    found = find_study(folder)
    pictures = draw_all(found)
    tables = found.outputs.tables
    sections = [
        section("curve", "Dice against labelled scans", pictures.curve),
        section("tables", "Tables and tests", attempt("The tables", lambda: _main_tables(found))),
        section("spread", "How the cases are spread", attempt("The charts", lambda: spread_blocks(found))),
        section("cases", "Best, median and worst case", pictures.cases),
        section("review", "Cases most in need of a human look", attempt("The list", lambda: review_blocks(found))),
        section("losses", "Training losses", [*pictures.losses, *_single_curves(found, pictures.losses)]),
        section("rounds", "Pseudo-masks over the rounds", _rounds(found)),
        section("more-tables", "More tables", [Fold(table.title, (table,)) for table in tables[2:]]),
        section("standing", "Which cells are finished", standing_blocks(found)),
        section("setup", "What was compared, on what, and how", attempt("The study", lambda: setup_blocks(found))),
        section("time", "Time, memory and machine", attempt("Time and memory", lambda: machine_blocks(found))),
        section("settings", "Settings", settings_blocks(found.folder / STUDY_FILE, f"The study ({STUDY_FILE})")),
        section("reproduce", "How to reproduce it", attempt("The command", lambda: reproduce_blocks(found))),
    ]
    return Report(
        found.study.name, "study", _state(found), found.finished, _tiles(found), tuple(sections), _figures(found)
    )


def _state(found: FoundStudy) -> str:
    done, failed = len(found.outputs.results), len(found.failures)
    if not found.all_known:
        return f"{count(done, 'finished cell')}; the data are not at hand, so cells that were never begun are not known"
    if found.finished:
        return f"finished: all {count(done, 'cell')}"
    bad = f", {failed} failed" if failed else ""
    return f"NOT FINISHED: {done} of {len(found.cells)} cells{bad}. Rows with missing seeds are provisional."


def _key(found: FoundStudy) -> Key:
    return Key(AS_PREDICTED, found.outputs.label, "dice")


def _by_count(found: FoundStudy) -> dict[str, list[Line]]:
    """Return the lines that have a Dice, by labelled count."""
    lines: dict[str, list[Line]] = {}
    for line in found.outputs.lines:
        if _key(found) in line.averages:
            lines.setdefault(line.row.labelled.title, []).append(line)
    return lines


def _tiles(found: FoundStudy) -> tuple[Tile, ...]:
    done = len(found.outputs.results)
    tiles = [Tile("cells finished", f"{done} of {len(found.cells)}", count(len(found.study.seeds), "seed"))]
    title, key = found.outputs.maker.title, _key(found)
    for labelled, lines in _by_count(found).items():
        best = max(lines, key=lambda line: line.averages[key].mean)
        own = next((line for line in lines if line.row.method == found.study.baseline), None)
        note = title(best.row)
        if own is not None and own is not best:
            note = f"{note}; {title(own.row)} {100 * own.averages[key].mean:.1f}"
        tiles.append(Tile(f"best Dice %, {labelled} labelled", f"{100 * best.averages[key].mean:.1f}", note))
    return tuple(tiles)


def _figures(found: FoundStudy) -> dict[str, object]:
    key, title = _key(found), found.outputs.maker.title
    rows = [
        {
            "method": title(line.row),
            "labelled": line.row.labelled.count,
            "seeds": len(line.results),
            "dice": line.averages[key].mean,
        }
        for lines in _by_count(found).values()
        for line in lines
    ]
    return {
        "cells": len(found.cells), "finished": len(found.outputs.results), "failed": dict(found.failures), "rows": rows,
    }  # fmt: skip


def _main_tables(found: FoundStudy) -> list[Block]:
    blocks: list[Block] = []
    if found.problem:
        listed = "" if found.all_known else " Only cells that were begun are listed."
        blocks.append(Note(f"The data are not at hand ({found.problem}).{listed}", "warning"))
    blocks += found.outputs.tables[:2]
    return blocks


def _single_curves(found: FoundStudy, above: list[Block]) -> list[Block]:
    """Return all terms of one finished training per method, behind a line that opens them."""
    blocks: list[Block] = []
    seen: set[str] = set()
    for result in found.outputs.results:
        title = found.outputs.maker.title(result.cell.row)
        if title in seen or result.cell.trained_in:
            continue
        run = found.run(result.cell)
        if run is None:
            continue
        seen.add(title)
        records = read_log(run.folder / "log.jsonl")
        inside = attempt(title, partial(learning_blocks, records))
        what = f"{result.cell.row.labelled.title} labelled, seed {result.cell.seed}"
        blocks.append(Fold(f"Every loss term: {title}, {what}", tuple(inside)))
    if found.outputs.results and not blocks:
        together = any(isinstance(block, Picture) for block in above)
        what = "the curves of single trainings" if together else "their curves"
        return [Note(f"The logs of the trainings are not in this folder, so that {what} cannot be shown.")]
    return blocks


def _rounds(found: FoundStudy) -> list[Block]:
    """Return the rounds of the first training that has some."""
    for result in found.outputs.results:
        run = found.run(result.cell)
        blocks = [] if run is None else round_blocks(run.folder)
        if blocks:
            row = result.cell.row
            which = f"{found.outputs.maker.title(row)}, {row.labelled.title} labelled, seed {result.cell.seed}"
            return [Facts((("shown for", which),)), *blocks]
    return []
