"""The report on a folder of predictions, or on an evaluation that stands alone."""

import shlex
from collections.abc import Mapping
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np

from fewscan.data.image_io import read_geometry
from fewscan.errors import FewscanError
from fewscan.experiments.ranking import best_median_worst
from fewscan.metrics.evaluation import Evaluation
from fewscan.metrics.text_table import listed
from fewscan.report.document.attempt import attempt
from fewscan.report.document.content import Block, Code, Facts, Fold, Note, Report, Section, Text, Tile, section
from fewscan.report.document.words import count, duration, interval, memory, number, plain
from fewscan.report.found.evaluation_file import read_evaluation, unlike_scored
from fewscan.report.found.kinds import Reportable, title_of
from fewscan.report.found.naming import named
from fewscan.report.found.predicted import Predicted, gather
from fewscan.report.found.sources import label_maps
from fewscan.report.listening import announce
from fewscan.report.run_report import run_sections
from fewscan.report.sections.cases import ranked_blocks
from fewscan.report.sections.machine import machine_blocks, version_blocks
from fewscan.report.sections.reproduce import evaluate_command, predict_command, train_command
from fewscan.report.sections.review import review_blocks
from fewscan.report.sections.scores import case_table, score_blocks, spread_blocks
from fewscan.report.sections.training import training_blocks
from fewscan.training.run import Run

RANKED = "Ranked by Dice, the mean over the classes present in a case; ties by id."
NOT_AT_HAND = "The true labels are not at hand; fewscan report DIR --labels LABELS shows the errors."


def prediction_report(found: Reportable, *, scans: Path | None = None, labels: Path | None = None) -> Report:
    """Return the report; see `fewscan.report.found.predicted.gather` for the arguments."""
    announce("records, scans and labels")
    predicted = gather(found, scans=scans, labels=labels)
    dice = predicted.dice()
    chosen = best_median_worst({case: score for case, score in dice.items() if case in predicted.files})
    shown = [case for case, _ in chosen.values() if case in predicted.scans]
    sections = [
        section("scores", "Scores", _scores(predicted)),
        section("spread", "How the cases are spread", attempt("The charts", lambda: _spread(predicted))),
        section("cases", "Best, median and worst case", _ranked(predicted, chosen)),
        section("review", "Cases most in need of a human look", _review(predicted, shown)),
        section("all-cases", "Every case", [] if predicted.evaluation is None else case_table(predicted.evaluation)),
        section("prediction", "What predicted", _prediction(predicted)),
        *_training(predicted),
        section("time", "Time, memory and machine", attempt("Time", lambda: _time(predicted))),
        section("reproduce", "How to reproduce it", attempt("The commands", lambda: _reproduce(predicted))),
    ]
    state, complete = _state(predicted)
    return Report(
        title_of(found.folder),
        str(found.kind),
        state,
        complete,
        _tiles(predicted),
        tuple(sections),
        _figures(predicted),
    )


def _state(predicted: Predicted) -> tuple[str, bool]:
    failures = predicted.record.get("failures", {})
    missing = predicted.evaluation.missing if predicted.evaluation is not None else ()
    problems = []
    if predicted.record and not predicted.record.get("scans") and not failures:
        problems.append("the prediction did not come to its end")
    if failures:
        problems.append(f"{count(len(failures), 'scan')} could not be predicted")
    gone = [str(scan["id"]) for scan in predicted.record.get("scans", []) if str(scan["id"]) not in predicted.files]
    if gone:
        problems.append(f"{count(len(gone), 'label map')} not in the folder any more ({listed(gone, limit=3)})")
    if missing:
        problems.append(f"{count(len(missing), 'labelled case')} not scored for lack of a prediction")
    if predicted.unlike and predicted.evaluation is None:
        problems.append("the scores found are of other predictions, and not shown")
    if problems:
        return f"NOT COMPLETE: {'; '.join(problems)}.", False
    return ("complete, scored" if predicted.evaluation is not None else "complete, not scored"), True


