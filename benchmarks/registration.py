"""Train registration on the real scans and lay the 20 benchmark pairs onto each other, by the commands a user types.

    python benchmarks/registration.py hippocampus_0 hippocampus_4 hippocampus_all --data DATA --out RUNS

DATA holds the data sets by name (Dataset004_Hippocampus, ...). The pairs are those of `registration_pairs`, of test
scans that no training reads; the classical anchors on the same pairs are in ``registration_anchors.py``. Every result
holds the commands, the machine, the settings and every pair, and lies in RUNS; those of this repository were written
with ``--results benchmarks/results``. Finished ones are kept. Experiments that end in ``affine`` or ``demons`` train
nothing: they are `fewscan register --classical`.
"""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewscan.data.layouts import load_dataset
from fewscan.training.environment import describe_environment
from fewscan.training.run import Run
from real_scans import run_named, shorten
from registration_pairs import pairs_of_test_cases

# data set, method (registration unless told) and options of `train`
EXPERIMENTS: dict[str, dict[str, Any]] = {
    # on validation slices augmentation did nothing where there is no label
    "hippocampus_0": {
        "data": "Dataset004_Hippocampus",
        "train": ["--labelled", "0", "--iterations", "2500", "--set", "augmentation=none"],
    },
    "hippocampus_4": {"data": "Dataset004_Hippocampus", "train": ["--labelled", "4"]},
    "hippocampus_all": {
        "data": "Dataset004_Hippocampus",
        "train": [
            *("--iterations", "8000", "--set", "batch={labelled: 4, unlabelled: 0}"),
            *("--set", "hyper.label_weight=10"),
        ],
    },
    # as in examples/study_rivals_hippocampus.yaml, so the run of its cell serves here too
    "hippocampus_joint_4": {
        "data": "Dataset004_Hippocampus",
        "method": "joint",
        "train": [
            *("--labelled", "4", "--iterations", "3300", "--set", "hyper.first_segmentation=800"),
            *("--set", "patch_size=[32, 40, 32]", "--set", "batch={labelled: 2, unlabelled: 2}"),
            *("--set", "hyper.registration.batch={labelled: 2, unlabelled: 2}"),
        ],
    },
    "hippocampus_slices_0": {"data": "Dataset104_HippocampusSlices", "train": ["--labelled", "0"]},
    "hippocampus_slices_4": {"data": "Dataset104_HippocampusSlices", "train": ["--labelled", "4"]},
    "hippocampus_slices_all": {
        "data": "Dataset104_HippocampusSlices",
        "train": ["--set", "batch={labelled: 8, unlabelled: 0}"],
    },
    "hippocampus_slices_joint_4": {
        "data": "Dataset104_HippocampusSlices",
        "method": "joint",
        "train": ["--labelled", "4"],
    },
    "acdc_slices_0": {"data": "Dataset127_ACDCSlices", "train": ["--labelled", "0"]},
    "acdc_slices_4": {"data": "Dataset127_ACDCSlices", "train": ["--labelled", "4"]},
    "acdc_slices_all": {
        "data": "Dataset127_ACDCSlices",
        "train": ["--set", "batch={labelled: 8, unlabelled: 0}"],
    },
    "hippocampus_affine": {"data": "Dataset004_Hippocampus", "classical": "affine"},
    "hippocampus_demons": {"data": "Dataset004_Hippocampus", "classical": "demons"},
    "hippocampus_slices_affine": {"data": "Dataset104_HippocampusSlices", "classical": "affine"},
    "hippocampus_slices_demons": {"data": "Dataset104_HippocampusSlices", "classical": "demons"},
    "acdc_slices_affine": {"data": "Dataset127_ACDCSlices", "classical": "affine"},
    "acdc_slices_demons": {"data": "Dataset127_ACDCSlices", "classical": "demons"},
}


