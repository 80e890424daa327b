"""Time, memory, machine and versions."""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from fewscan.pictures.curves import as_arrays
from fewscan.report.document.content import Block, Facts
from fewscan.report.document.words import duration, memory, number, plain
from fewscan.report.found.kinds import read_json
from fewscan.report.found.progress_of_run import progress_of
from fewscan.training.run import Run

ENVIRONMENT = "environment.json"
_VERSIONS = ("fewscan", "python", "torch", "numpy")


def training_time(run: Run) -> tuple[str, str]:
    """Return what to call the time of a training, and the time: that so far where it is not finished."""
    if run.finished:
        return "training time", duration(run.summary.get("training_seconds"))
    found = progress_of(run)
    about = "about " if found.is_estimate else ""
    return "training time so far", duration(None) if isnan(found.seconds) else f"{about}{duration(found.seconds)}"


def time_blocks(run: Run, records: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Return what a training took, by ``run.json``, its log and its checkpoints."""
    summary = run.summary
    steps = [record for record in records if record.get("kind") == "step"]
    per_step = as_arrays([(record["step"], record.get("seconds")) for record in steps])[1]
    per_step = per_step[np.isfinite(per_step)]
    rate = as_arrays([(record["step"], record.get("samples_per_second")) for record in steps])[1]
    rate = rate[np.isfinite(rate)]
    peak = summary.get("peak_memory_mib") or max((r.get("peak_memory_mib") or 0.0 for r in steps), default=None)
    name, taken = training_time(run)
    facts = [(name.replace("training time", "training"), taken), ("peak memory", memory(peak))]
    if per_step.size:
        facts.append(("median step", duration(float(np.median(per_step)))))
    if rate.size:
        facts.append(("median patches per second", number(float(np.median(rate)), 1)))
    if "finished" in summary:
        facts.append(("finished", str(summary["finished"])))
    return [Facts(tuple(facts))]


def machine_blocks(folder: Path) -> list[Block]:
    """Return machine and versions of a run; nothing before they are written."""
    found = read_json(folder / ENVIRONMENT)
    if not found:
        return []
    machine = {name: value for name, value in found.items() if name not in _VERSIONS}
    names = {"memory_gib": "memory, GiB"}
    return [Facts(tuple((names.get(name, name), plain(value)) for name, value in machine.items()))]


def version_blocks(versions: Mapping[str, Any]) -> list[Block]:
    """Return versions of programs; and the commit, where one was recorded."""
    shown = {name: plain(value) for name, value in versions.items() if isinstance(value, str | int | float | None)}
    return [Facts(tuple(shown.items()))] if shown else []


def versions_of(folder: Path) -> dict[str, Any]:
    """Return the versions that a run recorded, and its commit where there is one."""
    found = read_json(folder / ENVIRONMENT)
    wanted = (*_VERSIONS, "commit", "git_commit")
    return {name: found[name] for name in wanted if name in found}
