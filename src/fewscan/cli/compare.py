"""``fewscan compare``: methods against the supervised baseline, over labelled counts and seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewscan.cli.console import emit, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fewscan.experiments.state import State


def compare(
    study: Annotated[Path, typer.Argument(help="YAML file: data, methods, labelled counts, seeds, settings.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; what is finished in it is kept.")],
    workers: Annotated[int, typer.Option(min=1, help="Cells trained at once on this machine.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the cells and where they stand; write nothing.")
    ] = False,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="Only make tables and pictures anew from the finished cells.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Only prepare the scans, for cells that run elsewhere.")
    ] = False,
    cell: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Run this cell alone, in a study prepared before; for job arrays."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train methods with few labels, side by side, and make tables that can be believed.

    Every combination of method, preset, labelled count and seed is a cell: an ordinary run, its predictions of the test
    scans, and their scores. Finished cells are kept, interrupted ones continued, failed ones reported and left out.
    Ctrl-C saves and stops (exit code 4); the same command continues.

    On a cluster: --prepare-only once (with --json it lists the cells for a script), then --cell NAME in each task of a
    job array, as often as needed, and --tables-only at any time.
    """
    from fewscan.data.workers import available_workers
    from fewscan.errors import UsageError
    from fewscan.experiments.compare import compare as run_study
    from fewscan.experiments.compare import failed_cells, open_study
    from fewscan.experiments.outputs import LATEX, MARKDOWN

    if sum([dry_run, tables_only, prepare_only, cell is not None]) > 1:
        raise UsageError("--dry-run, --tables-only, --prepare-only and --cell exclude each other")
    if cell is not None:
        open_study(study, out).run_cell(cell, device=device)
        say(f"cell {cell} is finished")
        return
    if dry_run or prepare_only:
        opened = open_study(study, out)
        if prepare_only:
            opened.prepare(workers=available_workers(), quiet=as_json)
        emit_cells(opened.states, as_json=as_json)
        return
    outputs = run_study(
        study,
        out,
        workers=workers,
        preparers=available_workers(),
        device=device,
        retry_failed=retry_failed,
        tables_only=tables_only,
        quiet=as_json,
    )
    emit(
        {
            "out": str(out),
            "cells": outputs.planned,
            "finished": len(outputs.results),
            "failed": outputs.failed,
            "undrawn": outputs.undrawn,
        },
        as_json=as_json,
        text=f"\n{outputs.text()}\n\nall tables (paired tests, classes, distances): {out / MARKDOWN}, {out / LATEX}\n"
        f"every score as CSV, and pictures: {out}",
    )
    if outputs.failed:
        raise failed_cells(outputs)


def emit_cells(states: "Mapping[str, State]", *, as_json: bool) -> None:
    """Print the cells of a study and where each stands."""
    cells = [{"name": name, "state": str(state)} for name, state in states.items()]
    lines = [f"{state:9} {name}" for name, state in states.items()]
    emit({"cells": cells}, as_json=as_json, text="\n".join([*lines, f"{len(cells)} cells"]))
