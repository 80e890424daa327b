"""Supervised training on the labelled scans alone: the baseline of every comparison.

(1)  L = a CE(p, y) + b Dice(p, y)
"""

from collections.abc import Callable

from pydantic import Field
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.losses.segmentation import dice_cross_entropy
from fewscan.methods.base import HyperParameters, Method


class SupervisedParameters(HyperParameters):
    """Weights of eq. 1."""

    cross_entropy_weight: float = Field(1.0, description="a; paper 2 eq. 1 (public code of the field: 0.5)")
    dice_weight: float = Field(1.0, description="b; paper 2 eq. 1 (public code of the field: 0.5)")
    squared_dice: bool = Field(False, description="squares in its denominators; paper 1, eq. 1: yes")


class Supervised(Method):
    """One network, labelled patches only."""

    name = "supervised"
    title = "Supervised training on the labelled scans alone"
    paper = "Paper 2, section 3.1; Cicek et al. 2016"
    equations = "L = a CE(p, y) + b Dice(p, y)"
    parts = "one network"
    when = "Always: the baseline that any gain is measured against, and enough where labels are many."
    tuned = "the package's defaults"
    hyper_parameters = SupervisedParameters
    presets = {
        "paper": {
            "network": {"name": "unet", "options": {"filters": [16, 32, 64, 128, 256], "dropout": 0.3}},
            "optimiser": {"name": "sgd", "learning_rate": 0.01, "schedule": "poly", "clip_gradient_norm": None},
            "augmentation": "flips",
            "foreground_fraction": 0.0,
            "batch": {"labelled": 2},
            "iterations": 30000,
        },
        "recommended": {},
    }

    def networks(self, build: Callable[[], nn.Module]) -> None:
        """Build the one network."""
        self.network = build()

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return eq. 1 on the labelled patches."""
        return {"supervised": supervised_loss(self.network(batch.images), batch.labels, self.hyper)}

    def predictor(self) -> nn.Module:
        """Return the trained network."""
        return self.network


def supervised_loss(logits: Tensor, labels: Tensor, hyper: SupervisedParameters) -> Tensor:
    """Return eq. 1, the supervised term of every method that has one."""
    return dice_cross_entropy(
        logits,
        labels,
        cross_entropy_weight=hyper.cross_entropy_weight,
        dice_weight=hyper.dice_weight,
        squared=hyper.squared_dice,
    )
