"""Whether two outputs tell of the same structure: class probabilities, and signed distance maps (Luo et al. 2021, DTC).

    (1)  T^-1(z) = 1 / (1 + exp(s z))
    (2)  L = mean over foreground classes k of D(T^-1(z_k), p_k)

z_k is negative inside the structure (`fewscan.losses.distance_maps`), so that T^-1 is its mask, the harder the larger
the slope s. D compares "class k or not" with "class k or not".
"""

import torch
from torch import Tensor

from fewscan.losses.consistency import Consistency, disagreement
from fewscan.losses.probabilities import at_least_float32, one_versus_rest


def dual_task(consistency: Consistency, logits: Tensor, distances: Tensor, *, slope: float) -> Tensor:
    """Return L, averaged over voxels and foreground classes.

    Parameters
    ----------
    consistency : "squared" or "relative"
    logits : Tensor
        ``(batch, classes, *spatial)``.
    distances : Tensor
        ``(batch, classes - 1, *spatial)``.
    slope : float
        s.
    """
    binary = one_versus_rest(logits)[:, 1:].flatten(0, 1)
    inside = torch.sigmoid(-slope * at_least_float32(distances)).flatten(0, 1)  # eq. 1
    pairs = torch.stack([torch.zeros_like(binary), binary], dim=1)
    return disagreement(consistency, pairs, torch.stack([1 - inside, inside], dim=1))
