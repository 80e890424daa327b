"""Try the settings of `fewscan register --classical` on pairs of TRAINING scans: no test scan may choose a default.

    python benchmarks/classical_defaults.py DATA/Dataset004_Hippocampus --pairs 12 --seed 0 --out RESULT.json

Metric of the affine stage, and smoothness of the demons' field after it. The affine map of a pair is found once per
metric, so the seconds of demons are without it. One thread; on a machine that does other work they tell orders of
magnitude. A file that is there is added to, one entry for each data set.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from fewscan.data.case import Part
from fewscan.data.image_io import read_geometry
from fewscan.data.layouts import load_dataset
from fewscan.data.plan import Plan
from fewscan.registration import classical
from fewscan.registration.affine import METRICS, Effort, affine_alignment
from fewscan.registration.align import start_matrix
from fewscan.registration.classical import DEMONS_SMOOTHING_VOX, ClassicalRegistrar, classical_plan
from fewscan.registration.one_pair import LoadedScan, load_scan, register_pair
from fewscan.registration.quality import mean_dice
from fewscan.training.environment import describe_environment
from registration_pairs import draw_pairs

SMOOTHINGS = (1.0, 1.5, 2.0)


def measure(moving: LoadedScan, fixed: LoadedScan, *, metric: str, plan: Plan) -> dict[str, dict[str, float]]:
    """Register one pair with all settings of one metric."""
    effort = Effort(metric=metric)
    found = {f"affine, {metric}": figures(ClassicalRegistrar("affine", plan, effort=effort), moving, fixed)}
    start = start_matrix(moving.prepared.meta.prepared, fixed.prepared.meta.prepared, align="centre")
    matrix = affine_alignment(moving.prepared, fixed.prepared, start=start, effort=effort)
    with patch.object(classical, "affine_alignment", lambda *_, **__: matrix):
        for smoothing in SMOOTHINGS:
            with patch.object(classical, "DEMONS_SMOOTHING_VOX", smoothing):
                name = f"demons {smoothing} after {metric}"
                found[name] = figures(ClassicalRegistrar("demons", plan, effort=effort), moving, fixed)
    return found


def figures(registrar: ClassicalRegistrar, moving: LoadedScan, fixed: LoadedScan) -> dict[str, float]:
    """Return what one registration is judged by."""
    done = register_pair(registrar, moving, fixed)
    dice, regular = mean_dice(done.report.labels), done.report.regularity
    values = {"dice_before": dice["before"], "dice": dice["after"], "fold_fraction": regular.fold_fraction}
    values |= {"sd_log_jacobian": regular.sd_log_jacobian, "seconds": done.seconds["register"]}
    return {name: round(value, 5) for name, value in values.items()}


def main() -> None:
    """Measure all settings on all pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the results")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data)
    ids = [case.id for case in dataset if case.part is not Part.TEST and case.label is not None]
    plan = classical_plan(dimensions=read_geometry(dataset[ids[0]].images[0]).dimensions, channels=1)
    pairs = draw_pairs(ids, count=arguments.pairs, seed=arguments.seed)
    rows: dict[str, list[dict[str, Any]]] = {}
    for fixed_id, moving_id in pairs:
        fixed, moving = (load_scan(case, plan, labels=case.label) for case in (dataset[fixed_id], dataset[moving_id]))
        for metric in METRICS:
            for name, found in measure(moving, fixed, metric=metric, plan=plan).items():
                rows.setdefault(name, []).append({"fixed": fixed_id, "moving": moving_id, **found})
                print(name, found, flush=True)
    result = {
        "command": f"python benchmarks/classical_defaults.py DATA/{arguments.data.name} "
        f"--pairs {arguments.pairs} --seed {arguments.seed}",
        "date": time.strftime("%Y-%m-%d"),
        "environment": describe_environment(torch.device("cpu")),
        "defaults_when_run": {"metric": Effort().metric, "demons_smoothing_vox": DEMONS_SMOOTHING_VOX},
        "mean": {
            name: {key: round(float(np.mean([row[key] for row in found])), 5) for key in list(found[0])[2:]}
            for name, found in rows.items()
        },
        "pairs": rows,
    }
    path: Path = arguments.out
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**results, arguments.data.name: result}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["mean"], indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