def run_experiment(name: str, *, data: Path, runs: Path, seed: int, extra: list[str]) -> dict[str, Any]:
    """Train, register and score one experiment with one seed."""
    spec = EXPERIMENTS[name]
    if "classical" in spec:
        return run_classical(name, data=data, runs=runs)
    source, run = data / spec["data"], runs / f"registration-{name}-seed{seed}"
    store = ["--store", runs / "stores" / spec["data"]]
    options = [*spec["train"], *extra, "--seed", str(seed)]
    started, finished = (run / "settings.yaml").is_file(), Run(run).finished
    train = ["train", source, "--method", spec.get("method", "registration"), "--out", run, *store]
    register = register_command([run], source=source, runs=runs, out=run / "registered")
    training = [] if finished else [[*train, *(["--resume"] if started else options)]]
    for command in (*training, register):
        subprocess.run([sys.executable, "-m", "fewscan", *map(str, command)], check=True)
    commands = [[*train, *options], register]
    summary = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return {
        "experiment": f"registration_{name}",
        "seed": seed,
        "commands": [typed(command, data, runs) for command in commands],
        "training_seconds": summary["training_seconds"],
        "peak_memory_mib": summary["peak_memory_mib"],
        "environment": json.loads((run / "environment.json").read_text(encoding="utf-8")),
        "settings": (run / "settings.yaml").read_text(encoding="utf-8"),
        **scored(run / "registered", data, runs),
    }


def run_classical(name: str, *, data: Path, runs: Path) -> dict[str, Any]:
    """Register and score the pairs of one experiment without a network."""
    spec, out = EXPERIMENTS[name], runs / f"registration-{name}"
    command = register_command(["--classical", spec["classical"]], source=data / spec["data"], runs=runs, out=out)
    subprocess.run([sys.executable, "-m", "fewscan", *map(str, command)], check=True)
    return {
        "experiment": f"registration_{name}",
        "commands": [typed(command, data, runs)],
        "environment": describe_environment(torch.device("cpu")),
        **scored(out, data, runs),
    }


def register_command(what: list[Any], *, source: Path, runs: Path, out: Path) -> list[Any]:
    """Return the command that lays the benchmark pairs of a data set onto each other."""
    pairs = write_pairs(source, runs / f"{source.name}-pairs.csv")
    labels = ["--moving-labels", source / "labelsTs", "--fixed-labels", source / "labelsTs"]
    return ["register", *what, "--pairs", pairs, "--moving", source / "imagesTs", *labels, "--out", out]


def typed(command: list[Any], data: Path, runs: Path) -> str:
    """Return a command as a user would type it."""
    return " ".join(["fewscan", *(shorten(part, data, runs) for part in command)])


def scored(out: Path, data: Path, runs: Path) -> dict[str, Any]:
    """Return what was found about all pairs, and when."""
    record = json.loads((out / "registration.json").read_text(encoding="utf-8"))
    return {
        "mean": averages(out / "pairs.csv"),
        "pairs": json.loads(shorten(json.dumps(record["pairs"]), data, runs)),
        "date": time.strftime("%Y-%m-%d"),
    }


def write_pairs(source: Path, path: Path) -> Path:
    """Write the benchmark pairs of a data set as ``fewscan register --pairs`` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{moving.id},{fixed.id}" for fixed, moving in pairs_of_test_cases(load_dataset(source))]
    path.write_text("\n".join(["moving,fixed", *rows]) + "\n", encoding="utf-8")
    return path


def averages(table: Path) -> dict[str, float]:
    """Return the mean over the pairs of every column of numbers, and the largest share of folds."""
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    columns = ("dice_before", "dice_after", "hd95_mm_before", "hd95_mm_after", "sd_log_jacobian", "fold_fraction")
    means = {name: round(float(np.mean([float(row[name]) for row in rows])), 5) for name in (*columns, "seconds")}
    return means | {
        "dice_after_sd_of_pairs": round(float(np.std([float(row["dice_after"]) for row in rows])), 5),
        "fold_fraction_worst_pair": round(max(float(row["fold_fraction"]) for row in rows), 5),
    }


if __name__ == "__main__":
    run_named(EXPERIMENTS, run_experiment, about=__doc__, prefix="registration_")
