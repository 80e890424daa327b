"""What the first of several processes that train one model does for all of them: it prepares, and holds the lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fewscan.errors import DataError
from fewscan.locking import folder_lock


@contextmanager
def first_process(folder: Path, fabric: Any) -> Iterator[bool]:
    """Yield whether this is the first process; the others wait until its block has ended.

    Parameters
    ----------
    folder : Path
        Of the run, for the message.
    fabric : Fabric
        See `fewscan.training.fabric`.

    Raises
    ------
    DataError
        In the others, if the first one stopped.
    """
    if fabric.is_global_zero:
        with fabric.rank_zero_first():
            yield True
        return
    try:
        with fabric.rank_zero_first():
            yield False
    except RuntimeError:  # of torch, when the connection breaks
        raise DataError(f"{folder}: the first process stopped while it prepared; its own message says why") from None


@contextmanager
def locked_by_first(folder: Path, fabric: Any) -> Iterator[None]:
    """Hold the run's lock in the first process; the others belong to the same run."""
    if fabric.is_global_zero:
        with folder_lock(folder, purpose="training"):
            yield
    else:
        yield
