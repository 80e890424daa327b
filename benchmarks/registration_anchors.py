"""Classical registration on the pairs on which fewscan's is measured: labels warped and scored by the same code.

The packages want older numerical libraries than fewscan's and run in an environment of their own:

    python -m venv anchors_env
    anchors_env/bin/pip install torch==2.13.0 antspyx==0.6.3 itk-elastix==0.25.4 convexAdam==0.2.0 SimpleITK
    python benchmarks/registration_anchors.py DATA/Dataset004_Hippocampus --python anchors_env/bin/python \
        --threads 1 --out benchmarks/results/registration_anchors.json

Give further data sets (2-D ones too) to have them in the same file. Pairs: `registration_pairs`. An anchor returns its
displacement on the fixed grid; warping, Dice and folds are `registration_scores`. Seconds are those of the registration
alone, one pair after the other, in a process that has registered before. Settings are the packages' own where nothing
else is said: "SyN" is affine and SyN. Those of "small scans" are a finer grid or full-resolution iterations, set
beforehand; to try others, ``--part train`` takes training pairs. ANTs' affine stage and elastix draw samples at
random, so they run once per seed (ANTsPy's SyN with one seed and one thread still differs between calls);
the others have nothing random and run once.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.image_io import Image, read_image
from fewscan.data.layouts import load_dataset
from fewscan.files import write_json
from fewscan.training.environment import describe_environment
from registration_pairs import COUNT, SEED, draw_pairs, pairs_of_test_cases
from registration_scores import Field, dice_by_label, fold_fraction, require_one_frame, warped_labels

SCRIPTS = Path(__file__).parent / "anchors"
UNREGISTERED = "unregistered"
THREAD_VARIABLES = ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS")  # read when the libraries are loaded
ANTS, ELASTIX, CONVEXADAM = "run_ants.py", "run_elastix.py", "run_convexadam.py"
# the default of four resolutions leaves five voxels along an axis of these scans
ELASTIX_OPTIONS = {"stages": ["affine", "bspline"], "resolutions": 3, "iterations": 256, "spacing_mm": 8.0}
DETERMINISTIC = ("SyNOnly", "convexAdam", "convexAdam, small scans")

# script, its options, whether it registers 2-D images
ANCHORS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "SyNOnly": (ANTS, {"type_of_transform": "SyNOnly"}, True),
    "SyN": (ANTS, {"type_of_transform": "SyN"}, True),
    "SyN, small scans": (
        ANTS,
        {"type_of_transform": "SyN", "syn_metric": "CC", "syn_sampling": 2, "reg_iterations": [100, 70, 50]},
        True,
    ),
    "elastix B-spline": (ELASTIX, ELASTIX_OPTIONS, True),
    "convexAdam": (CONVEXADAM, {"grid_sp": 6}, False),
    "convexAdam, small scans": (CONVEXADAM, {"grid_sp": 3}, False),
}
Pairs = list[tuple[Case, Case]]


def choose_pairs(dataset: Dataset, part: str) -> Pairs:
    """Return the test pairs, or as many of the labelled training cases."""
    if part == "test":
        return pairs_of_test_cases(dataset)
    ids = [case.id for case in dataset if case.part is not Part.TEST and case.label is not None]
    return [(dataset[fixed], dataset[moving]) for fixed, moving in draw_pairs(ids)]


def run_anchor(
    name: str, pairs: Pairs, *, python: str, threads: int, seed: int
) -> tuple[list[Field], list[float], dict[str, str]]:
    """Return the displacement in voxels and the seconds of every pair, and the versions of the packages."""
    script, options, _ = ANCHORS[name]
    with tempfile.TemporaryDirectory() as folder:
        jobs, answer = Path(folder) / "jobs.json", Path(folder) / "seconds.json"
        fields = [Path(folder) / f"{number}.nii.gz" for number in range(len(pairs))]
        files = [
            {"fixed": str(fixed.images[0]), "moving": str(moving.images[0]), "out": str(out)}
            for (fixed, moving), out in zip(pairs, fields, strict=True)
        ]
        write_json(jobs, {"threads": threads, "seed": seed, "options": options, "pairs": files})
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
        command = [python, str(SCRIPTS / script), str(jobs), str(answer)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        told = json.loads(answer.read_text(encoding="utf-8"))
        return [displacement_vox(read_image(path, vector=True)) for path in fields], told["seconds"], told["versions"]


def displacement_vox(field_mm: Image) -> Field:
    """Return a world displacement ``(dimensions, *spatial)`` in voxels along the array axes."""
    dimensions = field_mm.geometry.dimensions
    to_voxels = np.linalg.inv(field_mm.geometry.affine()[:dimensions, :dimensions])
    field: Field = np.einsum("ij,j...->i...", to_voxels, field_mm.array)
    return field


def score_pair(fixed: Case, moving: Case, field: Field | None, *, classes: int) -> dict[str, Any]:
    """Return Dice by label and fold fraction of one pair; without a field those before registration."""
    maps = [read_image(case.label) for case in (fixed, moving) if case.label is not None]
    require_one_frame(*maps)
    size = maps[0].array.shape
    moved = warped_labels(maps[1].array, np.zeros((len(size), *size)) if field is None else field, classes=classes)
    dice = dice_by_label(moved, maps[0].array, classes=classes)
    return {"fixed": fixed.id, "moving": moving.id, "dice": dice} | (
        {} if field is None else {"fold_fraction": fold_fraction(field)}
    )


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over pairs and seeds; the mean Dice is over labels first."""
    means = [statistics.fmean(row["dice"].values()) for row in rows]
    summary: dict[str, Any] = {
        "dice": statistics.fmean(means),
        "dice_sd_of_pairs": statistics.stdev(means),
        "dice_by_label": {label: statistics.fmean(row["dice"][label] for row in rows) for label in rows[0]["dice"]},
    }
    if "seconds" in rows[0]:
        seeds = sorted({row["seed"] for row in rows})
        summary |= {
            "dice_by_seed": {
                str(seed): statistics.fmean(m for m, row in zip(means, rows, strict=True) if row["seed"] == seed)
                for seed in seeds
            },
            "fold_fraction": statistics.fmean(row["fold_fraction"] for row in rows),
            "seconds": statistics.fmean(row["seconds"] for row in rows),
            "seconds_median": statistics.median(row["seconds"] for row in rows),
        }
    return summary


