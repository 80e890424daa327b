"""``fewscan demo``: the main job on a virtual cohort, end to end, with the public functions that a user would call."""

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewscan.cli.console import emit, progress

if TYPE_CHECKING:
    from fewscan.metrics.evaluation import Evaluation

MARKER = ".fewscan-demo"
CONTENTS = ("cohort", "run", "predictions", "test_cases.png")
"""What a demo folder holds, and all that a new demo removes from it."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder to make; an earlier demo in it is replaced.")] = Path(
        "fewscan-demo"
    ),
    cases: Annotated[int, typer.Option(help="Training scans.", min=1)] = 40,
    labelled: Annotated[int, typer.Option(help="How many of the training scans are annotated.", min=1)] = 4,
    test: Annotated[int, typer.Option(help="Test scans.", min=2)] = 20,
    dimensions: Annotated[int, typer.Option(help="2: axial slices, 3: volumes.", min=2, max=3)] = 2,
    iterations: Annotated[int, typer.Option(help="Training steps.", min=1)] = 600,
    seed: Annotated[int, typer.Option(help="Of patients and training.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show the main job end to end: train on a few annotated scans, segment the rest, score and picture it.

    Makes virtual patients (brain MRI with true labels), annotates only a few, trains, predicts the test scans,
    evaluates, and writes pictures. Takes minutes on 2 cores, downloads nothing, opens nothing.
    """
    from fewscan.data.cohort import make_cohort
    from fewscan.inference.predict import predict
    from fewscan.metrics.evaluate import evaluate
    from fewscan.training.run import train

    started = time.monotonic()
    clear_folder(out)
    data, predictions, picture = out / "cohort", out / "predictions", out / "test_cases.png"
    with progress("virtual patients", cases + test, quiet=as_json) as shown:
        make_cohort(
            data,
            cases=cases,
            labelled=labelled,
            test=test,
            dimensions=dimensions,
            seed=seed,
            progress=lambda case_id, _: shown.advance(note=case_id),
        )
    run = train(data, out / "run", method="supervised", iterations=iterations, seed=seed, device=device, quiet=as_json)
    predict(run.folder, data / "imagesTs", predictions, device=device)
    result = evaluate(predictions, data / "labelsTs", out=predictions, names=foreground_names())
    save_test_cases(picture, data, predictions, result, title=f"learned from {labelled} annotated scans")

    files = {
        "pictures": picture,
        "learning curves": run.folder / "curves.png",
        "scores": predictions / "scores.csv",
        "model": run.folder / "model.safetensors",
    }
    commands = commands_by_hand(
        cohort=f"--cases {cases} --labelled {labelled} --test {test} --dimensions {dimensions} --seed {seed}",
        training=f"--method supervised --iterations {iterations} --seed {seed}",
    )
    payload = {
        **dice_summary(result),
        "files": {name: str(path) for name, path in files.items()},
        "commands": commands,
        "seconds": round(time.monotonic() - started, 1),
    }
    emit(payload, as_json=as_json, text=describe(result, files, commands, labelled=labelled))


def clear_folder(out: Path) -> None:
    """Make ``out`` ready for a demo: remove what an earlier one left, and refuse a folder of anything else."""
    from fewscan.errors import UsageError

    if out.exists() and not (out / MARKER).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"{out} exists and is not the folder of an earlier demo", mend="choose another folder with --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    for name in CONTENTS:
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def commands_by_hand(*, cohort: str, training: str) -> list[str]:
    """Return the commands that do what the demo does, with the options of ``fewscan cohort`` and ``fewscan train``."""
    hand = Path("by-hand")
    return [
        f"fewscan cohort --out {hand / 'cohort'} {cohort}",
        f"fewscan train {hand / 'cohort'} --out {hand / 'run'} {training}",
        f"fewscan predict {hand / 'run'} {hand / 'cohort' / 'imagesTs'} --out {hand / 'predictions'}",
        f"fewscan evaluate {hand / 'predictions'} {hand / 'cohort' / 'labelsTs'}",
    ]


def foreground_names() -> dict[int, str]:
    """Return the name of each class of the virtual patients by its label value."""
    from fewscan.data.cohort_anatomy import CLASS_NAMES

    return {value: name for value, name in enumerate(CLASS_NAMES) if value}


def dice_per_case(result: "Evaluation") -> dict[str, float]:
    """Return the mean Dice over the classes present in each case."""
    from fewscan.metrics.summary import ALL_CLASSES, columns

    found = {(column.label, column.metric): column.by_case for column in columns(result.scores, result.names)}
    return dict(found[ALL_CLASSES, "dice"])


def dice_summary(result: "Evaluation") -> dict[str, object]:
    """Return the mean Dice over classes with its 95 % interval, and the mean of each class."""
    from fewscan.metrics.summary import ALL_CLASSES

    overall = result.row(ALL_CLASSES, "dice")
    return {
        "mean_dice": overall.mean,
        "interval": [overall.low, overall.high],
        "dice": {name: result.row(name, "dice").mean for name in result.names.values()},
    }


def save_test_cases(path: Path, data: Path, predictions: Path, result: "Evaluation", *, title: str) -> None:
    """Picture the best, the median and the worst test case."""
    from fewscan.data.image_io import read_image
    from fewscan.experiments.ranking import best_median_worst
    from fewscan.pictures.overlay import Example, save_gallery

    examples = []
    for rank, (case_id, dice) in best_median_worst(dice_per_case(result)).items():
        scan = read_image(data / "imagesTs" / f"{case_id}_0000.nii.gz")
        examples.append(
            Example(
                caption=f"{rank}\n{case_id}\nmean Dice {dice:.3f}",
                image=scan.array,
                truth=read_image(data / "labelsTs" / f"{case_id}.nii.gz").array,
                prediction=read_image(predictions / f"{case_id}.nii.gz").array,
                geometry=scan.geometry,
            )
        )
    save_gallery(path, examples, class_names=foreground_names(), title=title)


def describe(result: "Evaluation", files: dict[str, Path], commands: list[str], *, labelled: int) -> str:
    """Return what the demo found, where it is, and how to do the same by hand."""
    from fewscan.metrics.summary import ALL_CLASSES

    overall = result.row(ALL_CLASSES, "dice")
    width = 2 + max(len(name) for name in (*result.names.values(), *files))
    return "\n".join(
        [
            "",
            f"Dice on {overall.n} test scans, learned from {labelled} annotated scans: "
            f"{overall.mean:.3f} (95 % interval {overall.low:.3f} to {overall.high:.3f})",
            *(f"  {name:{width}}{result.row(name, 'dice').mean:.3f}" for name in result.names.values()),
            "",
            *(f"  {name:{width}}{path}" for name, path in files.items()),
            "",
            "the same by hand:",
            *(f"  {command}" for command in commands),
            "with your own scans:",
            "  fewscan check YOUR_DATA",
            "  fewscan train YOUR_DATA --out RUN",
        ]
    )
