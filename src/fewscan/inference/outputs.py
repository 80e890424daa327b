"""What every command that turns scans into a folder of files shares: finding the scans, guarding the folder, failures.

A folder that already holds files of the same names is only written to when the command's own record lies in it: that
tells results, which may be replaced, from scans and annotations, which may not.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewscan.data.case import Case
from fewscan.data.image_files import image_stem, is_image_file
from fewscan.data.layouts import list_scans
from fewscan.data.workers import reason_of
from fewscan.errors import DataError, UsageError

Places = Path | str | Sequence[Path | str]


@dataclass
class Outcome:
    """What has been done so far, and what has failed.

    Attributes
    ----------
    total : int
        Items of work: scans, or pairs of scans.
    progress : callable or None
        Called with the id of every item that is done, well or not, and the total.
    done : list of dict
        What there is to record about each item that succeeded.
    failures : dict
        Reason by id of those that did not.
    """

    total: int
    progress: Callable[[str, int], None] | None = None
    done: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    first_error: Exception | None = None

    @property
    def ids(self) -> set[str]:
        """Of the items that are done, well or not."""
        return {str(record["id"]) for record in self.done} | self.failures.keys()

    def succeeded(self, record: dict[str, Any]) -> None:
        """Note an item whose files are written; ``record["id"]`` names it."""
        self.done.append(record)
        self._report(str(record["id"]))

    def failed(self, item_id: str, error: Exception) -> None:
        """Note an item that could not be done, with what to do about it."""
        self.failures[item_id] = reason_of(error)
        self.first_error = self.first_error or error
        self._report(item_id)

    def summary(self, out: Path, *, what: str, done: str) -> DataError:
        """Return one error that tells all failures, those of one reason together.

        ``what`` and ``done`` are as in "scans" and "predicted".
        """
        items: dict[str, list[str]] = {}
        for item_id, text in self.failures.items():
            items.setdefault(text.removeprefix(f"case {item_id}: "), []).append(item_id)
        lines = [f"{', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''}: {text}" for text, ids in items.items()]
        others = f"The others are in {out}. " if len(self.failures) < self.total else ""
        return DataError(
            f"{len(self.failures)} of {self.total} {what} could not be {done}:\n  " + "\n  ".join(lines),
            mend=f"{others}Mend or remove these {what} and run it on them again.",
        )

    def _report(self, item_id: str) -> None:
        if self.progress is not None:
            self.progress(item_id, self.total)


def find_scans(scans: Places, *, channels: int) -> list[Case]:
    """Return the scans of one or several places (see `list_scans`), each with a name of its own.

    Raises
    ------
    DataError
        If there is none, two have one name, or a name cannot be used in a file name.
    """
    places = as_paths(scans)
    cases = [case for place in places for case in list_scans(place, channels=channels)]
    if not cases:
        where = f"no scans found in {', '.join(map(str, places))}" if places else "no scans are given"
        raise DataError(where, mend="Give scans, or folders of scans.")
    for case_id, count in Counter(case.id for case in cases).items():
        if count > 1:
            raise DataError(
                f"{count} scans are called {case_id!r}, so their results would replace one another",
                mend="Rename them, or give them different output folders.",
            )
        if Path(case_id).name != case_id:
            raise DataError(f"scan {case_id!r}: its name is not a file name", mend="Rename the scan.")
    return cases


def guard_folder(
    out: Path,
    *,
    places: Iterable[Path],
    inputs: Iterable[Path],
    stems: Iterable[str],
    record: str,
    what: str,
    others: Iterable[str] = (),
) -> None:
    """Make the output folder, and refuse to write among scans or labels, or over files that are no earlier results.

    Parameters
    ----------
    out : Path
        The folder.
    places : iterable of Path
        Paths that the user gave as input; none may be the folder itself.
    inputs : iterable of Path
        All files to be read; none may lie directly in the folder.
    stems : iterable of str
        Names without suffix of the images that will be written.
    record : str
        File that tells a folder of earlier results, in which they may be replaced.
    what : str
        What is written, for the message: "predictions".
    others : iterable of str
        Names of other files that will be written.

    Raises
    ------
    UsageError
    """
    taken = {path.resolve() for path in places} | {path.resolve().parent for path in inputs}
    mend = f"Give another folder for the {what}."
    if out.resolve() in taken:
        raise UsageError(f"--out {out}: holds the scans themselves or their labels", mend=mend)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file, not a folder", mend=mend)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / record).exists():
        stems, others = set(stems), set(others)
        foreign = sorted(
            path.name
            for path in out.iterdir()
            if path.name in others or (is_image_file(path) and image_stem(path) in stems)
        )
        if foreign:
            shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
            raise UsageError(f"--out {out}: holds {shown}, no {what} of fewscan, and would lose them", mend=mend)


def as_paths(places: Places) -> list[Path]:
    """Return one or several paths as a list."""
    return [Path(places)] if isinstance(places, (str, Path)) else [Path(place) for place in places]
