"""Where a padded scan lies on its grid.

Networks that normalise over what they are shown answer worse where much of it is padding, as on hippocampi of 35x50x35
voxels that are padded to 43x59x47. So a segmentation network is shown the scan without it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Box = tuple[slice, ...]


def content_box(inside: Tensor, *, least: Sequence[int]) -> Box:
    """Return the smallest box that holds a scan, grown to at least ``least``.

    Parameters
    ----------
    inside : Tensor, (*size)
        1 where the scan has data, 0 in its padding.
    least : sequence of int
        Sides that the box has at least; no larger than the grid's.

    Returns
    -------
    tuple of slice
        One per spatial axis; the whole grid where there is no data at all.
    """
    content = inside > 0
    if not bool(content.any()):
        return tuple(slice(0, side) for side in content.shape)
    box = []
    for axis, (side, wanted) in enumerate(zip(content.shape, least, strict=True)):
        others = [other for other in range(content.ndim) if other != axis]
        there = torch.nonzero(content.amax(others) if others else content)
        box.append(_grown(int(there[0]), int(there[-1]) + 1, side=side, wanted=wanted))
    return tuple(box)


def _grown(start: int, stop: int, *, side: int, wanted: int) -> slice:
    """Return a range of at least ``wanted``, grown evenly to both ends, within an axis of ``side``."""
    missing = max(0, wanted - (stop - start))
    start = min(max(0, start - missing // 2), side - max(wanted, stop - start))
    return slice(start, max(stop, start + wanted))
