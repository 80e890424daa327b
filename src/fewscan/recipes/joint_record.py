"""What is written down about the rounds: one log of all stages, one record per round, and when to expect the end."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from fewscan.files import write_atomically, write_json
from fewscan.recipes.joint_settings import Kind
from fewscan.recipes.mask_store import INDEX, MaskStore
from fewscan.settings import Settings
from fewscan.training.log import read_log
from fewscan.training.run import Run

ROUNDS = "rounds.json"
MIN_GAIN = 0.001
"""Validation Dice that counts as better."""


class RoundRecord(Settings):
    """What came of one round.

    Attributes
    ----------
    round : int
        From 0.
    dice : mapping of str to float
        Of the segmentation network on the validation scans at the end of the round, by class; empty without any.
    mean_dice, best_dice : float or None
        Mean over the classes; best of the round.
    entropy, disagreement : float or None
        Means over the pseudo-masks that the round was trained with, see `MaskRecord`; None without any, as in round 0.
    scans : int
        Unlabelled scans that the round was trained with.
    kept : int
        Of them, how many got the mask of an earlier round because this round's had collapsed.
    seconds : mapping of str to float
        By stage.
    steps : mapping of str to int
        By stage.
    """

    round: int
    dice: dict[str, float] = {}
    mean_dice: float | None = None
    best_dice: float | None = None
    entropy: float | None = None
    disagreement: float | None = None
    scans: int = 0
    kept: int = 0
    seconds: dict[str, float] = {}
    steps: dict[str, int] = {}


def stage_path(run_folder: Path, number: int, kind: str) -> Path:
    """Return the folder of a stage."""
    return run_folder / "stages" / f"{number}-{kind}"


def read_round(run_folder: Path, number: int, store: MaskStore | None, *, used: Sequence[str]) -> RoundRecord:
    """Return the record of a finished round, trained with the scans ``used``, from what its stages have left."""
    seconds: dict[str, float] = {}
    steps: dict[str, int] = {}
    values: dict[str, object] = {"round": number, "scans": len(used)}
    if store is not None:
        seconds["masks"] = float(store.details["seconds"])
        records = [store.records[case_id] for case_id in used]
        if records:
            values["entropy"] = fmean(record.entropy for record in records)
            values["disagreement"] = fmean(record.disagreement for record in records)
        values["kept"] = sum(record.kept_from is not None for record in records)
    for kind in ("segmentation", "registration"):
        run = Run(stage_path(run_folder, number, kind))
        if not run.finished:
            continue
        seconds[kind], steps[kind] = float(run.summary["training_seconds"]), run.settings.iterations
        if kind == "segmentation":
            validations = [r for r in read_log(run.folder / "log.jsonl") if r["kind"] == "validation"]
            if validations:
                values |= {"dice": validations[-1]["dice"], "mean_dice": validations[-1]["mean_dice"]}
                values["best_dice"] = run.summary["best_validation"].get("mean_dice")
    return RoundRecord.parse({**values, "seconds": seconds, "steps": steps}, source="round")


def gather_logs(run_folder: Path, history: Sequence[RoundRecord]) -> None:
    """Write ``log.jsonl`` and ``rounds.json`` of the run anew from its stages.

    Steps count on from stage to stage; each record names its ``round`` and ``stage``, and one record of kind ``round``
    follows each round.
    """
    lines, before = [], 0
    for record in history:
        for kind, steps in record.steps.items():
            for entry in read_log(stage_path(run_folder, record.round, kind) / "log.jsonl"):
                if entry["kind"] == "validation" and kind == "registration":
                    entry["kind"] = "registration_validation"  # Dice of pairs, not of segmentations
                lines.append({**entry, "step": entry["step"] + before, "round": record.round, "stage": kind})
            before += steps
        lines.append({"kind": "round", "step": before - 1, **record.model_dump(mode="json")})
    write_atomically(run_folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    write_json(run_folder / ROUNDS, [record.model_dump(mode="json") for record in history])


def has_levelled_off(history: Sequence[RoundRecord], *, patience: int) -> bool:
    """Tell whether validation Dice has not become better for so many rounds; never without validation."""
    scores = [record.mean_dice for record in history if record.mean_dice is not None]
    if len(scores) <= patience:
        return False
    return max(scores[-patience:]) < max(scores[:-patience]) + MIN_GAIN


def seconds_left(run_folder: Path, lengths: Mapping[tuple[int, Kind], int], *, at: tuple[int, str]) -> float | None:
    """Return about how long the stages from ``at`` on will take, by those that are finished; None if too few are."""
    rates: dict[str, float] = {}
    masks: list[float] = []
    for (number, kind), steps in lengths.items():
        summary = Run(stage_path(run_folder, number, kind)).summary
        if summary.get("state") == "finished":
            rates[kind] = float(summary["training_seconds"]) / steps
        index = stage_path(run_folder, number, "masks") / INDEX
        if kind == "segmentation" and index.is_file():
            masks.append(float(json.loads(index.read_text(encoding="utf-8"))["seconds"]))
    if set(rates) != {kind for _, kind in lengths}:
        return None
    order = list(lengths)
    later = order[order.index(at) :]  # type: ignore[arg-type]
    rounds_to_come = {number for number, _ in later if number > at[0]}
    per_round = sum(masks) / len(masks) if masks else 0.0
    return sum(lengths[key] * rates[key[1]] for key in later) + per_round * len(rounds_to_come)
