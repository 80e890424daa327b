"""Progress on a terminal as a bar, and elsewhere as plain lines."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def say(line: str) -> None:
    """Print one line of plain text at once."""
    print(line, flush=True)


class Progress:
    """Counts finished items; prints a bar on a terminal and a line every ten seconds elsewhere."""

    line_every_s = 10.0

    def __init__(self, description: str, total: int, *, quiet: bool = False) -> None:
        self.description, self.total, self.quiet = description, total, quiet
        self.done, self.note, self._earlier = 0, "", 0
        self._started = self._printed = time.monotonic()
        self._bar: Any = None

    def advance(self, n: int = 1, *, note: str = "") -> None:
        """Count ``n`` more items as done; ``note`` is shown beside the count."""
        self.done += n
        self.note = note or self.note
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, note=self.note)
        elif not self.quiet and time.monotonic() - self._printed >= self.line_every_s:
            self._printed = time.monotonic()
            say(self.line())

    def go_on_from(self, done: int) -> None:
        """Begin with ``done`` items that an earlier process finished: they say nothing of this one's pace."""
        self.done = self._earlier = done
        self._started = time.monotonic()
        if self._bar is not None:
            self._bar.reset(self._task, completed=done)

    def line(self) -> str:
        """Return the state as plain text, with the time left."""
        elapsed, done_here = time.monotonic() - self._started, self.done - self._earlier
        remaining = f", {clock(elapsed / done_here * (self.total - self.done))} left" if done_here else ""
        return f"{self.description}: {self.done}/{self.total}{remaining}  {self.note}".rstrip()

    def __enter__(self) -> "Progress":
        if not self.quiet and sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar.start()
            self._task = self._bar.add_task(self.description, total=self.total, note="")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif not self.quiet and exc[0] is None and self.done:
            say(f"{self.description}: {self.done}/{self.total} in {clock(time.monotonic() - self._started)}")


@contextmanager
def progress(description: str, total: int, *, quiet: bool = False) -> Iterator[Progress]:
    """Show progress over ``total`` items while the block runs."""
    with Progress(description, total, quiet=quiet) as shown:
        yield shown


def clock(seconds: float) -> str:
    """Return a duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
