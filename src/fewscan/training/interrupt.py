"""Stopping politely: the first signal finishes the step and saves, the second stops at once."""

import signal
import threading
from types import FrameType
from typing import Any


class StopRequest:
    """Context that turns SIGINT and SIGTERM (as SLURM sends before it kills) into a flag.

    A second signal raises KeyboardInterrupt. Outside the main thread, where handlers cannot be set, it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
