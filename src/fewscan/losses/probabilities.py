"""What the losses and methods share about class probabilities.

Probabilities and logits are ``(batch, class, *spatial)``, label maps ``(batch, *spatial)``. Everything is computed in
at least float32, also under autocast, and has a finite gradient where a probability is 0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return ``x`` in float32, or float64 if it is that, and contiguous.

    Reductions over the classes and over millions of voxels need the digits; and with few channels they are twice as
    fast on a contiguous tensor as on a channels-last one.
    """
    dtype = x.dtype if x.dtype == torch.float64 else torch.float32
    return x.to(dtype).contiguous()


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the logarithm of the softmax over the classes, in at least float32."""
    return F.log_softmax(at_least_float32(logits), dim=1)


def one_versus_rest(logits: Tensor) -> Tensor:
    """Return the logit of each class against all others together, ``ln p_c - ln(1 - p_c)``, in at least float32.

    Its sigmoid is the softmax probability of the class, without the digits that ``1 - p_c`` loses near 1.

    Parameters
    ----------
    logits : Tensor
        ``(batch, class, *spatial)``, at least two classes.
    """
    x = at_least_float32(logits)
    others = [torch.logsumexp(torch.cat([x[:, :c], x[:, c + 1 :]], dim=1), dim=1) for c in range(x.shape[1])]
    return x - torch.stack(others, dim=1)


def likeliest_class(scores: Tensor) -> Tensor:
    """Return the class of the largest logit or probability, ``(batch, *spatial)``.

    On the CPU torch's ``argmax`` over the class axis is slower than the indices of ``max``, of few classes many times.
    """
    index: Tensor = scores.max(dim=1).indices
    return index


def one_hot(labels: Tensor, classes: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return label maps ``(batch, *spatial)`` as ``(batch, class, *spatial)`` of zeros and ones.

    A label outside ``0 .. classes - 1`` belongs to no class: its voxel is zero in all of them.
    """
    # a comparison needs an eighth of the memory of torch's int64 one_hot, and no pass to look for the largest label
    index = torch.arange(classes, device=labels.device).view(1, classes, *[1] * (labels.ndim - 1))
    return (labels.unsqueeze(1) == index).to(dtype)


def as_soft_targets(targets: Tensor, like: Tensor) -> Tensor:
    """Return hard or soft targets as probabilities that match the predictions ``like``.

    Parameters
    ----------
    targets : Tensor
        Integer label maps ``(batch, *spatial)``, or floating-point probabilities ``(batch, class, *spatial)``.
    like : Tensor
        Predictions ``(batch, class, *spatial)`` in the precision to compute in.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    soft = targets.is_floating_point()
    expected = like.shape if soft else (like.shape[0], *like.shape[2:])
    if targets.shape != torch.Size(expected):
        kind = "soft targets" if soft else "label maps"
        msg = f"expected {kind} of shape {tuple(expected)}, got {tuple(targets.shape)}"
        raise ValueError(msg)
    return targets.to(like.dtype) if soft else one_hot(targets, like.shape[1], dtype=like.dtype)


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy of every voxel's class probabilities in nats, between 0 and ln(classes).

    Parameters
    ----------
    probabilities : Tensor
        ``(batch, class, *spatial)``.

    Returns
    -------
    Tensor
        ``(batch, *spatial)``.
    """
    p = at_least_float32(probabilities)
    return -(p * _safe_log(p)).sum(dim=1)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """Return ``p_c^(1/T) / sum_k p_k^(1/T)``: closer to one-hot the lower the temperature (Berthelot et al. 2019).

    The result sums to 1 over any number of classes. (MC-Net sharpens each channel against its own complement, which
    is the same for two classes and sums to something else for more.)

    Parameters
    ----------
    probabilities : Tensor
        ``(batch, class, *spatial)``.
    temperature : float
        T > 0; 1 changes nothing.
    """
    if temperature <= 0:
        msg = f"temperature must be positive, got {temperature}"
        raise ValueError(msg)
    if temperature == 1:
        return probabilities
    # powers of small probabilities underflow; their logarithms do not
    return torch.softmax(_safe_log(at_least_float32(probabilities)) / temperature, dim=1)


def _safe_log(p: Tensor) -> Tensor:
    return p.clamp_min(torch.finfo(p.dtype).tiny).log()
