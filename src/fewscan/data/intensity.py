"""Clipping and normalisation of one channel, in paper 2's order as its code runs it: clip, then normalise.

The percentiles are those of the cumulative distribution of the whole cropped box, zeros included; mean and standard
deviation are taken over the voxels that are not zero (MRI, where zero means "outside") or over all voxels (CT). All
voxels are then transformed alike, so that an empty voxel gets the normalised value of zero. That value is returned,
because padding with anything else draws a visible frame around the scan.
"""

import numpy as np
import numpy.typing as npt

from fewscan.data.plan import Preparation
from fewscan.errors import DataError

Array = npt.NDArray[np.float32]


def normalise_channel(values: Array, preparation: Preparation) -> tuple[Array, float]:
    """Clip and normalise one channel.

    Parameters
    ----------
    values : float32 array, any shape
        The cropped box; finite.
    preparation : Preparation
        Percentiles, kind of normalisation, and the voxels it is measured over.

    Returns
    -------
    normalised : float32 array
        A new array; constant channels become zero, never NaN.
    background : float
        The normalised value of an empty voxel: of zero (held inside the range of the channel, so that padding adds no
        intensity which the scan does not have), or with ``over="all"`` of the darkest voxel, since zero is no emptiness
        on CT.
    """
    low, high = _limits(values, preparation.clip_percentiles)
    clipped = np.clip(values, low, high)
    empty = low if preparation.over == "all" else min(max(0.0, low), high)
    shift, scale = _shift_and_scale(values, clipped, preparation)
    result = ((clipped - np.float32(shift)) / np.float32(scale)).astype(np.float32, copy=False)
    return result, float((np.float32(empty) - np.float32(shift)) / np.float32(scale))


def require_content(image: Array, *, case_id: str) -> None:
    """Raise `DataError` for a scan (channels, *axes) in which nothing can be seen: every channel has one value."""
    if all(channel.min() == channel.max() for channel in image):
        msg = f"case {case_id}: its image is constant, so there is nothing to see"
        raise DataError(msg, mend="export the scan again, or leave it out")


def _limits(values: Array, percentiles: tuple[float, float] | None) -> tuple[float, float]:
    low, high = percentiles or (0.0, 100.0)
    # minimum and maximum need no partial sort
    lowest = values.min() if low == 0 else np.percentile(values, low)
    highest = values.max() if high == 100 else np.percentile(values, high)
    return float(lowest), float(highest)


def _shift_and_scale(values: Array, clipped: Array, preparation: Preparation) -> tuple[float, float]:
    if preparation.normalisation == "none":
        return 0.0, 1.0
    if preparation.normalisation == "minmax":
        low, high = float(clipped.min()), float(clipped.max())
        return low, (high - low) or 1.0
    if preparation.over == "nonzero":
        mean, deviation = _mean_and_deviation(clipped[values != 0])
        if deviation > 0:
            return mean, deviation
    # also for a mask-like channel, whose non-zero voxels are all alike
    mean, deviation = _mean_and_deviation(clipped)
    return mean, deviation or 1.0


def _mean_and_deviation(values: Array) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 0.0
    mean = float(values.mean(dtype=np.float64))
    deviation = float(values.std(dtype=np.float64))
    # below float32 resolution of the mean, the spread is rounding noise
    return mean, deviation if deviation > 1e-6 * abs(mean) else 0.0
