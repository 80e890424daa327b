"""Pictures of soft pseudo-masks: what each half says of a few scans, and how that changes over the rounds.

As in paper 1, Fig. 2. A mask is shown as the probability of being foreground, black to white.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fewscan.files import write_atomically

Array = npt.NDArray[Any]

PAPER, INK = "#000000", "#E6EAEE"
ROWS = ("segmentation", "registration", "soft mask")
PANEL_INCHES, LABEL_INCHES, HEAD_INCHES = 1.5, 1.3, 0.45
DPI = 120


@dataclass(frozen=True)
class SoftMaskPlane:
    """One plane of one scan in one round, row 0 at the top.

    Attributes
    ----------
    image : ndarray (rows, columns)
        The scan.
    segmentation, registration, soft : ndarray (rows, columns)
        Probability of being foreground by each half, and in the mask that is used.
    aspect : float
        Height of the pixels over their width.
    """

    image: Array
    segmentation: Array
    registration: Array
    soft: Array
    aspect: float = 1.0


def save_round(path: Path, scans: Mapping[str, SoftMaskPlane], *, title: str) -> None:
    """Write one round as PNG: a row per scan (by its id) with image, both halves and soft mask."""
    rows = [
        (caption, [plane.image, plane.segmentation, plane.registration, plane.soft], plane.aspect)
        for caption, plane in scans.items()
    ]
    _save(path, rows, ["scan", *ROWS], title=title)


def save_strip(
    path: Path,
    rounds: Sequence[Mapping[str, SoftMaskPlane]],
    *,
    title: str,
    truth: Mapping[str, Array] | None = None,
) -> None:
    """Write all rounds as PNG: three rows per scan (both halves and soft mask), and a column per round, from 1.

    With ``truth``, the planes of true foreground by scan, there is one more column at the end.
    """
    rows = []
    for case_id, first in rounds[0].items():
        found = [scans[case_id] for scans in rounds]
        halves = [[plane.segmentation for plane in found], [plane.registration for plane in found]]
        for name, masks in zip(ROWS, [*halves, [plane.soft for plane in found]], strict=True):
            is_first = name == ROWS[0]
            shown = [first.image if is_first else None, *masks]
            if truth is not None:
                shown.append(truth.get(case_id) if is_first else None)
            rows.append((f"{case_id}\n{name}" if is_first else name, shown, first.aspect))
    heads = ["scan", *(f"round {k + 1}" for k in range(len(rounds))), *(["truth"] if truth is not None else [])]
    _save(path, rows, heads, title=title)


def _save(
    path: Path, rows: Sequence[tuple[str, Sequence[Array | None], float]], heads: Sequence[str], *, title: str
) -> None:
    height = max(
        plane.shape[0] * aspect / plane.shape[1] for _, planes, aspect in rows for plane in planes if plane is not None
    )
    width_inches = LABEL_INCHES + PANEL_INCHES * len(heads)
    height_inches = 2 * HEAD_INCHES + PANEL_INCHES * height * len(rows)
    figure = Figure(figsize=(width_inches, height_inches), facecolor=PAPER)
    axes = figure.subplots(len(rows), len(heads), squeeze=False)
    left, top = LABEL_INCHES / width_inches, 1 - 2 * HEAD_INCHES / height_inches
    figure.subplots_adjust(left, 0.005, 0.995, top, wspace=0.03, hspace=0.03)
    for line, (caption, planes, aspect) in zip(axes, rows, strict=True):
        for axis, plane in zip(line, planes, strict=True):
            axis.set_axis_off()
            if plane is not None:
                is_scan = axis is line[0]
                low, high = (float(np.min(plane)), float(np.max(plane))) if is_scan else (0.0, 1.0)
                axis.imshow(plane, cmap="gray", vmin=low, vmax=high, interpolation="nearest", aspect=aspect)
        line[0].text(-0.05, 0.5, caption, transform=line[0].transAxes, ha="right", va="center", color=INK, fontsize=8)
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head, color=INK, fontsize=9)
    figure.suptitle(title, color=INK, fontsize=10, y=1 - 0.1 / height_inches, va="top")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=PAPER)
    write_atomically(path, buffer.getvalue())
