"""Time all six metrics against MedPy's four (dc, jc, hd95, asd) on one left-atrium label, and compare the values.

MedPy is GPL and no dependency of fewscan; it runs in an environment of its own:

    python -m venv medpy_env && medpy_env/bin/pip install medpy
    python benchmarks/metrics_speed.py --medpy-python medpy_env/bin/python --label LABEL.nii.gz --out RESULT.json

Without ``--label`` a shape of the same size is made up. The prediction is the label with its surface moved by a smooth
random field (two voxels standard deviation) and a small island far away, as networks predict it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fewscan.data.image_io import read_image
from fewscan.files import write_atomically
from fewscan.metrics.case_scores import score_masks

Mask = npt.NDArray[np.bool_]

# runs in MedPy's environment: one line of JSON with seconds and values
MEDPY_SCRIPT = """
import json, sys, time
import numpy as np
from medpy.metric import binary
data = np.load(sys.argv[1], allow_pickle=False)
p, g, spacing = data["prediction"], data["truth"], data["spacing_mm"]
def four():
    return {"dice": binary.dc(p, g), "jaccard": binary.jc(p, g), "hd95_mm": binary.hd95(p, g, spacing),
            "asd_mm": binary.asd(p, g, spacing)}
seconds = []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    values = four()
    seconds.append(time.perf_counter() - start)
values["hd_mm"] = binary.hd(p, g, spacing)
print(json.dumps({"seconds": seconds, "values": {k: float(v) for k, v in values.items()}}))
"""


def made_up_label() -> tuple[Mask, tuple[float, ...]]:
    """Return an ellipsoid with four tubes, about the size of a left atrium with its veins at 0.625 mm."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in (183, 140, 88)], indexing="ij")
    mask = (x / 0.35) ** 2 + (y / 0.35) ** 2 + (z / 0.6) ** 2 < 1
    for sign_x in (-1, 1):
        for height in (-0.25, 0.3):
            tube = (y + 0.1) ** 2 / 0.07**2 + (z - height) ** 2 / 0.15**2 < 1
            mask |= tube & (sign_x * x > 0) & (np.abs(x) < 0.6)
    return mask, (0.625,) * 3


def plausible_prediction(truth: Mask, *, seed: int = 0) -> Mask:
    """Return ``truth`` with a disturbed surface and an island of 6 x 6 x 6 voxels."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=truth.shape), 6)
    depth = ndimage.distance_transform_edt(truth) - ndimage.distance_transform_edt(~truth)
    prediction: Mask = depth + 2 * noise / noise.std() > 0
    prediction[10:16, 20:26, 10:16] = True
    return prediction


def timed(function: Callable[[], Any], repeats: int) -> tuple[list[float], Any]:
    """Return the seconds of each run and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return seconds, result


def run_medpy(python: str, prediction: Mask, truth: Mask, spacing_mm: tuple[float, ...], repeats: int) -> Any:
    """Return seconds and values of MedPy's functions, run by another interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        masks = Path(folder) / "masks.npz"
        np.savez(masks, prediction=prediction, truth=truth, spacing_mm=np.asarray(spacing_mm))
        command = [python, "-c", MEDPY_SCRIPT, str(masks), str(repeats)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--medpy-python", default=sys.executable, help="interpreter that can import medpy")
    parser.add_argument("--label", type=Path, help="left-atrium label (class 1)")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    if options.label is None:
        truth, spacing_mm = made_up_label()
    else:
        image = read_image(options.label)
        truth, spacing_mm = image.array == 1, image.geometry.spacing_mm
    prediction = plausible_prediction(truth)

    seconds, scored = timed(lambda: score_masks(prediction, truth, spacing_mm=spacing_mm), options.repeats)
    medpy = run_medpy(options.medpy_python, prediction, truth, spacing_mm, options.repeats)
    ours, theirs = statistics.median(seconds), statistics.median(medpy["seconds"])
    difference = {name: abs(value - scored.scores[name]) for name, value in medpy["values"].items()}
    result = {
        # file names only: paths belong to the machine
        "command": "python benchmarks/metrics_speed.py --medpy-python medpy_env/bin/python"
        + (f" --label {options.label.name}" if options.label else ""),
        "label": "real left atrium" if options.label else "made up",
        "size": list(truth.shape),
        "spacing_mm": list(spacing_mm),
        "processors": len(os.sched_getaffinity(0)),
        "fewscan_six_metrics_s": {"median": ours, "best": min(seconds)},
        "medpy_four_metrics_s": {"median": theirs, "best": min(medpy["seconds"])},
        "ratio": {"median": theirs / ours, "best": min(medpy["seconds"]) / min(seconds)},
        "fewscan": dict(scored.scores),
        "medpy": medpy["values"],
        "largest_difference": max(difference.values()),
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if options.out is not None:
        write_atomically(options.out, text.encode())


if __name__ == "__main__":
    main()
