"""Turns links to Markdown files outside the documentation into downloads, which links to all other files are anyway.

So a page can have a plain link to the tables kept in `benchmarks/results`, which an editor or GitHub can follow.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_LINK = re.compile(r"\[([^\]`<]+)\]\(((?:\.\./)+benchmarks/[^)#]+\.md)\)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def downloads(app: Sphinx, docname: str, source: list[str]) -> None:
    """Change the text of a page in place."""
    source[0] = _LINK.sub(r"{download}`\1 <\2>`", source[0])