def _tiles(predicted: Predicted) -> tuple[Tile, ...]:
    record, tiles = predicted.record, []
    scan_count = len(predicted.files) or (len(predicted.evaluation.case_ids) if predicted.evaluation else 0)
    tiles.append(Tile("scans", str(scan_count)))
    if predicted.evaluation is not None:
        label = predicted.main_label
        dice, distance = predicted.evaluation.row(label, "dice"), predicted.evaluation.row(label, "hd95_mm")
        tiles.append(Tile("Dice", number(dice.mean), f"95 % interval {interval(dice.low, dice.high)}; {label}"))
        worst = min((v for v in predicted.dice().values() if not isnan(v)), default=nan)
        tiles.append(Tile("lowest Dice of a case", number(worst)))
        note = f"infinite in {distance.infinite} of {distance.n}" if distance.infinite else label
        tiles.append(Tile("95 % Hausdorff, mm", number(distance.mean, 2), note))
    if record:
        tiles.append(Tile("method", str(record.get("method", "–"))))
        seconds = [float(scan["seconds"]) for scan in record.get("scans", [])]
        if seconds:
            tiles.append(
                Tile("time per scan", duration(float(np.median(seconds))), "median, without reading and writing")
            )
    return tuple(tiles)


def _figures(predicted: Predicted) -> dict[str, Any]:
    figures: dict[str, Any] = {"scans": len(predicted.files), "failures": len(predicted.record.get("failures", {}))}
    evaluation = predicted.evaluation
    if evaluation is not None:
        labels = dict.fromkeys(row.label for row in evaluation.summary)
        figures["dice"] = {label: evaluation.row(label, "dice").mean for label in labels}
        main = evaluation.row(predicted.main_label, "dice")
        figures["mean_dice"], figures["interval"] = main.mean, [main.low, main.high]
    return figures


def _scores(predicted: Predicted) -> list[Block]:
    blocks: list[Block] = []
    failures: Mapping[str, Any] = predicted.record.get("failures", {})
    if failures:
        rows = tuple((str(case), str(reason)) for case, reason in failures.items())
        blocks.append(Note(f"{count(len(failures), 'scan')} could not be predicted:", "warning"))
        blocks.append(Facts(rows))
    if predicted.evaluation is not None:
        return blocks + score_blocks(predicted.evaluation)
    if predicted.unlike:
        were = f"{count(len(predicted.unlike), 'label map')} of this folder are not those scored there"
        text = f"The scores in {predicted.others_scores} are of other predictions ({were}: {listed(predicted.unlike)})"
        blocks.append(Note(f"{text}. They are not shown; score these anew.", "warning"))
    text = "These predictions were not scored. With true labels: "
    return [*blocks, Text(text), Code(shlex.join(["fewscan", "evaluate", str(predicted.folder), "LABELS"]))]


def _spread(predicted: Predicted) -> list[Block]:
    if predicted.evaluation is None:
        return []
    voxel, unit = _unit(predicted)
    return spread_blocks(predicted.evaluation, _baseline(predicted.evaluation), voxel=voxel, unit=unit)


def _unit(predicted: Predicted) -> tuple[float, str]:
    """Return the size of a voxel and its unit, if that is known and the same for all cases."""
    try:
        grids = [read_geometry(path) for path in predicted.files.values()]
    except FewscanError:
        return 1.0, "voxels"
    sizes = [grid.voxel_volume_mm3 for grid in grids]
    if not sizes or max(sizes) - min(sizes) > 1e-6 * max(sizes):
        return 1.0, "voxels"
    return (sizes[0], "mm²") if grids[0].dimensions == 2 else (sizes[0] / 1000, "ml")


def _baseline(evaluation: Evaluation) -> Evaluation | None:
    """Return the baseline's own evaluation, where it lies beside its predictions and is of the same cases."""
    if evaluation.baseline is None:
        return None
    folder = Path(evaluation.baseline)
    for place in (folder, folder.parent / "evaluation"):
        found = read_evaluation(place)
        if found is not None and folder.is_dir() and unlike_scored(found, label_maps(folder)):
            continue  # the baseline has been predicted anew since
        if found is not None:
            found = named(found, evaluation.names)
        if (
            found is not None
            and found.labels == evaluation.labels
            and found.largest_component == evaluation.largest_component
        ):
            return found
    return None


def _ranked(predicted: Predicted, chosen: Mapping[str, tuple[str, float]]) -> list[Block]:
    if not chosen:
        return []
    if not any(case in predicted.scans for case, _ in chosen.values()):
        names = ", ".join(f"{rank}: {case} (Dice {number(dice)})" for rank, (case, dice) in chosen.items())
        return [Text(names), _no_scans(predicted)]
    known = any(case in predicted.labels for case, _ in chosen.values())
    told = [RANKED, _planes(predicted, known=known), "" if known else NOT_AT_HAND]
    return [Text(" ".join(text for text in told if text)), *ranked_blocks(predicted, chosen)]


