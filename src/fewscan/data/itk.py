"""SimpleITK, imported when it is first needed; a machine that only trains and predicts prepared arrays may lack it."""

import re
import threading
from typing import Any

FILE_LOCK = threading.RLock()
"""Held while ITK reads or writes a file: its NIfTI reader corrupts memory when two threads use it at once."""


def simpleitk() -> Any:
    """Return SimpleITK without ITK's own warnings: what matters of them is raised elsewhere with the file's name."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK


def last_line(error: Exception) -> str:
    """Return the one line of an ITK message that says what happened; the others are file names of ITK's sources."""
    lines = [line.strip() for line in str(error).splitlines()]
    useful = [line for line in lines if line and not line.startswith("Reason:")]  # "Reason: Success" helps nobody
    return re.sub(r"^ITK ERROR: (\w+\(0x\w+\): )?", "", useful[-1]) if useful else "no reason given"
