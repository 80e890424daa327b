"""How much the engine adds to a bare training step, and what bf16 gains; ratios within one run.

    python benchmarks/training_speed.py --out benchmarks/results/training_speed.json

Overhead: seconds per step of `fewscan train` (patch reading, augmentation, log, schedule, checks) against a loop of
forward, backward and optimiser on one fixed batch of the same network, size and precision.
Precision: a V-Net step at 112x112x80, batch 4, in bf16 and in fp32, both in the layout and with the allocator setting
that the engine uses; beside them fp32 as PyTorch comes (contiguous tensors, default allocator), in its own process.
Blocks of steps alternate, so that a drift of the machine's speed touches both sides.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fewscan.losses.segmentation import dice_cross_entropy
from fewscan.networks.allocator import keep_freed_memory
from fewscan.networks.layout import best_layout
from fewscan.networks.precision import resolve_precision
from fewscan.networks.registry import NetworkSpec, build_network
from fewscan.training.environment import describe_environment

CPU = torch.device("cpu")


VNET_SHAPE = (4, 1, 112, 112, 80)


def make_step(
    network: str,
    shape: tuple[int, ...],
    *,
    classes: int,
    dtype: torch.dtype,
    layout: torch.memory_format | None = None,
) -> Callable[[], None]:
    """Return a function that does one bare training step on a fixed batch, in the engine's layout unless told."""
    dimensions = len(shape) - 2
    layout = best_layout(dimensions, CPU, dtype) if layout is None else layout
    model = build_network(NetworkSpec(name=network), dimensions=dimensions, channels=shape[1], classes=classes)
    model = model.to(memory_format=layout)  # type: ignore[call-overload]
    images = torch.randn(shape).contiguous(memory_format=layout)
    labels = torch.randint(classes, (shape[0], *shape[2:]))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            loss = dice_cross_entropy(model(images), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 12.0)
        optimiser.step()

    return step


def seconds_per_step(step: Callable[[], None], count: int) -> float:
    """Return the mean seconds of ``count`` steps."""
    started = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - started) / count


def engine_overhead(*, blocks: int, steps: int) -> dict[str, Any]:
    """Time the engine on a store of random scans of hippocampus size against the bare step."""
    from fewscan.data.layouts import load_dataset
    from fewscan.training.loop import Training
    from fewscan.training.run import train

    patch, batch = (48, 64, 48), 4
    bare_step = make_step("unet", (batch, 1, *patch), classes=3, dtype=resolve_precision("auto", CPU))
    seconds_per_step(bare_step, 3)
    bare: list[float] = []
    engine: list[float] = []
    original = Training._step
    clock = {"last": 0.0, "count": 0}

    def timed(self: Training, step: int, patches: Any) -> dict[str, Any]:
        # between two blocks of the engine, a block of bare steps
        now = time.perf_counter()
        if step and step % steps == 0:
            engine.append((now - clock["last"]) / steps)
            bare.append(seconds_per_step(bare_step, steps))
        if step % steps == 0:
            clock["last"] = time.perf_counter()
        return original(self, step, patches)

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_random_scans(data)
        load_dataset(data)
        Training._step = timed  # type: ignore[method-assign]
        try:
            settings = {
                "iterations": (blocks + 1) * steps + 1,
                "batch.labelled": batch,
                "patch_size": list(patch),
                "checkpoint_every": 10**6,
            }
            train(data, Path(folder) / "run", settings=settings, device="cpu", quiet=True)
        finally:
            Training._step = original  # type: ignore[method-assign]
    # the first block holds the warm-up
    return ratio_of(engine[1:], bare[1:], names=("engine_seconds", "bare_seconds"))


def write_random_scans(folder: Path) -> None:
    """Write eight labelled scans of the size of a hippocampus crop as a plain folder data set."""
    from fewscan.data.geometry import Geometry
    from fewscan.data.image_io import write_image

    rng = np.random.default_rng(0)
    size = (36, 50, 36)
    for number in range(8):
        image = rng.normal(100, 20, size).astype(np.float32)
        label = np.zeros(size, np.uint8)
        label[10:20, 10:25, 10:20], label[10:20, 25:40, 10:20] = 1, 2
        write_image(folder / "images" / f"scan{number}.nii.gz", image + 40 * label, Geometry.identity(size))
        write_image(folder / "labels" / f"scan{number}.nii.gz", label, Geometry.identity(size))


def precision_gain(*, blocks: int) -> dict[str, Any]:
    """Time V-Net steps at 112x112x80, batch 4, in both precisions."""
    full = make_step("vnet", VNET_SHAPE, classes=2, dtype=torch.float32)
    half = make_step("vnet", VNET_SHAPE, classes=2, dtype=torch.bfloat16)
    seconds_per_step(full, 1)
    seconds_per_step(half, 1)
    slow, fast = [], []
    for _ in range(blocks):
        slow.append(seconds_per_step(full, 1))
        fast.append(seconds_per_step(half, 2))
    result = ratio_of(slow, fast, names=("fp32_seconds", "bf16_seconds"))
    plain = plain_fp32_seconds()
    return result | {"plain_fp32_seconds": plain, "ratio_to_plain_fp32": round(plain / result["bf16_seconds"], 3)}


def plain_fp32_seconds() -> float:
    """Return the seconds of an fp32 step as PyTorch comes, in a fresh process."""
    finished = subprocess.run([sys.executable, __file__, "--plain-fp32"], check=True, capture_output=True, text=True)
    return round(float(finished.stdout), 4)


def ratio_of(first: list[float], second: list[float], *, names: tuple[str, str]) -> dict[str, Any]:
    """Return medians of both sides and of the ratio pair by pair, with its range."""
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    return {
        names[0]: round(statistics.median(first), 4),
        names[1]: round(statistics.median(second), 4),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "blocks": len(ratios),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="steps per block of the overhead")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plain-fp32", action="store_true", help="print the seconds of a plain fp32 step and stop")
    arguments = parser.parse_args()
    if arguments.plain_fp32:
        step = make_step("vnet", VNET_SHAPE, classes=2, dtype=torch.float32, layout=torch.contiguous_format)
        seconds_per_step(step, 1)
        print(seconds_per_step(step, 3))
        return
    keep_freed_memory()
    result = {
        "environment": describe_environment(CPU),
        "engine_overhead": engine_overhead(blocks=arguments.blocks, steps=arguments.steps),
        "bf16_gain": precision_gain(blocks=arguments.blocks),
    }
    print(json.dumps(result, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
