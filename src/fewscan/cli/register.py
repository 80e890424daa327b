"""``fewscan register``: bring scans into the space of others."""

from pathlib import Path
from typing import Annotated

import typer

from fewscan.cli.console import emit, progress_with_late_total


def register(
    run: Annotated[
        Path | None, typer.Argument(help="Run folder or model file; left out with --classical.", show_default=False)
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    moving: Annotated[Path | None, typer.Option(help="The scan to be moved, or a folder of scans.")] = None,
    fixed: Annotated[Path | None, typer.Option(help="The scan that stays as it is.")] = None,
    all_pairs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Instead: every ordered pair of the scans in a folder.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Instead: pairs, in the columns moving and fixed: files, or ids of scans in --moving (and --fixed).",
        ),
    ] = None,
    moving_labels: Annotated[
        Path | None, typer.Option(help="Labels to warp: a file, or a folder of files named like the scans' ids.")
    ] = None,
    fixed_labels: Annotated[
        Path | None, typer.Option(help="Labels of the fixed scan(s), to measure the overlap; file or folder.")
    ] = None,
    classical: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Without a model: affine, bspline or demons.")
    ] = None,
    align: Annotated[
        str,
        typer.Option(
            help="How the moving scan is laid first: centre on centre, affine, or none (physical coordinates count)."
        ),
    ] = "centre",
    refine: Annotated[
        int, typer.Option(help="Steps of optimising the network's field on each pair; slower, closer.", min=0)
    ] = 0,
    max_folds: Annotated[
        float, typer.Option(help="Share of folded voxels above which a pair is flagged.", min=0, max=1)
    ] = 0.005,
    metric: Annotated[
        str, typer.Option(help="Of the classical methods and the affine alignment: mutual-information or correlation.")
    ] = "mutual-information",
    seed: Annotated[int, typer.Option(help="Of the same.", min=0)] = 0,
    threads: Annotated[
        int, typer.Option(help="Of the same; 1 gives the same result bit for bit on every run.", min=1)
    ] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Register scans, with a trained model or classically.

    Writes for each pair, on the fixed scan's own grid: the warped scan (MOVING_to_FIXED.nii.gz), its warped labels
    (..._labels) and the displacement field (..._field: mm, LPS, read by ITK and ANTs); and measurements of all pairs in
    registration.json and pairs.csv. Pairs with folds, or whose similarity fell, are flagged. A pair that cannot be
    registered stops none of the others; it is named at the end (exit code 3).
    """
    from fewscan.registration.register import register as register_scans

    with progress_with_late_total("registering", quiet=as_json) as advance:
        result = register_scans(
            run,
            out=out,
            moving=moving,
            fixed=fixed,
            all_pairs=all_pairs,
            pairs=pairs,
            moving_labels=moving_labels,
            fixed_labels=fixed_labels,
            classical=classical,
            align=align,
            refine=refine,
            max_folds=max_folds,
            metric=metric,
            seed=seed,
            threads=threads,
            device=device,
            precision=precision,
            progress=advance,
        )
    emit(result.to_json(), as_json=as_json, text=result.table())
