"""What the size of a scan alone tells: too small to halve, one slice only, too large for the memory."""

import math

from fewscan.data.check.problem import Problem, Source

SMALL_AXIS_VOX = 8
"""Axes shorter than this are noted: three halvings by a U-Net leave nothing of them."""

FORECAST_BYTES_PER_VOXEL = 16
"""Peak while one channel is prepared: a float32 copy each as read, transposed, resampled and normalised."""


def check_scan_size(size: tuple[int, ...], source: Source) -> list[Problem]:
    """Note a volume of one slice, or one that is thinner than a network likes.

    Parameters
    ----------
    size : tuple of int
        Voxels along each array axis.
    source : Source
        Case and file, for the message.
    """
    shape = " x ".join(map(str, size))
    if len(size) == 3 and 1 in size:
        return [source.note("one-slice", f"{shape} voxels: a volume of one slice, fit for 2-D networks only")]
    if min(size) < SMALL_AXIS_VOX:
        message = f"{shape} voxels: fewer than {SMALL_AXIS_VOX} along an axis, so patches will be padded"
        return [source.note("small-volume", message)]
    return []


def forecast_bytes(size: tuple[int, ...], channels: int) -> int:
    """Return the peak memory of preparing a scan of ``channels`` images."""
    return math.prod(size) * channels * FORECAST_BYTES_PER_VOXEL


def check_memory(size: tuple[int, ...], channels: int, available_bytes: int, source: Source) -> list[Problem]:
    """Warn where the forecast for a scan exceeds ``available_bytes``, the memory that is free now."""
    forecast = forecast_bytes(size, channels)
    if forecast <= available_bytes:
        return []
    message = (
        f"{' x '.join(map(str, size))} voxels take about {forecast / 2**30:.3g} GiB to prepare, and"
        f" {available_bytes / 2**30:.3g} GiB are free; the voxels were not checked"
    )
    mend = "crop or downsample the scan, or use a machine with more memory"
    return [source.warning("huge-volume", message, mend=mend)]
