"""How far the predictions of a study agree with each other, within and between labelled draws.

    python benchmarks/agreement.py STUDY --labels LABELS --out benchmarks/results/agreement_NAME.json

If networks learned from the same labelled scans agree far better with each other, whatever the method, than with
those learned from other scans, then what is left to gain lies in the labels themselves and not in the unlabelled scans.
"""

import argparse
import json
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.image_io import read_image
from fewscan.experiments.state import CELL_FILE, CELLS, PREDICTIONS, read_record
from fewscan.files import write_json

Labels = list[npt.NDArray[Any]]


def main() -> None:
    """Read all finished cells of each labelled count, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder that `fewscan compare` filled")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the true labels of the test scans")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    cells: dict[int, dict[tuple[str, int], Labels]] = {}
    truth: Labels = []
    for folder in sorted((arguments.study / CELLS).iterdir()):
        record = read_record(folder / CELL_FILE)
        if record.get("state") != "finished":
            continue
        truth = truth or read(arguments.labels, record["test"])
        of_count = cells.setdefault(record["labelled"], {})
        of_count[record["method"], record["seed"]] = read(folder / PREDICTIONS, record["test"])
    found = {str(count): agreement(predicted, truth) for count, predicted in sorted(cells.items())}
    write_json(arguments.out, {"what": "mean Dice over test scans and classes", "labelled": found})
    print(json.dumps(found, indent=1))


def read(folder: Path, case_ids: list[str]) -> Labels:
    """Return the label maps of the cases."""
    return [read_image(folder / f"{case_id}.nii.gz").array for case_id in case_ids]


def agreement(predicted: dict[tuple[str, int], Labels], truth: Labels) -> dict[str, Any]:
    """Return the mean Dice of pairs of cells of one labelled count, and of each with the truth."""
    kinds: dict[str, list[float]] = {}
    for (first, a), (second, b) in combinations(predicted.items(), 2):
        draw = "same labelled scans" if first[1] == second[1] else "other labelled scans"
        method = "same method" if first[0] == second[0] else "other method"
        kinds.setdefault(f"{draw}, {method}", []).append(dice(a, b))
    kinds["truth"] = [dice(labels, truth) for labels in predicted.values()]
    return {
        name: {"mean": round(mean(values), 4), "low": round(min(values), 4), "high": round(max(values), 4)}
        for name, values in kinds.items()
    }


def dice(first: Labels, second: Labels) -> float:
    """Return the mean Dice over scans and the foreground classes that either has."""
    scores = []
    for a, b in zip(first, second, strict=True):
        for value in sorted({*np.unique(a), *np.unique(b)} - {0}):
            p, t = a == value, b == value
            scores.append(2 * int((p & t).sum()) / (int(p.sum()) + int(t.sum())))
    return mean(scores)


if __name__ == "__main__":
    main()
