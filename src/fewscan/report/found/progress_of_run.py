"""How far a run has come and what it took so far, by its log and its newest checkpoint.

The log has a line every few steps alone; a run that was stopped left a checkpoint of its very last step.
"""

import json
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

from safetensors import SafetensorError, safe_open

from fewscan.training.checkpoint import checkpoint_files
from fewscan.training.log import read_log
from fewscan.training.run import Run


@dataclass(frozen=True)
class RunProgress:
    """Steps and seconds of a run.

    Attributes
    ----------
    logged, saved : int
        Steps that the log tells of, and that the newest checkpoint holds.
    seconds : float
        Of training so far; NaN where nothing tells.
    is_estimate : bool
        Whether ``seconds`` is told from logged steps, rather than recorded.
    """

    logged: int
    saved: int
    seconds: float = nan
    is_estimate: bool = False

    @property
    def done(self) -> int:
        """Steps that were taken, as far as is known."""
        return max(self.logged, self.saved)


def progress_of(run: Run) -> RunProgress:
    """Return how far a run has come; of one in stages, the sum over its stages."""
    stages = [Run(path) for path in sorted((run.folder / "stages").glob("*")) if (path / "log.jsonl").is_file()]
    if not stages:
        return _of_one(run)
    found = [_of_one(stage) for stage in stages]
    return RunProgress(
        sum(each.logged for each in found),
        sum(each.saved for each in found),
        sum(each.seconds for each in found if isfinite(each.seconds)),
        any(each.is_estimate for each in found),
    )


def _of_one(run: Run) -> RunProgress:
    steps = [record for record in read_log(run.folder / "log.jsonl") if "step" in record]
    logged = max((int(record["step"]) + 1 for record in steps), default=0)
    recorded = run.summary.get("training_seconds")
    if recorded is not None:
        return RunProgress(logged, logged, float(recorded))
    saved, seconds = _newest_checkpoint(run.folder / "checkpoints")
    if saved >= logged and isfinite(seconds):
        return RunProgress(logged, saved, seconds)
    timed = [float(record["seconds"]) for record in steps if record.get("seconds") is not None]
    if timed:
        later = [float(r["seconds"]) for r in steps if r.get("seconds") is not None and r["step"] >= saved] or timed
        start = seconds if isfinite(seconds) else 0.0
        begin = saved if isfinite(seconds) else 0
        return RunProgress(logged, saved, start + (logged - begin) * sum(later) / len(later), is_estimate=True)
    return RunProgress(logged, saved, seconds)


def _newest_checkpoint(folder: Path) -> tuple[int, float]:
    """Return step and seconds of the newest checkpoint whose description can be read; its tensors are not."""
    for path in reversed(checkpoint_files(folder)):
        try:
            with safe_open(path, framework="pt") as file:
                description = json.loads((file.metadata() or {})["fewscan"])
            return int(description["step"]), float(description["details"].get("seconds", nan))
        except (SafetensorError, OSError, ValueError, KeyError, AttributeError, TypeError):
            continue
    return 0, nan
