"""Pseudo-labels: what one network predicts, made into a target for another.

    hard       q_c = 1 for the likeliest class, 0 for the others
    soft       q_c = p_c
    sharpened  q_c = p_c^(1/tau) / sum_k p_k^(1/tau)

No gradient passes through them. Their loss is a sum of a relative entropy, which for hard ones is the cross-entropy,
and a Dice loss; both are 0 where prediction and pseudo-label agree.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from fewscan.data.components import keep_largest_components
from fewscan.losses.consistency import relative_entropy
from fewscan.losses.dice import soft_dice
from fewscan.losses.probabilities import at_least_float32, likeliest_class, one_hot, sharpen
from fewscan.methods.ramped import RampedParameters

PseudoLabelKind = Literal["hard", "soft", "sharpened"]

# of presets `recommended`: what was best for Mean Teacher (benchmarks/results/mean_teacher_tuning.json)
SHARPENED = {"pseudo_labels": "sharpened", "temperature": 0.5, "pseudo_dice_weight": 0.0}


class PseudoLabelParameters(RampedParameters):
    """What methods that learn from pseudo-labels have in common."""

    pseudo_labels: PseudoLabelKind = Field("hard", description="see fewscan.methods.pseudo_labels; as published")
    temperature: float = Field(0.1, gt=0, description="tau of sharpened ones; MC-Net, Wu et al. 2021")
    largest_component: bool = Field(False, description="drop all but each class's largest component; BCP, Bai et al.")
    pseudo_cross_entropy_weight: float = Field(1.0, ge=0, description="of the relative entropy; ours")
    pseudo_dice_weight: float = Field(0.0, ge=0, description="of the Dice loss; ours")
    unlabelled_weight: float = Field(0.1, ge=0, description="of the unlabelled terms; public code of the field")

    @property
    def squared_pseudo_dice(self) -> bool:
        """Whether Dice of pseudo-labels has squared denominators: as that of labels, and always where it needs them.

        Without squares Dice is not least where prediction and pseudo-label agree unless that is hard, see `soft_dice`.
        """
        return self.squared_dice or self.pseudo_labels != "hard"


def class_probabilities(logits: Tensor) -> Tensor:
    """Return the softmax over the classes, in at least float32 and without a graph."""
    return torch.softmax(at_least_float32(logits.detach()), dim=1)


def pseudo_labels(probabilities: Tensor, hyper: PseudoLabelParameters) -> Tensor:
    """Return pseudo-labels as probabilities of the same shape, without a graph.

    Parameters
    ----------
    probabilities : Tensor
        ``(batch, class, *spatial)``.
    hyper : PseudoLabelParameters
        Kind, temperature, and whether only each class's largest component is kept per patch, the rest becoming
        background. Components are found on the CPU.
    """
    p = at_least_float32(probabilities.detach())
    kind = hyper.pseudo_labels
    soft = sharpen(p, hyper.temperature) if kind == "sharpened" else p
    if kind != "hard" and not hyper.largest_component:
        return soft
    likeliest = likeliest_class(p)
    kept = _largest_components(likeliest) if hyper.largest_component else likeliest
    hard = one_hot(kept, p.shape[1], dtype=p.dtype)
    return hard if kind == "hard" else torch.where((kept == likeliest).unsqueeze(1), soft, hard)


def _largest_components(labels: Tensor) -> Tensor:
    kept = [torch.from_numpy(keep_largest_components(patch)) for patch in labels.cpu().numpy()]
    return torch.stack(kept).to(labels.device)


def pseudo_loss(logits: Tensor, target: Tensor, hyper: PseudoLabelParameters) -> Tensor:
    """Return the loss of a prediction against pseudo-labels, see the top of this file.

    Parameters
    ----------
    logits, target : Tensor
        ``(batch, class, *spatial)``.
    hyper : PseudoLabelParameters
        The two weights, and `squared_pseudo_dice`.
    """
    parts = []
    if hyper.pseudo_cross_entropy_weight:
        parts.append(hyper.pseudo_cross_entropy_weight * relative_entropy(logits, target))
    if hyper.pseudo_dice_weight:
        p = torch.softmax(at_least_float32(logits), dim=1)
        parts.append(hyper.pseudo_dice_weight * soft_dice(p, target, squared=hyper.squared_pseudo_dice))
    return torch.stack(parts).sum() if parts else at_least_float32(logits).sum() * 0.0


def cross_supervision(first: Tensor, second: Tensor, hyper: PseudoLabelParameters) -> Tensor:
    """Return the sum of both networks' losses against each other's pseudo-labels.

    Parameters
    ----------
    first, second : Tensor
        Logits ``(batch, class, *spatial)`` of the two networks for the same patches.
    hyper : PseudoLabelParameters
    """
    targets = [pseudo_labels(class_probabilities(logits), hyper) for logits in (second, first)]
    return pseudo_loss(first, targets[0], hyper) + pseudo_loss(second, targets[1], hyper)
