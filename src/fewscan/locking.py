"""A lock file for a folder: one process at a time prepares a store or writes a run.

The file holds process id, host and start time of the holder. A lock whose process is gone (killed, machine restarted)
is stale and taken over; a process id that was given to another process meanwhile is recognised by its start time. A
lock of another host cannot be judged from here, so it is respected.
"""

import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fewscan.errors import UsageError

LOCK_NAME = ".lock"


@contextmanager
def folder_lock(folder: Path, *, purpose: str) -> Iterator[Path]:
    """Hold the lock of ``folder`` while the block runs.

    Parameters
    ----------
    folder : Path
        Created when absent.
    purpose : str
        What the holder does, for the message that another process shows ("preparation", "training").

    Raises
    ------
    UsageError
        When a living process, or one on another host, holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    mine = {**_identity(os.getpid()), "purpose": purpose, "token": uuid.uuid4().hex}
    while not _create(path, mine):
        holder = _read(path)
        if holder is None:
            continue  # released between our attempt and the look at it
        if not _is_stale(holder):
            msg = f"{folder}: in use by process {holder.get('pid')} on {holder.get('host')} ({holder.get('purpose')})"
            raise UsageError(msg, mend=f"wait until it has finished; if it is surely gone, delete {path}")
        _remove_if_still(path, holder)
    try:
        yield path
    finally:
        if _read(path) == mine:
            path.unlink(missing_ok=True)


def _identity(pid: int) -> dict[str, Any]:
    import psutil

    return {"pid": pid, "host": socket.gethostname(), "started": psutil.Process(pid).create_time()}


def _create(path: Path, content: dict[str, Any]) -> bool:
    # Written aside and linked into place, so that nobody ever reads an empty or half-written lock.
    aside = path.with_name(f"{path.name}.{content['token']}")
    aside.write_text(json.dumps(content), encoding="utf-8")
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        return _create_in_place(path, aside.read_text(encoding="utf-8"))
    finally:
        aside.unlink()
    return True


def _create_in_place(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}  # not ours: damaged, and never produced by a living holder
    return content if isinstance(content, dict) else {}


def _is_stale(holder: dict[str, Any]) -> bool:
    import psutil

    if not holder:
        return True
    if holder.get("host") != socket.gethostname():
        return False
    try:
        now_running = psutil.Process(int(holder["pid"])).create_time()
    except (psutil.Error, KeyError, TypeError, ValueError):
        return True
    # clock ticks make the reported start time differ by hundredths of a second
    return abs(now_running - float(holder.get("started", 0.0))) > 1.0


def _remove_if_still(path: Path, stale: dict[str, Any]) -> None:
    # Two processes may find the same stale lock. Renaming is atomic: whoever moved a fresh lock away puts it back.
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _read(aside) != stale:
        os.rename(aside, path)
    else:
        aside.unlink()
