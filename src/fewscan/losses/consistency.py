"""Consistency: how far two predictions are apart, voxel by voxel.

    squared   L = sum_x m(x) sum_c (p_c(x) - q_c(x))^2 / (C sum_x m(x))
    relative  L = sum_x m(x) sum_c q_c(x) ln (q_c(x) / p_c(x)) / sum_x m(x)

over voxels x and the C classes c, with m = 1 unless a mask selects voxels. Public code divides by a literal 2 for any
C. The second is the Kullback-Leibler divergence: for p it has the gradient of a cross-entropy with soft targets q,
which does not vanish where p is sure and wrong, and it is 0 where both agree.
"""

from typing import Literal

import torch
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32, entropy, log_probabilities

Consistency = Literal["squared", "relative"]


def disagreement(kind: Consistency, logits: Tensor, q: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Return the distance by its name, see `squared_difference` and `relative_entropy`."""
    if kind == "relative":
        return relative_entropy(logits, q, mask=mask)
    return squared_difference(torch.softmax(at_least_float32(logits), dim=1), q, mask=mask)


def squared_difference(p: Tensor, q: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Return the squared difference of two predictions, averaged over classes and selected voxels.

    Parameters
    ----------
    p, q : Tensor
        Probabilities ``(batch, class, *spatial)``.
    mask : Tensor, optional
        ``(batch, *spatial)``: which voxels count, as truth values or weights from 0 to 1.

    Returns
    -------
    Tensor
        Scalar between 0 and 2 / C, in at least float32; 0 if the mask selects nothing.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    _check_shapes(p, q)
    return _masked_mean((at_least_float32(p) - at_least_float32(q)).square().mean(dim=1), mask)


def relative_entropy(logits: Tensor, q: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Return the Kullback-Leibler divergence of predictions from targets, averaged over the selected voxels.

    Parameters
    ----------
    logits : Tensor
        Of the prediction p, ``(batch, class, *spatial)``.
    q : Tensor
        Target probabilities of the same shape.
    mask : Tensor, optional
        ``(batch, *spatial)``: which voxels count, as truth values or weights from 0 to 1.

    Returns
    -------
    Tensor
        Scalar in nats, at least 0, in at least float32; 0 if the mask selects nothing.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    _check_shapes(logits, q)
    return _masked_mean(-(log_probabilities(logits) * q).sum(dim=1) - entropy(q), mask)


def _check_shapes(p: Tensor, q: Tensor) -> None:
    if p.shape != q.shape:
        msg = f"expected two predictions of one shape, got {tuple(p.shape)} and {tuple(q.shape)}"
        raise ValueError(msg)


def _masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean of values (batch, *spatial) over the voxels a mask of the same shape selects."""
    if mask is None:
        return values.mean()
    if mask.shape != values.shape:
        msg = f"expected a mask of shape {tuple(values.shape)}, got {tuple(mask.shape)}"
        raise ValueError(msg)
    weight = mask.to(values.dtype)
    # where nothing is selected the numerator is 0 too; a smaller divisor would overflow in the gradient
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)
