"""``fewscan report``: one HTML file about a run, predictions, a study or registrations."""

from pathlib import Path
from typing import Annotated

import typer

from fewscan.cli.console import emit


def report(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="What train, predict, evaluate, compare or register left."),
    ],
    out: Annotated[Path | None, typer.Option(help="The file; DIR/report.html unless told.", show_default=False)] = None,
    scans: Annotated[
        Path | None,
        typer.Option(help="Of predictions: the scans, for pictures; where records do not tell.", show_default=False),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Of predictions: true labels, scored if not done yet. Of a joint run: shown beside its masks.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it is and the main figures as JSON.")] = False,
) -> None:
    """Write a report as one HTML file that opens anywhere, offline.

    Scores with intervals and tests, learning curves, the spread of the cases, best, median and worst ones in pictures,
    those most in need of a human look, time and memory, settings, versions, and how to reproduce it all. What is not
    finished gives a report too, which says so. Scores of other predictions than those in the folder are not shown.
    """
    from fewscan.progress import say
    from fewscan.report.page import make_report

    progress = None if as_json else lambda part: say(f"report: {part}")
    written = make_report(folder, out, scans=scans, labels=labels, progress=progress)
    emit(written.to_json(), as_json=as_json, text=str(written))
