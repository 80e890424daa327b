"""``fewscan cohort``: virtual patients to try things on."""

from pathlib import Path
from typing import Annotated

import typer

from fewscan.cli.console import emit, progress


def cohort(
    out: Annotated[Path, typer.Option(help="Folder to make; new or empty.")],
    cases: Annotated[int, typer.Option(help="Training scans.", min=1)] = 40,
    labelled: Annotated[int, typer.Option(help="How many of the training scans are annotated.", min=0)] = 4,
    test: Annotated[int, typer.Option(help="Test scans, all annotated.", min=0)] = 20,
    dimensions: Annotated[int, typer.Option(help="2: axial slices, 3: volumes.", min=2, max=3)] = 2,
    size: Annotated[
        str | None, typer.Option(metavar="N or NxN[xN]", help="Voxels along the axes, such as 96x112 or 64.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal patients.", min=0)] = 0,
    with_deformations: Annotated[
        bool, typer.Option("--with-deformations", help="Also write the true deformation of each patient.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a cohort of virtual patients: brain MRI with true labels, from the MNI152 template.

    Needs no download and no patient: each scan is the template, deformed and seen by a random scanner. The folder has
    the layout of nnU-Net (imagesTr, labelsTr, imagesTs, labelsTs, dataset.json).
    """
    from fewscan.data.cohort import make_cohort

    with progress("virtual patients", cases + test, quiet=as_json) as shown:
        dataset = make_cohort(
            out,
            cases=cases,
            labelled=labelled,
            test=test,
            dimensions=dimensions,
            size=parse_size(size),
            seed=seed,
            with_deformations=with_deformations,
            progress=lambda case_id, _: shown.advance(note=case_id),
        )
    text = (
        f"{cases} training scans, {labelled} of them annotated, and {test} test scans in {out}\n"
        f"classes: {', '.join(name for name, value in dataset.labels.items() if value)}\n"
        f"next: fewscan train {out} --out RUN"
    )
    payload = {"out": str(out), "cases": cases, "labelled": labelled, "test": test, "labels": dict(dataset.labels)}
    emit(payload, as_json=as_json, text=text)


def parse_size(text: str | None) -> int | tuple[int, ...] | None:
    """Read "64" as one number for all axes and "96x112" as one for each."""
    from fewscan.errors import UsageError

    if text is None:
        return None
    try:
        numbers = tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        raise UsageError(f"--size {text}: expected voxels along the axes, such as 96x112 or 64") from None
    return numbers if len(numbers) > 1 else numbers[0]
