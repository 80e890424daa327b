"""Cross-entropy over voxels, for hard and soft targets, any number of classes, 2-D and 3-D.

L = -mean over voxels x of sum over classes c of t_c(x) log p_c(x)
"""

from torch import Tensor

from fewscan.losses.probabilities import as_soft_targets, log_probabilities


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy in nats, averaged over the voxels of the batch.

    Parameters
    ----------
    logits : Tensor
        ``(batch, class, *spatial)``.
    targets : Tensor
        Integer label maps ``(batch, *spatial)`` or soft targets ``(batch, class, *spatial)``.

    Returns
    -------
    Tensor
        Scalar, in at least float32.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    log_p = log_probabilities(logits)
    return cross_entropy_of_log(log_p, as_soft_targets(targets, log_p))


def cross_entropy_of_log(log_p: Tensor, soft_targets: Tensor) -> Tensor:
    """Return the cross-entropy of log-probabilities and soft targets, both ``(batch, class, *spatial)``."""
    return -(log_p * soft_targets).sum() * (log_p.shape[1] / log_p.numel())
