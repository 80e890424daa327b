"""A scan with its truth and the predictions of several methods: what pictures of a comparison are made from."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry

Array = npt.NDArray[Any]

MARGIN, LEAST_MARGIN_MM = 0.15, 5.0
"""Kept around all labels: a share of their extent, and the least."""


@dataclass(frozen=True)
class ComparedCase:
    """One scan.

    Attributes
    ----------
    caption : str
        Shown on the left.
    image : ndarray, shape (*size)
        One channel of the scan.
    truth : ndarray, shape (*size)
        Label map.
    predictions : mapping of str to ndarray, shape (*size)
        Label maps by the name of their method, in the order of the columns; the same names for all cases of a picture.
    geometry : Geometry
        Grid of them all.
    """

    caption: str
    image: Array
    truth: Array
    predictions: Mapping[str, Array]
    geometry: Geometry

    def zoom_box(self) -> tuple[slice, ...]:
        """Return the part that holds all labels, true and predicted, with a margin; everything where there is none."""
        marked = self.truth != 0
        for prediction in self.predictions.values():
            marked = marked | (prediction != 0)
        if not marked.any():
            return tuple(slice(0, n) for n in marked.shape)
        box = []
        for axis, spacing_mm in enumerate(self.geometry.spacing_mm):
            others = tuple(k for k in range(marked.ndim) if k != axis)
            (held,) = np.nonzero(marked.any(axis=others))
            low, high = int(held[0]), int(held[-1]) + 1
            margin = int(np.ceil(max(MARGIN * (high - low), LEAST_MARGIN_MM / spacing_mm)))
            box.append(slice(max(low - margin, 0), min(high + margin, marked.shape[axis])))
        return tuple(box)

    def zoomed(self) -> "ComparedCase":
        """Return the part of `zoom_box`."""
        part = self.zoom_box()
        if all(side == slice(0, n) for side, n in zip(part, self.truth.shape, strict=True)):
            return self
        start, size = tuple(side.start for side in part), tuple(side.stop - side.start for side in part)
        return replace(
            self,
            image=self.image[part],
            truth=self.truth[part],
            predictions={name: prediction[part] for name, prediction in self.predictions.items()},
            geometry=self.geometry.cropped(start, size),
        )


def wrapped(text: str, *, inches: float, points: float) -> str:
    """Return ``text`` in lines that are about ``inches`` wide at most, in a font of ``points``."""
    # a letter of matplotlib's font is a little more than half as wide as the font is high
    return textwrap.fill(text, max(10, int(72 * inches / (0.56 * points))))