def _planes(predicted: Predicted, *, known: bool) -> str:
    """Say where planes are cut; a 2-D scan is shown whole, or zoomed to its labels."""
    try:
        flat = any(read_geometry(path).dimensions == 2 for path in list(predicted.files.values())[:1])
    except FewscanError:
        flat = False
    return "" if flat else f"Planes go through the centre of the {'true' if known else 'predicted'} labels."


def _no_scans(predicted: Predicted) -> Note:
    command = shlex.join(["fewscan", "report", str(predicted.folder), "--scans", "SCANS"])
    return Note(f"For pictures, say where the scans are: {command}")


def _review(predicted: Predicted, shown: list[str]) -> list[Block]:
    if not predicted.files:
        return [Note("The predictions themselves are not where the evaluation found them.", "warning")]
    blocks = attempt("The list", lambda: review_blocks(predicted, shown=shown))
    return blocks if predicted.scans else [*blocks, _no_scans(predicted)]


def _prediction(predicted: Predicted) -> list[Block]:
    record = predicted.record
    if not record:
        evaluation = predicted.evaluation
        facts = [("predictions", evaluation.predictions), ("labels", evaluation.labels)] if evaluation else []
        return [Facts(tuple(facts))]
    settings = {name: plain(value) for name, value in record.get("settings", {}).items()}
    facts = [("model", str(record.get("model"))), ("method", str(record.get("method")))]
    facts.append(("network", str(record.get("network", {}).get("name"))))
    members = [f"{member['method']}, seed {member['seed']}" for member in record.get("members", [])]
    facts += [("members", "; ".join(members))] if members else []
    facts.append(("classes", listed(list(predicted.names.values()), limit=20)))
    blocks: list[Block] = [Facts((*facts, *settings.items()))]
    if predicted.run is None:
        why = "An ensemble has no run of its own" if members else "The training run is not beside the model any more"
        blocks.append(Note(f"{why}, so that none is shown here."))
    return blocks


def _training(predicted: Predicted) -> list[Section]:
    if predicted.run is None:
        return []
    run = Run(predicted.run)
    return [section("training", "What was trained, on what, and how", training_blocks(run)), *run_sections(run)]


def _time(predicted: Predicted) -> list[Block]:
    seconds = {str(scan["id"]): float(scan["seconds"]) for scan in predicted.record.get("scans", [])}
    facts: list[tuple[str, str]] = []
    if seconds:
        slowest = max(seconds, key=lambda case: seconds[case])
        facts.append(("prediction of all scans, without reading and writing", duration(sum(seconds.values()))))
        facts.append(("median scan", duration(float(np.median(list(seconds.values()))))))
        facts.append(("slowest scan", f"{duration(seconds[slowest])} ({slowest})"))
    blocks: list[Block] = [Facts(tuple(facts))] if facts else []
    if predicted.run is None:
        return blocks
    summary = Run(predicted.run).summary
    training = [("training", duration(summary.get("training_seconds")))]
    peak = summary.get("peak_memory_mib")
    training.append(("peak memory of training", memory(peak)))
    return [*blocks, Facts(tuple(training)), *machine_blocks(predicted.run)]


def _reproduce(predicted: Predicted) -> list[Block]:
    record, evaluation, commands = predicted.record, predicted.evaluation, []
    if predicted.run is not None:
        commands.append(train_command(Run(predicted.run)))
    if record:
        trained = predicted.run is not None
        commands.append(predict_command(record, scans=predicted.scan_place, trained_anew=trained))
    if evaluation is not None:
        commands.append(evaluate_command(evaluation, predicted_anew=bool(record)))
    blocks: list[Block] = [Code("\n".join(commands))] if commands else []
    blocks += version_blocks(record.get("versions", {}))
    if predicted.run is not None and (predicted.run / "settings.yaml").is_file():
        text = (predicted.run / "settings.yaml").read_text(encoding="utf-8")
        blocks.append(Fold("All settings of the training (settings.yaml)", (Code(text),)))
    return blocks
