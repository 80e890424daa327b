"""Train, predict and evaluate on the real scans, by the same commands a user would type; one JSON file per experiment.

    python benchmarks/real_scans.py hippocampus_all --data DATA --out RUNS --seeds 0 1 2

DATA holds the data sets by name (Dataset004_Hippocampus, ...), as `lay_out.py` and the scripts that cut slices make
them. The experiments are hippocampus_all, hippocampus_first4, hippocampus_slices_2 and left_atrium_16. Every result
holds the commands, the machine, the seconds and the scores, and lies in RUNS; those of this repository were written
with ``--results benchmarks/results``. Finished ones are kept, so a stopped call can be repeated.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# data set, options of `train`, options of `predict`
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "hippocampus_all": {"data": "Dataset004_Hippocampus", "train": ["--iterations", "1600"]},
    "hippocampus_first4": {"data": "Dataset004_Hippocampus", "first": 4, "train": ["--iterations", "1000"]},
    "hippocampus_slices_2": {
        "data": "Dataset104_HippocampusSlices",
        "first": 2,
        "train": ["--iterations", "1000"],
    },
    "left_atrium_16": {
        "data": "Dataset018_LeftAtrium",
        "first": 16,
        "spacing": "1.25,1.25,1.25",
        "train": ["--set", "patch_size=[64, 64, 48]", "--iterations", "700"],
    },
}


def run_experiment(name: str, *, data: Path, runs: Path, seed: int, extra: list[str]) -> dict[str, Any]:
    """Run one experiment with one seed and return its result."""
    spec = EXPERIMENTS[name]
    source, run = data / spec["data"], runs / f"{name}-seed{seed}"
    store = runs / "stores" / f"{spec['data']}-{spec.get('spacing', 'own')}"
    commands = []
    if "spacing" in spec:
        commands.append(["prepare", source, "--out", store, "--spacing", spec["spacing"]])
    subset = []
    if "first" in spec:
        subset = ["--labelled-list", write_first_cases(source, spec["first"], runs / f"{name}.txt")]
    trained_on = store if "spacing" in spec else source
    place = [] if "spacing" in spec else ["--store", store]
    started = (run / "settings.yaml").is_file()
    options = ["--resume"] if started else [*subset, *spec["train"], *extra, "--seed", str(seed)]
    predictions = run / "predictions"
    commands += [
        ["train", trained_on, "--method", "supervised", "--out", run, *place, *options],
        ["predict", run, source / "imagesTs", "--out", predictions],
        ["evaluate", predictions, source / "labelsTs", "--out", run / "evaluation"],
    ]
    seconds = {}
    for command in commands:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "fewscan", *map(str, command)], check=True)
        seconds[command[0]] = round(time.perf_counter() - started, 1)
    summary = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return {
        "experiment": name,
        "seed": seed,
        "commands": [" ".join(["fewscan", *(shorten(part, data, runs) for part in command)]) for command in commands],
        "training_seconds": summary["training_seconds"],
        "peak_memory_mib": summary["peak_memory_mib"],
        "command_seconds": seconds,
        "environment": json.loads((run / "environment.json").read_text(encoding="utf-8")),
        "settings": (run / "settings.yaml").read_text(encoding="utf-8"),
        "scores": json.loads((run / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))["summary"],
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
    }


def write_first_cases(source: Path, count: int, path: Path) -> Path:
    """Write the ids of the first ``count`` training cases in alphabetical order."""
    ids = sorted(file.name.split(".")[0] for file in (source / "labelsTr").iterdir())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(ids[:count]) + "\n")
    return path


def shorten(part: Any, data: Path, runs: Path) -> str:
    """Return a command's word without the machine's own folders."""
    return str(part).replace(str(data), "DATA").replace(str(runs), "RUNS")


def run_named(
    experiments: dict[str, dict[str, Any]], run: Callable[..., dict[str, Any]], *, about: str | None, prefix: str = ""
) -> None:
    """Run the experiments named on the command line, once per seed, and write one result of each."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", choices=sorted(experiments))
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and stores")
    parser.add_argument("--results", type=Path, help="folder for the results; default: that of --out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--extra", nargs=argparse.REMAINDER, default=[], help="further options of `fewscan train`")
    arguments = parser.parse_args()
    results: Path = arguments.results or arguments.out
    results.mkdir(parents=True, exist_ok=True)
    for name in arguments.experiments:
        for seed in arguments.seeds:
            path = results / f"{prefix}{name}-seed{seed}.json"
            if path.is_file():
                print(f"{path}: kept")
                continue
            result = run(name, data=arguments.data, runs=arguments.out, seed=seed, extra=arguments.extra)
            path.write_text(json.dumps(result, indent=2) + "\n")
            print(f"{path}: written")


if __name__ == "__main__":
    run_named(EXPERIMENTS, run_experiment, about=__doc__)
