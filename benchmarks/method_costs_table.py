"""What a training step of every method costs, as multiples of supervised training: the columns of `fewscan methods`.

    python benchmarks/method_costs_table.py --out benchmarks/results/method_costs_table.json --ship

Every method trains with each preset in a process of its own, by the engine's own loop and on fixed random patches, at
the end of a run, when every term has its full weight. Time is processor time of a step, the median after a warm-up;
memory is how far the peak rose above what the process held before the networks were made. Supervised training has as
many images a step as the others have labelled and unlabelled ones together, and is measured anew beside every other
training: a machine's own speed may change by half within minutes. A ratio is the median over the rounds, which the
output holds one by one. All segmentation networks are the same
U-Net; registration networks are those of the preset. Reading, augmentation and validation are not included. For
`joint`, time is the mean over its stages by their lengths and memory the largest of them; making the masks between
rounds is not included.

``--ship`` also writes ``src/fewscan/methods/costs.json``, where methods that were not measured now keep their rows, if
these are of the same setting. Use an otherwise idle machine: on a busy one even processor time rises, as caches are
shared.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import torch

from fewscan.data.batch import Batch
from fewscan.data.plan import LabelClass, Plan
from fewscan.data.whole_scan import WholeScan
from fewscan.methods.recipe import Recipe
from fewscan.methods.registry import method_class, trainable_class, trainable_names
from fewscan.networks.allocator import keep_freed_memory
from fewscan.networks.layout import best_layout
from fewscan.networks.precision import resolve_precision
from fewscan.networks.registry import NetworkSpec
from fewscan.recipes.joint_settings import parameters_of, stage_lengths, stage_settings
from fewscan.training.environment import describe_environment, peak_memory_mib
from fewscan.training.fabric import make_fabric
from fewscan.training.loop import Training
from fewscan.training.settings import BatchSettings, TrainSettings, resolve_settings
from fewscan.training.start import build_method

CPU = torch.device("cpu")
CLASSES, ITERATIONS = 2, 1000
SUPERVISED = ("supervised", "recommended")
SHIPPED = Path(__file__).resolve().parents[1] / "src" / "fewscan" / "methods" / "costs.json"
WHAT = (
    "Processor time and growth of peak memory of one training step, as multiples of supervised training on as many "
    "images."
)

PATCH = (
    "multiples of 32, for cross_teaching; the first at least 96, as torch 2.13 gets bf16 gradients of 3-D convolutions "
    "wrong on the CPU where the first axis has two voxels, and the transformer halves it five times"
)


class Stage(NamedTuple):
    """One training to measure, and its share of the steps of the method."""

    settings: TrainSettings
    share: float
    masks: bool = False


class Round(NamedTuple):
    """What one round found of a method: multiples of supervised training, and the values themselves."""

    time: float
    memory: float
    seconds: float
    memory_mib: float


def stages_of(name: str, preset: str, arguments: argparse.Namespace) -> list[Stage]:
    """Return the trainings of a method: one, or the stages of a recipe; alike ones once."""
    trainable = trainable_class(name)
    counts = {"labelled": arguments.labelled, "unlabelled": arguments.unlabelled}
    if name == "supervised":
        counts = {"labelled": arguments.labelled + arguments.unlabelled, "unlabelled": 0}
    config: dict[str, Any] = {"batch": counts, "precision": arguments.precision}
    settings = resolve_settings(method=name, preset=preset, config=config, overrides={})
    if trainable.network_kind == "segmentation":
        settings = settings.model_copy(update={"network": NetworkSpec(name=arguments.network)})
    if not issubclass(trainable, Recipe):
        return [Stage(settings.model_copy(update={"iterations": ITERATIONS}), 1.0)]
    lengths = stage_lengths(settings, rounds=parameters_of(settings).rounds)
    found: dict[tuple[str, bool], float] = {}
    for (number, kind), steps in lengths.items():
        found[kind, number > 0] = found.get((kind, number > 0), 0.0) + steps / sum(lengths.values())
    return [
        Stage(stage_settings(settings, kind, round_number=int(later), steps=ITERATIONS), share, masks=later)
        for (kind, later), share in found.items()
    ]


def make_batch(counts: BatchSettings, patch: tuple[int, ...], layout: torch.memory_format, *, masks: bool) -> Batch:
    """Return random patches; with soft masks of the unlabelled ones where a stage has them."""
    generator = torch.Generator().manual_seed(0)
    total = counts.labelled + counts.unlabelled
    images = torch.randn(total, 1, *patch, generator=generator).contiguous(memory_format=layout)
    labels = torch.randint(CLASSES, (counts.labelled, *patch), generator=generator)
    names = tuple(f"scan{k}" for k in range(total))
    soft = torch.rand(counts.unlabelled, CLASSES, *patch, generator=generator).softmax(dim=1) if masks else None
    batch = Batch(images[: counts.labelled], labels, images[counts.labelled :], *_divided(names, counts.labelled))
    return batch if soft is None else batch._replace(unlabelled_masks=soft)


def _divided(names: tuple[str, ...], count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return names[:count], names[count:]


def measure(stage: Stage, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return processor seconds of each step and the growth of memory in MiB, of a training in this process."""
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    settings, patch = stage.settings, tuple(arguments.patch)
    if "monai:" in settings.model_dump_json():
        import monai.networks.nets  # noqa: F401  # what an import takes is not the method's

    dtype = resolve_precision(settings.precision, CPU)
    layout = best_layout(len(patch), CPU, dtype)
    classes = tuple(LabelClass(name=f"class {k}", values=(k,), output=k) for k in range(CLASSES))
    dimensions: Any = len(patch)
    plan = Plan(
        name="costs",
        dimensions=dimensions,
        image_dimensions=dimensions,
        channels=("MRI",),
        classes=classes,
        patch_size=patch,
    )
    counts = settings.batch
    if not method_class(settings.method).uses_unlabelled:
        counts = counts.model_copy(update={"unlabelled": 0})
    batch = make_batch(counts, patch, layout, masks=stage.masks)
    fabric = make_fabric(CPU, dtype)
    before = psutil.Process().memory_info().rss / 2**20
    method = build_method(settings, plan)
    scans = zip(batch.cases, batch.images, batch.labels, strict=True)
    method.remember(
        WholeScan(name, image, label.byte(), torch.ones_like(label, dtype=torch.uint8), torch.zeros(1))
        for name, image, label in scans
    )
    method.to(memory_format=layout)  # type: ignore[call-overload]  # missing in torch's annotations
    ends: list[float] = []
    peaks: list[float] = []

    def on_step(note: str) -> None:
        ends.append(time.process_time())
        peaks.append(peak_memory_mib(CPU))

    with tempfile.TemporaryDirectory() as folder:
        training = Training(
            method=method,
            settings=settings,
            streams=SimpleNamespace(at=lambda *where: ()),  # type: ignore[arg-type]
            batches=SimpleNamespace(make=lambda step, *patches: batch),  # type: ignore[arg-type]
            fabric=fabric,
            folder=Path(folder),
            validate=None,
            save_best=lambda network: None,
            on_step=on_step,
        )
        training.first_step = ITERATIONS - arguments.warm_up - arguments.steps
        started = time.process_time()
        training.fit()
    seconds = [end - start for start, end in zip([started, *ends], ends, strict=False)]
    return {"seconds": seconds[arguments.warm_up :], "memory_mib": max(peaks) - before, "precision": str(dtype)}


