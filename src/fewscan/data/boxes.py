"""Boxes in scans, by their first voxel: where they may lie, and cutting them out. Outside of a scan is background."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def centred_start(size: Sequence[int], box: Sequence[int]) -> tuple[int, ...]:
    """Return the start of the box that shares its centre with the scan, where need be half a voxel before it.

    Training and prediction place whole scans by this rule: padded where the box is larger, cropped where it is smaller.

    Examples
    --------
    >>> centred_start((5, 5, 4), (8, 3, 4))
    (-1, 1, 0)
    """
    return tuple(-((b - n) // 2) if b >= n else (n - b) // 2 for n, b in zip(size, box, strict=True))


def random_start(size: Sequence[int], box: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """Draw the first voxel of a box, uniformly over all places, the last included.

    A box larger than the scan starts at or before the scan's first voxel and covers the scan whole.
    """
    return tuple(int(rng.integers(min(0, n - b), max(0, n - b) + 1)) for n, b in zip(size, box, strict=True))


def start_around(voxel: Sequence[int], size: Sequence[int], box: Sequence[int]) -> tuple[int, ...]:
    """Return the start of the box centred on ``voxel``, moved to lie inside the scan (or to cover it whole)."""
    return tuple(
        int(np.clip(v - b // 2, min(0, n - b), max(0, n - b))) for v, n, b in zip(voxel, size, box, strict=True)
    )


def cut(
    array: npt.NDArray[Any], start: Sequence[int], box: Sequence[int], background: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Copy a box out of ``array`` (channels, *axes); what lies outside is filled with ``background`` (channels,)."""
    size = array.shape[1:]
    inner = tuple(slice(max(s, 0), min(s + b, n)) for s, b, n in zip(start, box, size, strict=True))
    if all(i.stop - i.start == b for i, b in zip(inner, box, strict=True)):
        return np.array(array[(slice(None), *inner)])
    patch = np.empty((array.shape[0], *box), array.dtype)
    patch[...] = background.reshape(-1, *(1,) * len(box))
    place = tuple(slice(i.start - s, i.stop - s) for i, s in zip(inner, start, strict=True))
    patch[(slice(None), *place)] = array[(slice(None), *inner)]
    return patch


def cut_centred(array: npt.NDArray[Any], box: Sequence[int], background: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``array`` (channels, *axes) on a grid of the box's size, both with one centre; see `centred_start`."""
    return cut(array, centred_start(array.shape[1:], box), box, background)


def centred_part(size: Sequence[int], box: Sequence[int]) -> tuple[slice, ...]:
    """Return where in the box, at least as large along every axis, a scan of that size lies by `centred_start`.

    Examples
    --------
    >>> centred_part((5, 4), (8, 4))
    (slice(1, 6, None), slice(0, 4, None))
    """
    return tuple(slice(-first, n - first) for first, n in zip(centred_start(size, box), size, strict=True))
