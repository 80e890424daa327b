"""Cross-entropy and Dice over a part of the voxels, such as the box that was cut in from another patch."""

from torch import Tensor

from fewscan.losses.cross_entropy import cross_entropy_of_log
from fewscan.losses.dice import soft_dice
from fewscan.losses.probabilities import as_soft_targets, log_probabilities


def region_loss(
    logits: Tensor,
    target: Tensor,
    region: Tensor,
    *,
    cross_entropy_weight: float,
    dice_weight: float,
    squared: bool,
    include_background: bool,
) -> Tensor:
    """Return a CE + b Dice over the voxels of a region alone (BCP, Bai et al. 2023).

    Parameters
    ----------
    logits : Tensor
        ``(batch, class, *spatial)``.
    target : Tensor
        Label maps ``(batch, *spatial)`` or probabilities of the logits' shape.
    region : Tensor
        ``(*spatial)``, bool, or ``(batch, 1, *spatial)`` where patches differ; may be empty.
    cross_entropy_weight, dice_weight : float
        a and b.
    squared, include_background : bool
        Of Dice, see `soft_dice`.
    """
    log_p = log_probabilities(logits)
    inside = as_soft_targets(target, log_p) * region
    dice = soft_dice(log_p.exp() * region, inside, squared=squared, include_background=include_background)
    # voxels outside add nothing to the sum, and must not count in its mean either
    cross_entropy = cross_entropy_of_log(log_p, inside) * (region.numel() / region.sum().clamp_min(1))
    return cross_entropy_weight * cross_entropy + dice_weight * dice
