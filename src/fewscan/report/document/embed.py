"""Pictures as data URIs, so that a page needs no file beside it."""

import base64
import io
import struct
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.image import imsave

from fewscan.report.document.content import Look, Picture

SCALE = 96 / 150
"""Pixels of the page for one of a picture: figures are drawn at about 150 per inch."""
PNG_START = b"\x89PNG\r\n\x1a\n"


def data_uri(data: bytes, kind: str) -> str:
    """Return the bytes of a file of MIME type ``kind`` as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def svg(figure: Figure, *, alt: str, caption: str = "") -> Picture:
    """Return a chart as SVG: sharp at every size and in print, with its letters as outlines; equal every time."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "fewscan", "svg.fonttype": "path"}), warnings.catch_warnings():
        # a letter that the font lacks becomes a box in the picture; the page names it in full
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return Picture(data_uri(buffer.getvalue(), "image/svg+xml"), alt, caption)


def png_file(path: Path, *, alt: str, caption: str = "", look: Look = "chart") -> Picture:
    """Return a PNG file.

    Raises
    ------
    ValueError
        If it is none.
    """
    data = path.read_bytes()
    if not data.startswith(PNG_START) or len(data) < 24:
        msg = f"{path.name} is not a PNG picture"
        raise ValueError(msg)
    width, height = struct.unpack(">II", data[16:24])
    return Picture(data_uri(data, "image/png"), alt, caption, look, (round(width * SCALE), round(height * SCALE)))


def png_of(draw: Callable[[Path], None], *, alt: str, caption: str = "", look: Look = "chart") -> Picture:
    """Return what a function draws that writes a PNG file."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        path = Path(folder) / "picture.png"
        draw(path)
        return png_file(path, alt=alt, caption=caption, look=look)


def png_pixels(pixels: npt.NDArray[Any], *, alt: str, caption: str = "") -> Picture:
    """Return pixels (rows, columns, 3) from 0 to 1, row 0 at the top."""
    buffer = io.BytesIO()
    imsave(buffer, np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8), format="png", pil_kwargs={"optimize": True})
    return Picture(data_uri(buffer.getvalue(), "image/png"), alt, caption, "scan")
