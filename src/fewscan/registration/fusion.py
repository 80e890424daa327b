r"""Fusing the labels of several warped atlases into one segmentation.

.. math:: p(x) = \frac{\sum_n w_n(x) v_n(x)}{\sum_n w_n(x)}

v_n(x) are the class probabilities of atlas n at voxel x, and w_n(x) is how much it counts there:

- `majority`: v_n is 1 for the most probable class and 0 for the others, w_n = 1 (Heckemann et al. 2006, NeuroImage);
- `average`: w_n = 1;
- `local_similarity`: w_n falls with the difference of the warped atlas and the target around x, so that each atlas
  counts where it was registered well (Artaechevarria et al. 2009, IEEE TMI; Sabuncu et al. 2010, IEEE TMI).

Everywhere w_n is 0 where atlas n has no data. Where no atlas has any, all count equally, and p stays a probability.

Arrays: labels ``(atlas, class, *spatial)``, images ``(atlas, channel, *spatial)``, ``seen`` ``(atlas, *spatial)`` with
truth values or shares from 0 to 1. Everything is computed in at least float32.
"""

import torch
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32, one_hot
from fewscan.losses.similarity import window_mean

# in squared intensities of z-scored scans: differences of a tenth of the noise are all the same
NEGLIGIBLE = 1e-3


def majority(warped: Tensor, *, seen: Tensor | None = None) -> Tensor:
    """Return the share of atlases that vote for each class.

    Parameters
    ----------
    warped : Tensor
        ``(atlas, class, *spatial)``; an atlas votes for its most probable class, the first of equals.
    seen : Tensor, optional
        ``(atlas, *spatial)``: where each atlas has data; everywhere unless told.

    Returns
    -------
    Tensor
        ``(class, *spatial)``, adds up to 1.
    """
    # several times faster than argmax on the CPU
    return weighted_mean(one_hot(warped.max(1).indices, warped.shape[1]), seen)


def average(warped: Tensor, *, seen: Tensor | None = None) -> Tensor:
    """Return the mean class probabilities; arguments as of `majority`."""
    return weighted_mean(warped, seen)


def local_similarity(
    warped: Tensor,
    images: Tensor,
    target: Tensor,
    *,
    window: int = 3,
    power: float = 2.0,
    seen: Tensor | None = None,
    inside: Tensor | None = None,
) -> Tensor:
    """Return the mean class probabilities, weighted by `similarity_weights`; arguments as there and of `majority`."""
    weights = similarity_weights(images, target, window=window, power=power, seen=seen, inside=inside)
    return weighted_mean(warped, weights)


def similarity_weights(
    images: Tensor,
    target: Tensor,
    *,
    window: int,
    power: float,
    seen: Tensor | None = None,
    inside: Tensor | None = None,
) -> Tensor:
    r"""Return how much each atlas counts at each voxel, relative to the one that fits best there.

    .. math:: w_n(x) = s_n(x) \left(\frac{\min_m d_m(x) + eps}{d_n(x) + eps}\right)^{power}

    d_n(x) is the mean squared difference of atlas and target over the window around x and over the channels, as far as
    both have data there; s_n is ``seen``. The minimum (over atlases with data) only keeps the powers in range; the
    weights are those of Artaechevarria et al. 2009 for the mean squared difference.

    Parameters
    ----------
    images : Tensor
        ``(atlas, channel, *spatial)``, warped, in the intensities of the target.
    target : Tensor
        ``(channel, *spatial)``.
    window : int
        Side in voxels, odd.
    power : float
        0 makes all atlases equal; the larger, the more the best one decides alone.
    seen : Tensor, optional
        ``(atlas, *spatial)``; everywhere unless told.
    inside : Tensor, optional
        ``(*spatial)``: 1 where the target has data, 0 in its padding; everywhere 1 unless told.

    Returns
    -------
    Tensor
        ``(atlas, *spatial)``, from 0 to 1.
    """
    images, target = at_least_float32(images), at_least_float32(target)
    difference = (images - target).square().mean(1, keepdim=True)
    box = window_mean(window, target.ndim - 1)
    share = torch.ones_like(difference[:, 0]) if seen is None else seen.to(difference.dtype)
    both = (share if inside is None else share * inside).unsqueeze(1)
    distance = (box(difference * both) / box(both).clamp_min(1e-6)).squeeze(1)
    known = distance.masked_fill(share <= 0, torch.inf)
    best = known.min(0).values + NEGLIGIBLE
    # where no atlas has data the minimum is infinite, and all weights are 0 by their share
    ratio = torch.where(best.isfinite(), best, 0) / (distance + NEGLIGIBLE)
    return share * ratio.clamp_max(1).pow(power)


def weighted_mean(votes: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of ``votes`` (atlas, class, *spatial) over the atlases.

    Parameters
    ----------
    votes : Tensor
        Class probabilities of each atlas.
    weights : Tensor or None
        ``(atlas, *spatial)``, not negative; where all are 0, and with None everywhere, all atlases count equally.

    Returns
    -------
    Tensor
        ``(class, *spatial)``.
    """
    votes = at_least_float32(votes)
    if weights is None:
        return votes.mean(0)
    weights = weights.to(votes.dtype)
    total = weights.sum(0)
    shares = torch.where(total > 0, weights / total.clamp_min(torch.finfo(votes.dtype).tiny), 1 / len(votes))
    return (votes * shares.unsqueeze(1)).sum(0)
