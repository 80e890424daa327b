"""`fewscan report`: one HTML file that opens anywhere, made of what a folder of fewscan holds.

report_html(folder)    the page as text; nothing is written
make_report(folder)    writes it, and says where it is with the main figures
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fewscan import __version__
from fewscan.errors import DataError, UsageError
from fewscan.files import write_atomically
from fewscan.inference.earlier import PAGE
from fewscan.metrics.evaluation import plain_json
from fewscan.notebook import html_result
from fewscan.recipes.joint_record import ROUNDS
from fewscan.report.document.content import Report
from fewscan.report.document.render import render
from fewscan.report.found.kinds import Kind, Reportable, recognise
from fewscan.report.listening import announce, heard_by

SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, repr=False)
class WrittenReport:
    """A report that was written.

    Attributes
    ----------
    path : Path
        The page.
    kind, title, state : str
        What was reported on, and where it stands.
    complete : bool
        Whether nothing was missing.
    figures : mapping
        Main numbers.
    """

    path: Path
    kind: str
    title: str
    state: str
    complete: bool
    figures: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{self.kind} {self.title}: {self.state}\nreport: {self.path}"

    def _repr_html_(self) -> str:
        return html_result(f"Report: {self.kind} {self.title}", notes=[self.state], places={"report": self.path})

    def to_json(self) -> dict[str, Any]:
        """Return plain values; infinity and NaN as in `fewscan.metrics.evaluation`."""
        start = {"report": str(self.path), "kind": self.kind, "title": self.title}
        found: dict[str, Any] = plain_json(
            {**start, "state": self.state, "complete": self.complete, "figures": dict(self.figures)}
        )
        return found


def make_report(
    folder: Path | str,
    out: Path | str | None = None,
    *,
    scans: Path | str | None = None,
    labels: Path | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> WrittenReport:
    """Write a report on a run, predictions, an evaluation, a study or registrations, as one self-contained HTML file.

    Parameters
    ----------
    folder : path
        What a command of fewscan left.
    out : path, optional
        The file, which ends in ``.html``; ``report.html`` in the folder unless told.
    scans, labels : path, optional
        For predictions: where the scans and true labels are, if records do not tell. For a run of `joint`, ``labels``
        shows the truth beside its pseudo-masks.
    progress : callable, optional
        Called with a few words whenever a part that takes time is begun.

    Returns
    -------
    WrittenReport
        Where it is, with the main figures.

    Raises
    ------
    UsageError
        If the folder holds nothing that can be reported on, or ``out`` is not the name of a page.
    DataError
        If its records cannot be read.
    """
    place = Path(folder) / PAGE if out is None else Path(out)
    if place.is_dir():
        raise UsageError(f"--out {place}: is a folder", mend=f"name a file, such as {place / PAGE}")
    if place.suffix.lower() not in SUFFIXES:  # which also keeps records, scans and models from being replaced
        raise UsageError(f"--out {place}: is no name of a page", mend=f"name a file such as {place.with_name(PAGE)}")
    with heard_by(progress):
        report = compose(Path(folder), scans=_path(scans), labels=_path(labels))
        announce("writing the page")
        write_atomically(place, _page(report).encode())
    return WrittenReport(place, report.kind, report.title, report.state, report.complete, report.figures)


def report_html(folder: Path | str, *, scans: Path | str | None = None, labels: Path | str | None = None) -> str:
    """Return the page as text, and write nothing; arguments and errors are those of `make_report`."""
    return _page(compose(Path(folder), scans=_path(scans), labels=_path(labels)))


def compose(folder: Path, *, scans: Path | None = None, labels: Path | None = None) -> Report:
    """Return the content of the report on a folder, whatever it is; arguments and errors are those of `make_report`."""
    found = recognise(folder)
    told = {option for option, place in (("--scans", scans), ("--labels", labels)) if place is not None}
    allowed = {Kind.PREDICTION: {"--scans", "--labels"}, Kind.EVALUATION: {"--scans", "--labels"}}
    if found.kind is Kind.RUN and (found.folder / ROUNDS).is_file():
        allowed[Kind.RUN] = {"--labels"}
    if unfit := sorted(told - allowed.get(found.kind, set())):
        raise UsageError(
            f"{folder}: {' and '.join(unfit)} is for predictions, and this is a {found.kind}", mend="leave it out"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        try:
            return _compose(found, scans, labels)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            # what cannot be read costs a section where that is possible (`attempt`); here it was needed for all
            text = f"{type(error).__name__}: {error}"
            raise DataError(
                f"{found.folder}: the records of this {found.kind} are not as fewscan writes them ({text})",
                mend="restore the files, or run the command that made the folder again",
            ) from error


def _compose(found: Reportable, scans: Path | None, labels: Path | None) -> Report:
    if found.kind is Kind.RUN:
        from fewscan.report.run_report import run_report

        return run_report(found.folder, labels=labels)
    if found.kind is Kind.STUDY:
        from fewscan.report.study_report import study_report

        return study_report(found.folder)
    if found.kind is Kind.REGISTRATION:
        from fewscan.report.registration_report import registration_report

        return registration_report(found.folder)
    from fewscan.report.prediction_report import prediction_report

    return prediction_report(found, scans=scans, labels=labels)


def _page(report: Report) -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return render(report, made=made, version=__version__)


def _path(place: Path | str | None) -> Path | None:
    return None if place is None else Path(place)