def measure(dataset: Dataset, names: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the anchors on one data set, print their means and return them with the rows of all pairs."""
    pairs = choose_pairs(dataset, arguments.part)
    classes = max(dataset.labels.values()) + 1
    dimensions = read_image(pairs[0][0].images[0]).geometry.dimensions
    result: dict[str, Any] = {}
    print(f"{dataset.name}, {len(pairs)} {arguments.part} pairs")
    for name in names:
        if name == UNREGISTERED:
            rows = [score_pair(fixed, moving, None, classes=classes) for fixed, moving in pairs]
            result[name] = {"mean": summarise(rows), "pairs": rows}
        elif dimensions == 3 or ANCHORS[name][2]:
            rows, versions = measure_anchor(name, pairs, classes=classes, arguments=arguments)
            result[name] = {"options": ANCHORS[name][1], "versions": versions, "mean": summarise(rows), "pairs": rows}
        else:
            continue
        require_scores(dataset, rows)
        print_row(name, result[name]["mean"])
    return result


def measure_anchor(
    name: str, pairs: Pairs, *, classes: int, arguments: argparse.Namespace
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the rows of one anchor, all pairs for each seed, and the versions of its packages."""
    rows: list[dict[str, Any]] = []
    versions: dict[str, str] = {}
    for seed in arguments.seeds[:1] if name in DETERMINISTIC else arguments.seeds:
        fields, seconds, versions = run_anchor(
            name, pairs, python=arguments.python, threads=arguments.threads, seed=seed
        )
        for (fixed, moving), field, value in zip(pairs, fields, seconds, strict=True):
            row = score_pair(fixed, moving, field, classes=classes)
            rows.append({"seed": seed} | row | {"seconds": value})
    return rows, versions


def require_scores(dataset: Dataset, rows: list[dict[str, Any]]) -> None:
    """Raise ValueError where a pair has a label on neither side, which no mean should pass over silently."""
    for row in rows:
        if any(math.isnan(value) for value in row["dice"].values()):
            msg = f"{dataset.name}: {row['fixed']} and {row['moving']} both lack a label: {row['dice']}"
            raise ValueError(msg)


def print_row(name: str, summary: dict[str, Any]) -> None:
    """Print one line of the table."""
    labels = " ".join(f"{value:.3f}" for value in summary["dice_by_label"].values())
    line = f"{name:26s} {summary['dice']:.3f} ({labels})"
    if "seconds" in summary:
        seeds = " ".join(f"{value:.3f}" for value in summary["dice_by_seed"].values())
        line += f" {100 * summary['fold_fraction']:7.3f} % {summary['seconds_median']:7.2f} s, seeds: {seeds}"
    print(line, flush=True)


def main() -> None:
    """Measure all anchors on all data sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="nnU-Net raw data sets with labelled test cases")
    parser.add_argument("--python", required=True, help="interpreter of the anchors' environment")
    parser.add_argument("--anchors", nargs="+", choices=[UNREGISTERED, *ANCHORS], default=[UNREGISTERED, *ANCHORS])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the registrations")
    parser.add_argument("--part", choices=("test", "train"), default="test", help="train: to choose settings")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seeds = " ".join(map(str, arguments.seeds))
    result: dict[str, Any] = {
        # folders belong to the machine
        "command": " ".join(
            ["python benchmarks/registration_anchors.py", *(f"DATA/{path.name}" for path in arguments.data)]
        )
        + f" --python anchors_env/bin/python --threads {arguments.threads} --seeds {seeds} --anchors "
        + " ".join(f"'{name}'" for name in arguments.anchors),
        "part": arguments.part,
        "threads": arguments.threads,
        "seeds": {"pairs": SEED, "registration": arguments.seeds},
        "pair_count": COUNT,
        "environment": describe_environment(torch.device("cpu")),
        "date": time.strftime("%Y-%m-%d"),
        "sets": {},
    }
    for path in arguments.data:
        dataset = load_dataset(path)
        result["sets"][dataset.name] = measure(dataset, arguments.anchors, arguments)
        if arguments.out:
            write_json(arguments.out, result)


if __name__ == "__main__":
    main()
