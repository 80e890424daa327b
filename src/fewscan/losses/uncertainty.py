"""Which voxels of a prediction are certain enough to learn from (Yu et al. 2019, UA-MT).

A voxel counts while the entropy of its class probabilities is below H = (h + (1 - h) r) ln C, where ln C is the largest
entropy that C classes can have and r rises from 0 to 1 during training: at the end every voxel counts. Public code
keeps ln 2 for four classes, which leaves half of the range closed for ever.
"""

import math

from torch import Tensor

from fewscan.losses.probabilities import entropy


def entropy_threshold(classes: int, *, start: float, ramp: float) -> float:
    """Return H in nats.

    Parameters
    ----------
    classes : int
        Background included.
    start : float
        h, the share of the largest entropy at which H begins.
    ramp : float
        r, between 0 and 1.
    """
    return (start + (1.0 - start) * ramp) * math.log(classes)


def certain_voxels(probabilities: Tensor, *, threshold: float) -> Tensor:
    """Return where the entropy of ``(batch, class, *spatial)`` is below ``threshold``, as ``(batch, *spatial)``."""
    return entropy(probabilities) < threshold
