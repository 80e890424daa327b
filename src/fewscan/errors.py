"""The errors that fewscan raises for its user, each with the exit code of the command line.

A message says what happened, to which case or file, and what to do about it. Anything else that escapes is a bug.
"""


class FewscanError(Exception):
    """Base of all errors that are meant for the user.

    Parameters
    ----------
    message : str
        What happened, and to which case, file or setting.
    mend : str, optional
        What to do about it; printed on a line of its own.
    """

    exit_code = 2

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message}\n  {self.mend}" if self.mend else self.message


class UsageError(FewscanError):
    """The command or its settings are wrong (exit code 2)."""

    exit_code = 2


class DataError(FewscanError):
    """The scans, labels or files are wrong (exit code 3)."""

    exit_code = 3


class InterruptedRunError(FewscanError):
    """The work was stopped but can be resumed (exit code 4)."""

    exit_code = 4
