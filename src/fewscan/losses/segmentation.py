"""Cross-entropy and Dice together, the loss of nearly all supervised segmentation.

Paper 2 adds the two as they are; much public code (SSL4MIS, nnU-Net's relatives) halves both, which with SGD only
halves the learning rate of the labelled part, but doubles the weight of every unlabelled term beside it.
"""

from torch import Tensor

from fewscan.losses.cross_entropy import cross_entropy_of_log
from fewscan.losses.dice import soft_dice
from fewscan.losses.probabilities import as_soft_targets, log_probabilities


def dice_and_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    squared: bool = False,
    include_background: bool = False,
    batch: bool = True,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """Return the Dice loss and the cross-entropy of the same logits, which share the softmax and the one-hot targets.

    Parameters
    ----------
    logits : Tensor
        ``(batch, class, *spatial)``, the first class being the background.
    targets : Tensor
        Integer label maps ``(batch, *spatial)`` or soft targets ``(batch, class, *spatial)``.
    squared, include_background, batch, eps
        Of the Dice loss, see `soft_dice`.

    Returns
    -------
    dice, cross_entropy : Tensor
        Scalars, in at least float32.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    log_p = log_probabilities(logits)
    t = as_soft_targets(targets, log_p)
    dice = soft_dice(log_p.exp(), t, squared=squared, include_background=include_background, batch=batch, eps=eps)
    return dice, cross_entropy_of_log(log_p, t)


def dice_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    squared: bool = False,
    include_background: bool = False,
    batch: bool = True,
    eps: float = 1e-5,
) -> Tensor:
    """Return ``dice_weight`` times the Dice loss plus ``cross_entropy_weight`` times the cross-entropy.

    The weights of paper 2 are 1 and 1, those of SSL4MIS 0.5 and 0.5 (with ``include_background``). The other
    parameters are those of `dice_and_cross_entropy`.
    """
    dice, entropy = dice_and_cross_entropy(
        logits, targets, squared=squared, include_background=include_background, batch=batch, eps=eps
    )
    return dice_weight * dice + cross_entropy_weight * entropy
