"""What a report is at work on, for whoever listens: a command that shows it while pictures are drawn."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener | None) -> Iterator[None]:
    """Pass what is announced inside the block to ``listener``."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def announce(what: str) -> None:
    """Say what is begun, in a few words; nothing happens where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(what)
