"""What a step of the teachers costs, relative to supervised training on as many images and to UA-MT written plainly.

    python benchmarks/method_cost.py --full --out benchmarks/results/method_cost.json

``--full`` is V-Net at 112x112x80 with 2 labelled and 2 unlabelled patches, the size of the left-atrium literature; the
default takes seconds. Methods run as the engine runs them: channels-last, bf16 where the processor has it, freed memory
kept. The last row is UA-MT written down plainly, in a process with PyTorch's defaults: float32, contiguous, one teacher
pass after the other, all of them kept. Rows take turns, so that a drift of the machine's speed touches all of them;
ratios are of medians, of wall-clock and of processor time. On a busy machine trust the latter, with ``--threads 1``.
Neither augmentation nor reading is included. What all methods cost is told by ``method_costs_table.py``.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.losses.segmentation import dice_cross_entropy
from fewscan.methods.base import Context, Method
from fewscan.methods.registry import method_class
from fewscan.networks.allocator import keep_freed_memory
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.layout import best_layout
from fewscan.networks.precision import resolve_precision
from fewscan.networks.registry import NetworkSpec
from fewscan.training.environment import describe_environment

CPU = torch.device("cpu")
UAMT = "uncertainty_aware_mean_teacher"
PLAIN = "UA-MT, plain fp32, 8 separate passes"
CLASSES, ITERATIONS, STEP = 2, 1000, 500


def make_batch(counts: tuple[int, int], patch: tuple[int, ...], layout: torch.memory_format) -> Batch:
    """Return random patches, so many labelled and so many unlabelled."""
    labelled, unlabelled = counts
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(labelled + unlabelled, 1, *patch, generator=generator).contiguous(memory_format=layout)
    labels = torch.randint(CLASSES, (labelled, *patch), generator=generator)
    names = tuple(f"scan{k}" for k in range(labelled + unlabelled))
    return Batch(images[:labelled], labels, images[labelled:], names[:labelled], names[labelled:])


def make_method(name: str, preset: str, spec: NetworkSpec, patch: tuple[int, ...]) -> Method:
    """Return a method in training mode; all start from the same weights."""
    cls = method_class(name)
    torch.manual_seed(0)
    return cls(
        cls.hyper_parameters.parse(cls.presets[preset].get("hyper", {}), source="benchmark"),
        NetworkBuilder(spec, patch_size=patch, channels=1, classes=CLASSES),
        Context(classes=CLASSES, dimensions=len(patch), iterations=ITERATIONS),
    ).train()


def plain_terms(method: Any, batch: Batch, step: int) -> dict[str, Tensor]:
    """Return the terms of UA-MT as one writes them down: every pass by itself, all of them kept."""
    logits = method.student(torch.cat([batch.images, batch.unlabelled]))
    predicted = torch.softmax(logits[len(batch.images) :], dim=1)
    passes = []
    with torch.no_grad():
        for _ in range(8):
            noise = torch.clamp(0.1 * torch.randn_like(batch.unlabelled), -0.2, 0.2)
            passes.append(torch.softmax(method.teacher.network(batch.unlabelled + noise), dim=1))
        mean = torch.stack(passes).mean(dim=0)
        uncertainty = -(mean * torch.log(mean + 1e-6)).sum(dim=1, keepdim=True)
    threshold = (0.75 + 0.25 * math.exp(-5 * (1 - step / ITERATIONS) ** 2)) * math.log(CLASSES)
    mask = (uncertainty < threshold).float()
    consistency = (mask * (predicted - mean) ** 2).sum() / (CLASSES * mask.sum() + 1e-16)
    return {"supervised": dice_cross_entropy(logits[: len(batch.images)], batch.labels), "consistency": consistency}


def make_step(
    method: Method, terms: Callable[[Batch, int], dict[str, Tensor]], batch: Batch, dtype: torch.dtype
) -> Callable[[], None]:
    """Return a function that takes one training step."""
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.01, momentum=0.9)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            values = terms(batch, STEP)
        weights = dict.fromkeys(values, 1.0) | method.weights(STEP)
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        method.after_step(STEP)

    return step


def agreement(arguments: argparse.Namespace, dtype: torch.dtype, layout: torch.memory_format) -> dict[str, float]:
    """Return the consistency term of UA-MT and of the plain version, for the same weights, images and noise."""
    spec = NetworkSpec(name=arguments.network)
    values = {}
    for label, form in (("fewscan", layout), ("plain", torch.contiguous_format)):
        method: Any = make_method(UAMT, "paper", spec, arguments.patch).eval()  # dropout draws depend on the layout
        with torch.no_grad():
            for parameter in method.student.parameters():
                parameter.add_(0.2 * parameter.std(correction=0) * torch.randn_like(parameter))
        method.to(memory_format=form)
        batch = make_batch((arguments.labelled, arguments.unlabelled), arguments.patch, form)
        torch.manual_seed(1)
        with (
            torch.no_grad(),
            torch.autocast("cpu", torch.bfloat16, enabled=label == "fewscan" and dtype != torch.float32),
        ):
            terms = method(batch, STEP) if label == "fewscan" else plain_terms(method, batch, STEP)
        values[label] = float(terms["consistency"])
    return values


def timed(step: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds of one step on the wall and on the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - processor


def make_rows(
    arguments: argparse.Namespace, dtype: torch.dtype, layout: torch.memory_format
) -> dict[str, Callable[[], tuple[float, float]]]:
    """Return functions that time one step, by the name of their row."""
    spec, patch = NetworkSpec(name=arguments.network), arguments.patch
    labelled, unlabelled = arguments.labelled, arguments.unlabelled
    rows: dict[str, Callable[[], tuple[float, float]]] = {}
    for name in arguments.methods:
        two_streams = method_class(name).uses_unlabelled
        for preset in ("paper", "recommended") if two_streams else ("recommended",):
            method = make_method(name, preset, spec, patch).to(memory_format=layout)  # type: ignore[call-overload]
            key = f"{name}, {preset}" if two_streams else name
            counts = (labelled, unlabelled) if two_streams else (labelled + unlabelled, 0)
            rows[key] = partial(timed, make_step(method, method, make_batch(counts, patch, layout), dtype))
    return rows


def serve_plain(connection: Connection, arguments: argparse.Namespace) -> None:
    """Time a step of the plain version whenever asked."""
    torch.set_num_threads(arguments.threads)
    method = make_method(UAMT, "paper", NetworkSpec(name=arguments.network), arguments.patch)
    batch = make_batch((arguments.labelled, arguments.unlabelled), arguments.patch, torch.contiguous_format)
    step = make_step(method, partial(plain_terms, method), batch, torch.float32)
    while connection.recv():
        connection.send(timed(step))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="V-Net, 112x112x80, 2 + 2 patches")
    parser.add_argument("--methods", nargs="+", default=["supervised", "mean_teacher", UAMT])
    parser.add_argument("--network", default="unet")
    parser.add_argument("--patch", type=int, nargs="+", default=[32, 32, 32])
    parser.add_argument("--labelled", type=int, default=2)
    parser.add_argument("--unlabelled", type=int, default=2)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    arguments = parser.parse_args()
    if arguments.full:
        arguments.network, arguments.patch, arguments.labelled, arguments.unlabelled = "vnet", [112, 112, 80], 2, 2
    arguments.patch = tuple(arguments.patch)
    torch.set_num_threads(arguments.threads)
    dtype = resolve_precision(arguments.precision, CPU)
    layout = best_layout(len(arguments.patch), CPU, dtype)
    spawn = multiprocessing.get_context("spawn")
    asking, answering = spawn.Pipe()
    process = spawn.Process(target=serve_plain, args=(answering, arguments))
    process.start()
    keep_freed_memory()

    def time_plain() -> tuple[float, float]:
        asking.send(True)
        wall, processor = asking.recv()
        return wall, processor

    rows = {**make_rows(arguments, dtype, layout), PLAIN: time_plain}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for turn in range(arguments.repeats + 1):
        for name, measure in rows.items():
            seconds = measure()
            if turn:  # the first one warms up
                measured[name].append(seconds)
    asking.send(False)
    process.join()
    report(arguments, measured, agreement(arguments, dtype, layout), dtype)


def report(
    arguments: argparse.Namespace,
    measured: dict[str, list[tuple[float, float]]],
    consistency: dict[str, float],
    dtype: torch.dtype,
) -> None:
    """Print the medians and write them where ``--out`` says."""
    wall, cpu = ({name: statistics.median(t[k] for t in times) for name, times in measured.items()} for k in (0, 1))
    size = "x".join(str(side) for side in arguments.patch)
    print(f"{arguments.network}, {size}, {arguments.labelled} + {arguments.unlabelled} patches, {dtype}")
    print(f"{'seconds, processor time as ratio':44s} {'wall':>7s} {'cpu':>7s} {'of supervised':>14s} {'of plain':>9s}")
    for name in measured:
        ratios = f"{cpu[name] / cpu['supervised']:14.2f} {cpu[name] / cpu[PLAIN]:9.2f}"
        print(f"{name:44s} {wall[name]:7.2f} {cpu[name]:7.2f} {ratios}")
    print(f"consistency term, same noise: UA-MT {consistency['fewscan']:.6f}, plain {consistency['plain']:.6f}")
    if arguments.out:
        keys = ("network", "patch", "labelled", "unlabelled", "threads", "repeats")
        result: dict[str, Any] = {key: getattr(arguments, key) for key in keys} | {
            "precision": str(dtype),
            "wall_seconds": wall,
            "processor_seconds": cpu,
            "consistency": consistency,
            "environment": describe_environment(CPU),
        }
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
