"""Soft Dice loss (Milletari et al. 2016; Drozdzal et al. 2016) for any number of classes, 2-D and 3-D.

    L = mean over classes c of   1 - (2 sum_x p_c t_c + eps) / (sum_x p_c^k + sum_x t_c^k + eps)

with k = 1, or k = 2 as in paper 1 (eq. 1, after V-Net). For soft targets only k = 2 has its minimum 0 at p = t; k = 1
then prefers predictions that are harder than the target.
"""

import torch
from torch import Tensor

from fewscan.losses.probabilities import as_soft_targets, at_least_float32


def soft_dice(
    probabilities: Tensor,
    targets: Tensor,
    *,
    squared: bool = False,
    include_background: bool = False,
    batch: bool = True,
    eps: float = 1e-5,
) -> Tensor:
    """Return the soft Dice loss, between 0 (full overlap) and 1 (none).

    A class that neither the prediction nor the target has counts as full overlap, loss 0. One that only the prediction
    has costs 1, however little of it there is, but with a vanishing gradient: cross-entropy is what removes it.

    Parameters
    ----------
    probabilities : Tensor
        ``(batch, class, *spatial)``, the first class being the background.
    targets : Tensor
        Integer label maps ``(batch, *spatial)`` or soft targets ``(batch, class, *spatial)``.
    squared : bool
        Square the terms of the denominator.
    include_background : bool
        Average over all classes instead of the foreground classes.
    batch : bool
        Sum over the voxels of the whole batch before dividing, so that a patch without a class does not weigh as much
        as one full of it; otherwise divide per sample and average.
    eps : float
        In voxels; keeps the quotient finite (nnU-Net's and the left-atrium literature's value).

    Returns
    -------
    Tensor
        Scalar, in at least float32.

    Raises
    ------
    ValueError
        If the shapes do not match, or no class is left without the background.
    """
    p = at_least_float32(probabilities)
    t = as_soft_targets(targets, p)
    if not include_background:
        if p.shape[1] < 2:
            msg = "a single class has no foreground besides it; use include_background=True"
            raise ValueError(msg)
        p, t = p[:, 1:], t[:, 1:]
    axes = [axis for axis in range(p.ndim) if axis != 1 and (batch or axis != 0)]
    overlap = (p * t).sum(axes)
    sizes = (p.square() + t.square()).sum(axes) if squared else p.sum(axes) + t.sum(axes)
    return torch.mean(1 - (2 * overlap + eps) / (sizes + eps))
