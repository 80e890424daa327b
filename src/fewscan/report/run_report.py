"""The report on a training run."""

import shlex
from pathlib import Path

from fewscan.report.document.attempt import attempt
from fewscan.report.document.content import Block, Code, Note, Report, Section, Tile, section
from fewscan.report.document.words import count, memory, number
from fewscan.report.found.kinds import title_of
from fewscan.report.found.progress_of_run import progress_of
from fewscan.report.sections.learning import learning_blocks
from fewscan.report.sections.machine import machine_blocks, time_blocks, training_time
from fewscan.report.sections.reproduce import run_blocks
from fewscan.report.sections.rounds import round_blocks
from fewscan.report.sections.training import has_all, method_of, settings_blocks, training_blocks
from fewscan.training.log import read_log
from fewscan.training.run import Run


def run_report(folder: Path, *, labels: Path | None = None) -> Report:
    """Return the report; of an unfinished run too, which says so.

    ``labels`` is a folder of label files, whose truth is shown beside pseudo-masks.
    """
    run = Run(folder)
    finished = run.finished
    sections = [
        section("training", "What was trained, on what, and how", training_blocks(run)),
        *run_sections(run, labels=labels),
        section("time", "Time, memory and machine", _time(run)),
        section("settings", "Settings", _settings(run)),
        section("reproduce", "How to reproduce it", attempt("The command", lambda: run_blocks(run))),
        section("next", "What it is good for", [_next(run)]),
    ]
    state = "finished" if finished else _how_far(run)
    return Report(title_of(folder), "training run", state, finished, _tiles(run), tuple(sections), _figures(run))


def run_sections(run: Run, *, labels: Path | None = None) -> list[Section]:
    """Return learning curves and, of a joint training, the rounds, beside the truth if there are labels."""
    return [
        section(
            "learning",
            "Learning curves",
            attempt("Learning curves", lambda: learning_blocks(read_log(run.folder / "log.jsonl"))),
        ),
        section("rounds", "Pseudo-masks over the rounds", round_blocks(run.folder, labels=labels)),
    ]


def _how_far(run: Run) -> str:
    found = progress_of(run)
    if not found.done:
        done = "no step logged"
    elif found.saved >= found.logged:
        done = f"{count(found.done, 'step')} done"
    else:
        done = f"{count(found.logged, 'step')} logged"
    planned = f" of {run.settings.iterations}" if has_all(run) else ""
    kept = f" ({found.saved} of them saved)" if 0 < found.saved < found.logged else ""
    return f"NOT FINISHED: {done}{planned}{kept}. The same command with --resume continues."


def _tiles(run: Run) -> tuple[Tile, ...]:
    tiles = []
    if has_all(run):
        settings, split = run.settings, run.split
        tiles.append(Tile("method", settings.method, f"preset {settings.preset}, {settings.iterations} steps"))
        note = f"{len(split.labelled)} labelled + {len(split.validation)} validation"
        tiles.append(Tile("annotated scans", str(split.annotation_cost), note))
        tiles.append(Tile("unlabelled scans", str(len(split.unlabelled))))
    best = run.summary.get("best_validation") or {}
    if best.get("mean_dice") is not None:
        at = f"at step {best['step']}" if "step" in best else f"in round {best['round']}" if "round" in best else ""
        tiles.append(Tile("best validation Dice", number(best["mean_dice"]), at))
    tiles.append(Tile(*training_time(run)))
    tiles.append(Tile("peak memory", memory(run.summary.get("peak_memory_mib"))))
    return tuple(tiles)


def _figures(run: Run) -> dict[str, object]:
    summary = run.summary
    best = summary.get("best_validation") or {}
    figures: dict[str, object] = {"state": summary.get("state"), "best_validation_dice": best.get("mean_dice")}
    figures |= {name: summary.get(name) for name in ("training_seconds", "peak_memory_mib")}
    if has_all(run):
        split, settings = run.split, run.settings
        figures |= {"method": settings.method, "iterations": settings.iterations, "seed": settings.seed}
        figures |= {"labelled": len(split.labelled), "validation": len(split.validation)}
    return figures


def _time(run: Run) -> list[Block]:
    records = read_log(run.folder / "log.jsonl")
    blocks = attempt("Time and memory", lambda: time_blocks(run, records))
    return blocks + attempt("The machine", lambda: machine_blocks(run.folder))


def _settings(run: Run) -> list[Block]:
    blocks = settings_blocks(run.folder / "settings.yaml", "All settings (settings.yaml)")
    return blocks + settings_blocks(run.folder / "plan.yaml", "The plan (plan.yaml)")


def _next(run: Run) -> Block:
    if not (run.folder / "model.safetensors").is_file():
        return Note("There is no model yet.", "warning")
    place = shlex.quote(str(run.folder))
    method = method_of(run.settings) if has_all(run) else None
    if method is not None and method.task == "registration":
        return Code(f"fewscan register {place} --moving A --fixed B --out DIR\nfewscan report DIR", "Use the model")
    return Code(
        f"fewscan predict {place} NEW_SCANS --out PREDICTIONS --confidence\n"
        "fewscan report PREDICTIONS --scans NEW_SCANS",
        "Pictures of scans and Dice belong to predictions: predict, and report on that folder",
    )
