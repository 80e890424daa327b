"""A part of a report that cannot be made is said so and left out: it is never worth the rest."""

from collections.abc import Callable, Sequence

from fewscan.errors import FewscanError
from fewscan.report.document.content import Block, Note
from fewscan.report.listening import announce


def attempt(what: str, make: Callable[[], Sequence[Block]]) -> list[Block]:
    """Return the blocks that ``make`` returns, or a note why ``what`` could not be made."""
    announce(what)
    try:
        return list(make())
    except Exception as error:  # whatever is wrong with one file, the others are shown
        text = error.message if isinstance(error, FewscanError) else f"{type(error).__name__}: {error}"
        return [Note(f"{what} could not be shown: {' '.join(text.split())}", "warning")]
