"""One stage of a recipe: an ordinary run in a folder of its own, which the engine resumes like any other."""

import shutil
from pathlib import Path
from typing import Any

from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedStore
from fewscan.data.sampling import SoftMasks
from fewscan.data.split import Split
from fewscan.files import write_json
from fewscan.training.run import Run
from fewscan.training.settings import TrainSettings
from fewscan.training.start import start_training


def train_stage(
    folder: Path,
    *,
    store: PreparedStore,
    split: Split,
    plan: Plan,
    settings: TrainSettings,
    fabric: Any,
    title: str,
    initial: Path | None = None,
    masks: SoftMasks | None = None,
    quiet: bool = False,
) -> Run:
    """Train one stage, or what is left of it; nothing is done where it is finished.

    Parameters
    ----------
    folder : Path
        Of the stage; becomes an ordinary run folder.
    store, split, plan, settings, fabric, title, initial, masks, quiet
        See `fewscan.training.start.start_training`.

    Returns
    -------
    Run
        Finished. Its checkpoints are deleted: there is nothing left to resume.
    """
    run = Run(folder)
    if not run.finished:
        if fabric.is_global_zero:
            settings.write(folder / "settings.yaml")
            plan.write(folder / "plan.yaml")
            write_json(folder / "split.json", split.model_dump(mode="json"))
            if not (folder / "run.json").is_file():
                write_json(folder / "run.json", {"state": "started", "data": str(store.path.resolve()), "asked": {}})
        fabric.barrier()
        start_training(
            run, store, split, plan, settings, fabric, quiet=quiet, title=title, initial=initial, masks=masks
        )  # fmt: skip
    if fabric.is_global_zero:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    fabric.barrier()
    return run
