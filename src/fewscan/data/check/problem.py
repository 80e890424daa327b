"""Problem: one finding of the integrity check, and the words that locate a voxel in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt


class Severity(StrEnum):
    """How much a finding matters; the members are in falling order.

    An error makes training or its numbers wrong, a warning wants a look by a person, a note is worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding.

    Attributes
    ----------
    severity : Severity
        Errors make `fewscan check` end with exit code 3.
    code : str
        Stable name of the kind of finding, in kebab case ("nan-voxels").
    message : str
        What is wrong, without the case and the file.
    mend : str
        What to do about it; empty where nothing needs doing.
    case_id : str
        The case; empty for a finding about the whole data set.
    file : str
        The file as a path; empty where no single file is meant.
    """

    severity: Severity
    code: str
    message: str
    mend: str = ""
    case_id: str = ""
    file: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the fields as plain strings."""
        return {
            "severity": self.severity.value,
            "code": self.code,
            "case": self.case_id,
            "file": self.file,
            "message": self.message,
            "mend": self.mend,
        }


@dataclass(frozen=True, kw_only=True)
class Source:
    """The case and the file that a check is about, so that each check writes only what it found."""

    case_id: str = ""
    file: str = ""

    def error(self, code: str, message: str, *, mend: str = "") -> Problem:
        """Return an error about this file."""
        return self._problem(Severity.ERROR, code, message, mend)

    def warning(self, code: str, message: str, *, mend: str = "") -> Problem:
        """Return a warning about this file."""
        return self._problem(Severity.WARNING, code, message, mend)

    def note(self, code: str, message: str, *, mend: str = "") -> Problem:
        """Return a note about this file."""
        return self._problem(Severity.NOTE, code, message, mend)

    def _problem(self, severity: Severity, code: str, message: str, mend: str) -> Problem:
        return Problem(severity=severity, code=code, message=message, mend=mend, case_id=self.case_id, file=self.file)


def count_text(count: int, noun: str, plural: str = "") -> str:
    """Return "1 voxel" or "3 voxels"."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def first_names(names: Iterable[str], *, limit: int = 5) -> str:
    """Return the first ``limit`` names, and how many more there are."""
    names = list(names)
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def first_index(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the index of the first True voxel of ``mask``, in array order."""
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def has_errors(problems: Iterable[Problem]) -> bool:
    """Tell whether any of ``problems`` is an error."""
    return any(problem.severity is Severity.ERROR for problem in problems)


def sort_key(problem: Problem) -> tuple[int, str, str, str]:
    """Order problems: errors first, then by case, file and code."""
    return (list(Severity).index(problem.severity), problem.case_id, problem.file, problem.code)


def plain(value: Any) -> str:
    """Return a number without the noise of its binary form: 3 rather than 3.0, 0.3 rather than 0.30000001."""
    return f"{float(value):.6g}"