def measure_apart(name: str, preset: str, index: int) -> dict[str, Any]:
    """Measure one stage in a fresh process, which is given the same arguments as this one."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", f"{name}:{preset}:{index}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}, preset {preset}, failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_all(arguments: argparse.Namespace) -> dict[tuple[str, str], list[Round]]:
    """Return what every round found of every method and preset; the methods take turns, round by round."""
    wanted = [SUPERVISED]
    wanted += [
        pair for name in arguments.methods for preset in arguments.presets if (pair := (name, preset)) not in wanted
    ]
    found: dict[tuple[str, str], list[Round]] = {pair: [] for pair in wanted}
    for turn in range(arguments.rounds):
        for pair in wanted:
            result = measure_round(pair, stages_of(*pair, arguments))
            found[pair].append(result)
            print(f"round {turn + 1}: {', '.join(pair)}: {result}")
    return found


def measure_round(pair: tuple[str, str], stages: list[Stage]) -> Round:
    """Return what one process for every stage of a method found, each with one of supervised training beside it."""
    seconds, memory, time_ratio, base_memory = 0.0, 0.0, 0.0, 0.0
    for index, stage in enumerate(stages):
        result = measure_apart(*pair, index)
        base = result if pair == SUPERVISED else measure_apart(*SUPERVISED, 0)
        median, base_median = statistics.median(result["seconds"]), statistics.median(base["seconds"])
        seconds += stage.share * median
        time_ratio += stage.share * median / base_median
        memory, base_memory = max(memory, result["memory_mib"]), max(base_memory, base["memory_mib"])
    return Round(time_ratio, memory / base_memory, seconds, memory)


def report(costs: dict[tuple[str, str], list[Round]], arguments: argparse.Namespace) -> None:
    """Print the ratios, and write them where they were wanted."""
    methods: dict[str, dict[str, dict[str, Any]]] = {}
    for (name, preset), rounds in costs.items():
        middle = Round(*(statistics.median(values) for values in zip(*rounds, strict=True)))
        values: dict[str, Any] = {key: round(value, 3) for key, value in middle._asdict().items()}
        values["time_of_rounds"] = [round(each.time, 3) for each in rounds]
        methods.setdefault(name, {})[preset] = values
        print(f"{name:32s} {preset:12s} time {middle.time:5.2f}  memory {middle.memory:5.2f}")
    setting = setting_of(arguments)
    environment = describe_environment(CPU) | {"threads": arguments.threads}
    result = {
        "what": WHAT,
        "setting": setting | {"rounds": arguments.rounds},
        "environment": environment,
        "methods": methods,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if arguments.ship:
        short = {
            name: {preset: {key: values[key] for key in ("time", "memory")} for preset, values in presets.items()}
            for name, presets in methods.items()
        }
        shipped = {"what": WHAT, "setting": setting, "methods": merged(short, setting)}
        SHIPPED.write_text(json.dumps(shipped, indent=2) + "\n", encoding="utf-8")


def setting_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what ratios must have in common to stand in one table; the number of rounds may differ."""
    keys = ("network", "patch", "labelled", "unlabelled", "precision", "threads", "warm_up", "steps")
    return {key: getattr(arguments, key) for key in keys}


