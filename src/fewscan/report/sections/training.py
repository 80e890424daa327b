"""What was trained, on what, and how."""

from pathlib import Path
from typing import Any

from fewscan.data.plan import Plan
from fewscan.data.split import Split
from fewscan.errors import FewscanError
from fewscan.experiments.tables import Table
from fewscan.methods.base import Trainable
from fewscan.methods.registry import trainable_class
from fewscan.metrics.text_table import listed
from fewscan.report.document.attempt import attempt
from fewscan.report.document.content import Block, Code, Facts, Fold, Note
from fewscan.report.document.words import count, number, plain
from fewscan.report.sections.method import method_blocks
from fewscan.training.run import Run
from fewscan.training.settings import TrainSettings

PARTS = {
    "labelled": "trained with image and label",
    "unlabelled": "trained with the image alone",
    "validation": "looked at during training; their labels count as annotated",
    "test": "never read by training",
}

IDLE = "not used: this method learns from labelled scans alone"


def has_all(run: Run) -> bool:
    """Tell whether a run has come as far as having settings, split and plan."""
    return all((run.folder / name).is_file() for name in ("settings.yaml", "split.json", "plan.yaml"))


def training_blocks(run: Run) -> list[Block]:
    """Return what was trained on what and how; a note for what a run that was stopped early does not have yet."""
    blocks: list[Block] = []
    for name, title, make in (
        ("settings.yaml", "The settings", lambda: settings_facts(run.settings)),
        ("split.json", "The scans", lambda: scan_blocks(run.split, _settings_of(run))),
        ("plan.yaml", "The plan", lambda: _data(run.plan, str(run.summary.get("data", "not recorded")))),
    ):
        if (run.folder / name).is_file():
            blocks += attempt(title, make)
        else:
            text = f"{name} is not in the folder: the run was stopped before it came that far, or the file was removed."
            blocks.append(Note(text, "warning"))
    return blocks


def method_of(settings: TrainSettings) -> type[Trainable] | None:
    """Return the method of a run; None where this version does not know it."""
    try:
        return trainable_class(settings.method)
    except FewscanError:
        return None


def settings_facts(settings: TrainSettings) -> list[Block]:
    """Return how a training was done, with its method in full."""
    method, optimiser, batch = method_of(settings), settings.optimiser, settings.batch
    title = settings.method if method is None else f"{method.title} ({settings.method})"
    facts = [
        ("method", title),
        ("preset", settings.preset),
        ("network", settings.network.name),
        ("training steps", str(settings.iterations)),
        ("batch", _batch(batch.labelled, batch.unlabelled, uses_unlabelled=method is None or method.uses_unlabelled)),
        ("optimiser", f"{optimiser.name}, {optimiser.schedule}, peak rate {optimiser.learning_rate:g}"),
        ("seed", str(settings.seed)),
    ]
    blocks: list[Block] = [Facts(tuple(facts))]
    if method is not None:
        blocks += attempt("The method", lambda: method_blocks(settings, method))
    return blocks


def _settings_of(run: Run) -> TrainSettings | None:
    return run.settings if (run.folder / "settings.yaml").is_file() else None


def _batch(labelled: int, unlabelled: int, *, uses_unlabelled: bool) -> str:
    text = f"{labelled} labelled"
    return f"{text} and {unlabelled} unlabelled patches" if uses_unlabelled else f"{text} patches"


def scan_blocks(split: Split, settings: TrainSettings | None) -> list[Block]:
    """Return which scans were used for what, as far as the settings tell."""
    method = None if settings is None else method_of(settings)
    parts = {name: getattr(split, name) for name in PARTS}
    purpose = PARTS if method is None or method.uses_unlabelled else PARTS | {"unlabelled": IDLE}
    rows = tuple((name, str(len(ids)), purpose[name], listed(ids, limit=6)) for name, ids in parts.items() if ids)
    note = (
        f"Annotation cost: {count(split.annotation_cost, 'scan')} (labelled and validation). Drawn with seed "
        f"{split.seed}."
    )
    table = Table("Scans", ("part", "scans", "what for", "ids"), rows, (note, *split.notes), text_columns=4)
    blocks: list[Block] = [table]
    lists = [Facts(((f"{name} ({len(ids)})", ", ".join(ids)),)) for name, ids in parts.items() if len(ids) > 6]
    if lists:
        blocks.append(Fold("All ids of every part", tuple(lists)))
    return blocks


def _data(plan: Plan, data: str) -> list[Block]:
    preparation = plan.preparation
    sides = ["as stored" if side is None else f"{side:g}" for side in preparation.spacing_mm or ()]
    spacing = f"{' × '.join(sides)} mm" if sides else "as stored"
    classes = [f"{item.name} ({plain(item.output)})" for item in plan.classes[1:]]
    facts = [
        ("data set", plan.name),
        ("read from", data),
        ("dimensions", f"{plan.dimensions}-D" + (f" on {plan.image_dimensions}-D scans" if _by_slices(plan) else "")),
        ("channels", listed(plan.channels)),
        ("classes (label value)", listed(classes, limit=20)),
        ("spacing", spacing),
        ("patch", " × ".join(map(str, plan.patch_size)) + " voxels"),
        ("median scan", _median(plan)),
        ("intensities", _intensities(preparation)),
    ]
    return [Facts(tuple(facts))]


def _by_slices(plan: Plan) -> bool:
    return plan.image_dimensions != plan.dimensions


def _median(plan: Plan) -> str:
    size, spacing = plan.median_size, plan.median_spacing_mm
    if not size:
        return plain(None)
    text = " × ".join(map(str, size)) + " voxels"
    return f"{text} of {' × '.join(number(v, 2) for v in spacing)} mm" if spacing else text


def _intensities(preparation: Any) -> str:
    low, high = preparation.clip_percentiles or (0, 100)
    clipped = f"clipped to percentiles {low:g} to {high:g}, " if (low, high) != (0, 100) else ""
    return f"{clipped}{preparation.normalisation} over {preparation.over} voxels"


def settings_blocks(path: Path, title: str) -> list[Block]:
    """Return a settings file as it is, behind a line that opens it."""
    return [Fold(title, (Code(path.read_text(encoding="utf-8").strip()),))] if path.is_file() else []
