"""What every command prints with: results as text or JSON, and progress on a terminal or as plain lines."""

import json
from typing import Any

from fewscan.progress import Progress, progress, say

__all__ = ["Progress", "emit", "progress", "say"]


def emit(payload: dict[str, Any], *, as_json: bool, text: str) -> None:
    """Print the result of a command: ``payload`` as one JSON document, or ``text`` for people."""
    if as_json:
        print(json.dumps(payload, indent=2, default=str, allow_nan=False), flush=True)
    else:
        say(text)
