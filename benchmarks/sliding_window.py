"""Sliding-window prediction against MONAI's: time and peak memory, as ratios from one run.

Both predict the same volume with the same network, windows, overlap and Gaussian weights, one window at a time, and
must agree. Time is the median over rounds in which they take turns, on the wall and on the processor (which is steadier
on a machine with other work); "fewscan_auto" has the precision and memory layout that fewscan chooses for the machine.
Peak memory is the peak resident set of one process each (Unix only); what the volume adds to it leaves out the imports
and the working memory of one window.

    python benchmarks/sliding_window.py --out benchmarks/results/sliding_window.json
"""

import argparse
import copy
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from fewscan.inference.sliding_window import SIGMA, predict_probabilities
from fewscan.networks.layout import best_layout
from fewscan.networks.precision import resolve_precision
from fewscan.networks.registry import NetworkSpec, build_network

PATCH = (64, 64, 32)
CLASSES = 4
TIME_SIZE, TIME_OVERLAP = (128, 96, 64), 0.5
MEMORY_SIZE, MEMORY_OVERLAP = (320, 320, 128), 0.25


def build(*filters: int) -> nn.Module:
    """Return a U-Net with the same weights every time."""
    torch.manual_seed(0)
    spec = NetworkSpec(name="unet", options={"filters": filters})
    return build_network(spec, dimensions=3, channels=1, classes=CLASSES).eval()


def with_fewscan(network: nn.Module, image: Tensor, overlap: float) -> Tensor:
    """Return the probabilities (classes, *axes)."""
    return predict_probabilities(network, image, patch_size=PATCH, overlap=overlap)


def with_fewscan_auto(network: nn.Module, image: Tensor, overlap: float) -> Tensor:
    """Return the probabilities as ``fewscan predict`` finds them: precision and memory layout that suit the machine."""
    device = torch.device("cpu")
    dtype = resolve_precision("auto", device)
    layout = best_layout(3, device, dtype)
    return predict_probabilities(
        copy.deepcopy(network).to(memory_format=layout),  # type: ignore[call-overload]  # missing in torch
        image,
        patch_size=PATCH,
        overlap=overlap,
        dtype=dtype,
        memory_format=layout,
    )


def with_monai(network: nn.Module, image: Tensor, overlap: float) -> Tensor:
    """Return the probabilities (classes, *axes)."""
    from monai.inferers import sliding_window_inference

    def probabilities(windows: Tensor) -> Tensor:
        logits: Tensor = network(windows)
        return logits.softmax(dim=1)

    with torch.no_grad():
        # MONAI's own Gaussian is cut off at 0.001, which makes most of the window's border count alike
        found: Tensor = sliding_window_inference(
            image[None], PATCH, 1, probabilities, overlap=overlap, mode="gaussian", roi_weight_map=gaussian()
        )
    return found[0]


def gaussian() -> Tensor:
    """Return the blending weights of a window (1, 1, *window)."""
    weight = torch.ones(1, 1)
    for length in PATCH:
        offset = torch.arange(length) - (length - 1) / 2
        weight = weight[..., None] * torch.exp(-0.5 * (offset / (SIGMA * length)) ** 2)
    return weight


WAYS: dict[str, Callable[[nn.Module, Tensor, float], Tensor]] = {
    "fewscan": with_fewscan,
    "fewscan_auto": with_fewscan_auto,
    "monai": with_monai,
}


def warm_up(name: str, network: nn.Module) -> None:
    """Predict one window, so that kernels and working memory of the network are there."""
    WAYS[name](network, torch.zeros(1, *PATCH), 0.0)


def measure_time(rounds: int) -> dict[str, Any]:
    """Return the median seconds of each way, their ratios, and the largest difference of the probabilities."""
    network, image = build(8, 16, 32), torch.randn(1, *TIME_SIZE, generator=torch.Generator().manual_seed(0))
    wall: dict[str, list[float]] = {name: [] for name in WAYS}
    processor: dict[str, list[float]] = {name: [] for name in WAYS}
    found: dict[str, Tensor] = {}
    for name in WAYS:
        warm_up(name, network)
    for _ in range(rounds):
        for name, way in WAYS.items():
            started, busy = time.perf_counter(), time.process_time()
            found[name] = way(network, image, TIME_OVERLAP)
            wall[name].append(time.perf_counter() - started)
            processor[name].append(time.process_time() - busy)
    difference = (found["fewscan"] - found["monai"]).abs().max().item()
    if difference > 1e-4:
        msg = f"the two disagree by {difference}: not the same work"
        raise RuntimeError(msg)
    seconds = {name: statistics.median(values) for name, values in wall.items()}
    processor_seconds = {name: statistics.median(values) for name, values in processor.items()}
    return {
        "volume": TIME_SIZE,
        "overlap": TIME_OVERLAP,
        "rounds": rounds,
        "largest_difference": difference,
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "time_ratio": seconds["fewscan"] / seconds["monai"],
        "processor_time_ratio": processor_seconds["fewscan"] / processor_seconds["monai"],
        "auto_precision": str(resolve_precision("auto", torch.device("cpu"))),
        "time_ratio_auto": seconds["fewscan_auto"] / seconds["monai"],
    }


def measure_memory() -> dict[str, Any]:
    """Return the peak memory of processes of their own that predict one volume, and the ratios."""
    peak, added = {}, {}
    for name in ("fewscan", "monai"):
        output = subprocess.check_output([sys.executable, __file__, "--measure", name], text=True)
        peak[name], before = json.loads(output)
        added[name] = peak[name] - before
    return {
        "volume": MEMORY_SIZE,
        "overlap": MEMORY_OVERLAP,
        "peak_mib": peak,
        "peak_ratio": peak["fewscan"] / peak["monai"],
        "added_by_the_volume_mib": added,
        "added_ratio": added["fewscan"] / added["monai"],
    }


def report_memory(name: str) -> None:
    """Predict one volume in this process; print its peak memory, and what it took before, in MiB."""
    network, image = build(4, 8), torch.randn(1, *MEMORY_SIZE)
    warm_up(name, network)
    before = psutil.Process().memory_info().rss / 2**20
    WAYS[name](network, image, MEMORY_OVERLAP)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, before]))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        report_memory(options.measure)
        return
    result = {
        "patch": PATCH,
        "classes": CLASSES,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        # memory first: a process inherits the peak of the one that started it
        "memory": measure_memory(),
        "time": measure_time(options.rounds),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
