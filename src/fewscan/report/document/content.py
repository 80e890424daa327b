"""What a report consists of, as plain data: sections of blocks, before anything becomes HTML.

A block is one of the classes below or a `fewscan.experiments.tables.Table`. All text is plain: the template escapes it,
so that a case may be called whatever its file allows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fewscan.experiments.tables import Table

Level = Literal["info", "good", "warning"]
Look = Literal["chart", "scan", "render"]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Note:
    """A sentence that a reader must not miss."""

    text: str
    level: Level = "info"


@dataclass(frozen=True)
class Facts:
    """Short facts, each with its name."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """Text that is copied as it is: commands, settings, equations."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture inside the page.

    Attributes
    ----------
    source : str
        Data URI.
    alt : str
        What is to be seen, for those who do not see it.
    caption : str
        Below the picture.
    look : "chart", "scan" or "render"
        Charts are dark on white, scans light on black, renderings coloured on white.
    size : tuple of (int, int), optional
        Width and height in the page's pixels, where the screen allows it.
    """

    source: str
    alt: str
    caption: str = ""
    look: Look = "chart"
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side as far as the screen is wide enough."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Panels:
    """One scan, a row of small pictures per plane.

    Attributes
    ----------
    title, facts : str
        Which case, and what is said about it.
    rows : tuple of (str, tuple of Picture)
        Name of the plane and its pictures.
    legend : tuple of (str, str)
        Names and colours.
    scale : str
        What the confidence overlay's colours mean; empty without one.
    """

    title: str
    facts: str
    rows: tuple[tuple[str, tuple[Picture, ...]], ...]
    legend: tuple[tuple[str, str], ...] = ()
    scale: str = ""


@dataclass(frozen=True)
class Fold:
    """Blocks behind a line that opens them; all open in print."""

    summary: str
    blocks: "tuple[Block, ...]"
    is_open: bool = False


Block = Text | Note | Facts | Code | Picture | Gallery | Panels | Fold | Table


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Tile:
    """A number to be seen first."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The whole page.

    Attributes
    ----------
    title : str
        What was reported on.
    kind : str
        What it is, in words: "training run".
    state : str
        Where it stands: "finished", "not finished".
    complete : bool
        Whether nothing is missing from it.
    tiles : tuple of Tile
        The main numbers.
    sections : tuple of Section
        In order; those without blocks are left out.
    figures : mapping
        The main numbers as plain values, for ``--json``.
    """

    title: str
    kind: str
    state: str
    complete: bool
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    figures: Mapping[str, Any] = field(default_factory=dict)


def section(name: str, title: str, blocks: Sequence[Block]) -> Section:
    """Return a section of any sequence of blocks."""
    return Section(name, title, tuple(blocks))
