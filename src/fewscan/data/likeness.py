"""How alike the scans of a data set look before anything is registered: a sign of whether registration can work.

Scans of one organ, cropped and lying alike, agree in their coarse picture; whole-body scans of changing extent do not.
"""

from collections.abc import Iterable
from itertools import combinations
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

COARSE_SIDE = 16
"""Cells per axis of the coarse picture: a few voxels of shift matter less than another organ or another crop."""


def coarse_likeness(scans: Iterable[npt.NDArray[Any]]) -> float:
    """Return the median, over all pairs of scans, of the correlation of their coarse pictures.

    Parameters
    ----------
    scans : iterable of (*axes) arrays
        One channel each, 2-D or 3-D, of any size and in any unit of intensity; only one is held at a time.

    Returns
    -------
    float
        Between -1 and 1; a constant scan correlates 0 with every other, and so do one alone, and a flat and a deep one.
    """
    pictures = [_standardised(_coarse(scan)) for scan in scans]
    pairs = combinations(pictures, 2)
    values = [float(first @ second) if first.size == second.size else 0.0 for first, second in pairs]
    return median(values) if values else 0.0


def _coarse(scan: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the means of `COARSE_SIDE` cells per axis, flattened."""
    image = torch.from_numpy(np.array(scan, dtype=np.float64))[None]
    pool = torch.nn.functional.adaptive_avg_pool3d if scan.ndim == 3 else torch.nn.functional.adaptive_avg_pool2d
    coarse: npt.NDArray[np.float64] = pool(image, COARSE_SIDE).flatten().numpy()
    return coarse


def _standardised(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return values of mean 0 and length 1, or zeros where all are equal."""
    centred = values - values.mean()
    length = float(np.linalg.norm(centred))
    # below the rounding of the mean nothing but noise is left
    if length <= 1e-12 * max(1.0, float(np.abs(values).max())) * values.size:
        return np.zeros_like(values)
    unit: npt.NDArray[np.float64] = centred / length
    return unit
