"""``fewscan train``: from a data set to a model."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fewscan.cli.console import emit


def train(
    data: Annotated[Path, typer.Argument(help="Data set (folder or CSV manifest) or prepared store.")],
    out: Annotated[Path, typer.Option(help="Run folder to make; holds everything about the run.")],
    method: Annotated[str | None, typer.Option(help="See `fewscan methods`; default: what suits the data.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="'recommended' or 'paper' (as published); default: recommended.")
    ] = None,
    labelled: Annotated[
        str | None,
        typer.Option(
            help="How many labelled cases to use: a count, or a fraction such as 0.1; 0 where the method needs no "
            "labels. Default: all."
        ),
    ] = None,
    labelled_list: Annotated[Path | None, typer.Option(help="File with the ids of the labelled cases.")] = None,
    validation: Annotated[
        str, typer.Option(help="Labelled cases kept for validation, as count or fraction; they count as annotated.")
    ] = "0",
    test: Annotated[
        str | None, typer.Option(help="Cases kept for testing, as count or fraction, where the data set names none.")
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Training steps; default: the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the drawn subset and of training; default: 0.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be repeated.")
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="Edited plan.yaml instead of the derived plan.")] = None,
    dimensions: Annotated[int | None, typer.Option(help="2 trains slice by slice on volumes.", min=2, max=3)] = None,
    store: Annotated[Path | None, typer.Option(help="Where prepared scans are kept; default: OUT/store.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Data-parallel processes per node.", min=1)] = 1,
    nodes: Annotated[int, typer.Option(help="Nodes, under SLURM.", min=1)] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a model on labelled (and unlabelled) scans.

    Prepares the scans, trains, and leaves settings, log, checkpoints and model.safetensors in OUT.
    Ctrl-C saves and stops (exit code 4); the same command with --resume continues.
    """
    from fewscan.data.plan import Plan
    from fewscan.data.split import read_id_list
    from fewscan.data.workers import available_workers
    from fewscan.errors import UsageError
    from fewscan.training.run import train as run_training
    from fewscan.training.settings import parse_assignments

    if labelled is not None and labelled_list is not None:
        raise UsageError("--labelled and --labelled-list exclude each other")
    run = run_training(
        data,
        out,
        method=method,
        preset=preset,
        labelled=read_id_list(labelled_list) if labelled_list is not None else parse_amount(labelled, "--labelled"),
        validation=parse_amount(validation, "--validation") or 0,
        test=parse_amount(test, "--test"),
        iterations=iterations,
        seed=seed,
        config=config,
        settings=parse_assignments(set_ or []),
        plan=Plan.read(plan) if plan is not None else None,
        planning={"dimensions": dimensions} if dimensions is not None else None,
        store=store,
        device=device,
        devices=devices,
        nodes=nodes,
        workers=available_workers(),
        resume=resume,
        quiet=as_json,
    )
    if os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) != "0":
        return  # of several processes the first speaks for all
    summary = run.summary
    text = (
        f"trained {run.settings.method} for {run.settings.iterations} steps in {summary['training_seconds']:.0f} s "
        f"(peak memory {summary['peak_memory_mib']:.0f} MiB)\n"
        f"model: {out / 'model.safetensors'}\ncurves: {out / 'curves.png'}\n"
        f"next: {next_command(run.settings.method, out)}"
    )
    emit({"run": str(out), **summary}, as_json=as_json, text=text)


def next_command(method: str, run: Path) -> str:
    """Return the command that uses the model of a run."""
    from fewscan.methods.registry import trainable_class

    if trainable_class(method).task == "registration":
        return f"fewscan register {run} --moving SCAN --fixed SCAN --out FOLDER"
    return f"fewscan predict {run} SCANS --out PREDICTIONS"


def parse_amount(text: str | None, option: str) -> int | float | None:
    """Read a count ("4") or a fraction ("0.1", "10%")."""
    from fewscan.errors import UsageError

    if text is None:
        return None
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise UsageError(f"{option} {text}: expected a count such as 4, or a fraction such as 0.1 or 10%") from None
