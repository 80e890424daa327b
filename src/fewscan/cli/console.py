"""What every command prints with: results as text or JSON, and progress on a terminal or as plain lines."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fewscan.progress import Progress, progress, say

__all__ = ["emit", "progress", "progress_with_late_total", "say"]


@contextmanager
def progress_with_late_total(description: str, *, quiet: bool = False) -> Iterator[Callable[[str, int], None]]:
    """Show progress over items whose number only the work finds out; yield what is called with each id and the total.

    A bar begins with the first item that is done.
    """
    with ExitStack() as stack:
        shown: list[Progress] = []

        def advance(item_id: str, total: int) -> None:
            if not shown:
                shown.append(stack.enter_context(Progress(description, total, quiet=quiet)))
            shown[0].advance(note=item_id)

        yield advance


def emit(payload: dict[str, Any], *, as_json: bool, text: str) -> None:
    """Print the result of a command: ``payload`` as one JSON document, or ``text`` for people."""
    if as_json:
        print(json.dumps(payload, indent=2, default=str, allow_nan=False), flush=True)
    else:
        say(text)
