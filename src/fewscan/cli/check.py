"""``fewscan check``: every problem of every case at once."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from fewscan.cli.console import emit, progress


def check(
    data: Annotated[Path, typer.Argument(help="Data set: a folder or a CSV manifest.")],
    fix_geometry: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="First write a copy to OUT with sheared affines corrected; check the copy."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Cases checked at a time; default: one per processor.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a data set: every problem of every case, with the file and how to mend it, and a summary.

    Errors make training or its numbers wrong (exit code 3), warnings want a look by a person, notes are worth knowing.
    Nothing in DATA is changed.

    \b
    --json prints one object:
      root        folder of the data set
      case_count  cases that were checked
      counts      {error, warning, note}
      problems    list of {severity, code, case, file, message, mend}; case and file may be ""
      summary     {name, layout, cases, size_vox, spacing_mm, orientations, intensities, labels, labelled_cases}
                  or null
      corrected   list of {file, moved_mm}; only with --fix-geometry
    The keys and the codes stay as they are from version to version; new ones may be added.
    """  # noqa: D301 (\\b is the character by which Typer keeps the lines)
    from fewscan.data.check import check_path

    lines: list[str] = []
    extra: dict[str, Any] = {}
    if fix_geometry is not None:
        from fewscan.data.check.problem import count_text
        from fewscan.data.fix_geometry import copy_with_fixed_geometry

        copied = copy_with_fixed_geometry(data, fix_geometry)
        data = copied.root
        extra["corrected"] = [{"file": str(item.file), "moved_mm": item.moved_mm} for item in copied.corrected]
        lines = [f"corrected {item.file}: voxels moved by up to {item.moved_mm:.3g} mm" for item in copied.corrected]
        lines = [
            *lines,
            f"wrote a copy with {count_text(len(copied.corrected), 'corrected file')} to {copied.root}",
            "",
        ]
    report = check_path(data, workers=workers, progress=partial(progress, quiet=as_json))
    emit({**report.to_json(), **extra}, as_json=as_json, text="\n".join([*lines, report.to_text()]))
    if report.exit_code:
        raise typer.Exit(report.exit_code)
