"""How to get the same result again: commands with everything that decided it."""

import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewscan.data.image_files import is_image_file
from fewscan.data.layouts import list_scans
from fewscan.errors import FewscanError
from fewscan.metrics.evaluation import Evaluation
from fewscan.report.document.content import Block, Code, Text
from fewscan.report.sections.machine import version_blocks, versions_of
from fewscan.training.run import Run

EXACTLY = (
    "On the CPU the same version, seed and data give the same weights, bit for bit, on the same kind of processor; "
    "other hardware rounds differently. settings.yaml holds every setting, split.json every case."
)
NEW_RUN, NEW_PREDICTIONS = "NEW_RUN", "NEW_PREDICTIONS"
"""Folders that one command writes and the next one reads."""
LAST_MODEL = "model.safetensors"


def train_command(run: Run) -> str:
    """Return the commands that train a run again: its data, settings file and wishes."""
    summary = run.summary
    asked = summary.get("asked", {})
    words = ["fewscan", "train", str(summary.get("data", "DATA")), "--out", NEW_RUN]
    folder = Path(os.path.abspath(run.folder))
    words += ["--config", str(folder / "settings.yaml")]
    before, after = [], []
    for name in ("labelled", "validation", "test"):
        value = asked.get(name)
        if name == "labelled" and isinstance(value, list):
            before.append(f"printf '%s\\n' {shlex.join(map(str, value))} > labelled.txt")
            words += ["--labelled-list", "labelled.txt"]
        elif isinstance(value, list):
            after.append(f"# {name}: these ids, given to fewscan.train as a list: {', '.join(map(str, value))}")
        elif value is not None and (value != 0 or name == "labelled"):  # 0 labelled scans is a wish of its own
            words += [f"--{name}", str(value)]
    planning = asked.get("planning") or {}
    if asked.get("plan") or planning.keys() - {"dimensions"}:
        words += ["--plan", str(folder / "plan.yaml")]
    elif "dimensions" in planning:
        words += ["--dimensions", str(planning["dimensions"])]
    return "\n".join([*before, shlex.join(words), *after])


def run_blocks(run: Run) -> list[Block]:
    """Return command and versions of a training."""
    return [Code(train_command(run)), *version_blocks(versions_of(run.folder)), Text(EXACTLY)]


def predict_command(record: Mapping[str, Any], *, scans: Path | None = None, trained_anew: bool = False) -> str:
    """Return the command that predicts again as a record says.

    Parameters
    ----------
    record : mapping
        ``prediction.json``.
    scans : Path, optional
        Where the scans are; a word to be replaced unless known.
    trained_anew : bool
        Whether `train_command` comes before it, whose model predicts then.
    """
    settings, model = record.get("settings", {}), str(record.get("model", "RUN"))
    if trained_anew:
        model = NEW_RUN if Path(model).name == LAST_MODEL else f"{NEW_RUN}/{Path(model).name}"
    words = ["fewscan", "predict", model, "SCANS" if scans is None else str(scans), "--out", NEW_PREDICTIONS]
    views = settings.get("views", [])
    if len(views) > 1:
        words += ["--views", str(len(views))]
    if settings.get("overlap") not in (None, 0.5):  # none: whole scans have no windows
        words += ["--overlap", str(settings["overlap"])]
    words += [f"--{name.replace('_', '-')}" for name in ("confidence", "largest_component") if settings.get(name)]
    words += ["--device", str(settings.get("device", "auto")).split(":")[0]]
    precision = {"float32": "fp32", "bfloat16": "bf16"}.get(str(settings.get("precision")))
    return shlex.join([*words, *(["--precision", precision] if precision else [])])


def evaluate_command(evaluation: Evaluation, *, predicted_anew: bool = False) -> str:
    """Return the command that scores again; with ``predicted_anew`` what `predict_command` writes."""
    predictions = placed(evaluation.predictions)
    if predicted_anew:
        alone = is_image_file(Path(predictions))
        predictions = f"{NEW_PREDICTIONS}/{Path(predictions).name}" if alone else NEW_PREDICTIONS
    words = ["fewscan", "evaluate", predictions, placed(evaluation.labels)]
    words += ["--baseline", placed(evaluation.baseline)] if evaluation.baseline else []
    chosen = {"--largest-component": evaluation.largest_component, "--allow-missing": bool(evaluation.missing)}
    return shlex.join([*words, *(option for option, is_on in chosen.items() if is_on)])


def placed(place: str) -> str:
    """Return a place of a record as an absolute path where it is found from here, and else as it was recorded."""
    return os.path.abspath(place) if os.path.exists(place) else place


def register_command(record: Mapping[str, Any], folder: Path) -> str:
    """Return the command that registers the same pairs again."""
    settings, pairs = record.get("settings", {}), record.get("pairs", [])
    words = ["fewscan", "register"]
    words += ["--classical", str(record["classical"])] if record.get("classical") else [str(record.get("model", "RUN"))]
    words += ["--pairs", os.path.abspath(folder / "pairs.csv")]
    words += ["--moving", _scans_of(pairs, "moving"), "--fixed", _scans_of(pairs, "fixed")]
    for side, place in record.get("labels", {}).items():
        words += [f"--{side}-labels", placed(str(place))]
    words += ["--out", "NEW_FOLDER"]
    defaults = {
        "align": "centre",
        "refine": 0,
        "max_folds": 0.005,
        "metric": "mutual-information",
        "seed": 0,
        "threads": 1,
        "device": "auto",
        "precision": "auto",
    }
    for name, default in defaults.items():
        if settings.get(name) not in (None, default):  # None: of no meaning to a classical method
            words += [f"--{name.replace('_', '-')}", str(settings[name])]
    return shlex.join(words)


def _scans_of(pairs: Sequence[Mapping[str, Any]], side: str) -> str:
    """Return the one file or else the one folder of the moving or fixed scans, or a word to be replaced."""
    scans = {(str(scan["id"]), tuple(map(Path, scan["images"]))) for pair in pairs if (scan := pair.get(side))}
    files = {path for _, images in scans for path in images}
    for places in (files, {path.parent for path in files}):
        if len(places) == 1 and _gives(place := next(iter(places)), scans):
            return str(place)
    return f"{side.upper()}_SCANS"


def _gives(place: Path, scans: Collection[tuple[str, tuple[Path, ...]]]) -> bool:
    """Tell whether ``--moving place`` finds the scans under the ids of ``pairs.csv``; a place that is gone may."""
    if not place.exists():
        return True
    channels = max(len(images) for _, images in scans)
    try:  # ids of a manifest are not those of its files, and neighbours decide whether _0000 is part of an id
        found = {case.id: case.images for case in list_scans(place, channels=channels)}
    except (FewscanError, OSError):
        return False
    return all(found.get(name) == images for name, images in scans)
