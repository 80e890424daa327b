"""Checkpoints: at any instant at least one complete checkpoint exists.

Each is one safetensors file with the method's and the optimiser's tensors, the step, and a hash. It is written beside
its place, flushed and renamed; only then is the oldest of three deleted. No random state is kept, because none is
needed: see `fewscan.seeding`.
"""

from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from fewscan.errors import DataError
from fewscan.tensor_file import read_tensors, write_tensors

KEPT = 2


class Checkpoint(NamedTuple):
    """What a checkpoint holds: ``step`` is the next step to take; tensors by part ("method", "optimiser", "ema")."""

    step: int
    parts: dict[str, dict[str, Tensor]]
    details: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write ``checkpoint`` and delete all but the newest ones."""
    tensors = {f"{part}/{name}": tensor for part, named in checkpoint.parts.items() for name, tensor in named.items()}
    path = folder / f"step-{checkpoint.step:08d}.safetensors"
    write_tensors(path, tensors, {"step": checkpoint.step, "details": checkpoint.details})
    for old in checkpoint_files(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint; `DataError` when it is damaged."""
    tensors, description = read_tensors(path)
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, key = name.split("/", 1)
        parts.setdefault(part, {})[key] = tensor
    return Checkpoint(int(description["step"]), parts, description["details"])


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest undamaged checkpoint, or None when the folder has none at all.

    Raises
    ------
    DataError
        When there are checkpoints but all are damaged.
    """
    files = checkpoint_files(folder)
    problems = []
    for path in reversed(files):
        try:
            return load_checkpoint(path)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("every checkpoint of this run is damaged:\n  " + "\n  ".join(problems))
    return None


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the checkpoint files, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))
