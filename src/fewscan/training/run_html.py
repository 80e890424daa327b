"""How a run shows itself in Jupyter; see `fewscan.notebook`."""

from typing import TYPE_CHECKING

from fewscan.notebook import html_facts, html_result
from fewscan.progress import clock

if TYPE_CHECKING:
    from fewscan.training.run import Run

PLACES = {
    "settings": "settings.yaml",
    "scans used for what": "split.json",
    "learning curves": "curves.png",
    "model": "model.safetensors",
}


def run_html(run: "Run") -> str:
    """Return settings in short, scans, time, and where things are; of what the run has written so far."""
    facts: dict[str, object] = {}
    summary = run.summary
    if (run.folder / "settings.yaml").is_file():
        settings = run.settings
        facts |= {
            "method": f"{settings.method}, preset {settings.preset}",
            "steps": settings.iterations,
            "network": settings.network.name,
            "seed": settings.seed,
        }
    if (run.folder / "split.json").is_file():
        split = run.split
        parts = {name: len(getattr(split, name)) for name in ("labelled", "unlabelled", "validation", "test")}
        facts["scans"] = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    if run.finished:
        facts["training"] = f"{clock(summary['training_seconds'])}, peak memory {summary['peak_memory_mib']:.0f} MiB"
        best = summary.get("best_validation") or {}
        shown = {key: f"{value:.4f}" if isinstance(value, float) else str(value) for key, value in best.items()}
        facts["best validation"] = ", ".join(f"{key} {text}" for key, text in shown.items() if best[key] is not None)
    places = {what: run.folder / name for what, name in PLACES.items() if (run.folder / name).is_file()}
    state = "finished" if run.finished else "not finished"
    return html_result(f"Run, {state}", html_facts(facts), places={"folder": run.folder} | places)