def shipped_before() -> dict[str, Any]:
    """Return what the package has."""
    before: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return before


def merged(methods: dict[str, Any], setting: dict[str, Any]) -> dict[str, Any]:
    """Return the shipped ratios with these in place of what was measured before, as long as the setting is the same."""
    before = shipped_before()
    if setting != before["setting"]:
        return methods
    return before["methods"] | {name: before["methods"].get(name, {}) | rows for name, rows in methods.items()}


def refusal(arguments: argparse.Namespace) -> str | None:
    """Return why the ratios cannot be shipped: rows of another setting would be lost."""
    before, setting = shipped_before(), setting_of(arguments)
    lost = set(before["methods"]) - set(arguments.methods)
    other = {key: value for key, value in before["setting"].items() if setting[key] != value}
    if not lost or not other:
        return None
    return f"{len(lost)} methods of the package were measured with {other}: measure in that setting, or all of them"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=trainable_names())
    parser.add_argument("--presets", nargs="+", default=["recommended", "paper"])
    parser.add_argument("--network", default="unet", help="of all segmentation methods")
    parser.add_argument("--patch", type=int, nargs="+", default=[96, 64, 64], help=PATCH)
    parser.add_argument("--labelled", type=int, default=2)
    parser.add_argument("--unlabelled", type=int, default=2)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5, help="timed in each process")
    parser.add_argument("--rounds", type=int, default=2, help="fresh processes for each training")
    parser.add_argument("--out", type=Path, help="write everything as JSON")
    parser.add_argument("--ship", action="store_true", help=f"write the ratios to {SHIPPED.name} of the package")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        name, preset, index = arguments.only.split(":")
        print(json.dumps(measure(stages_of(name, preset, arguments)[int(index)], arguments)))
        return
    if arguments.ship and (reason := refusal(arguments)):
        parser.error(reason)
    report(measure_all(arguments), arguments)


if __name__ == "__main__":
    main()
