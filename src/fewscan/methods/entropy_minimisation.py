"""Entropy minimisation (Grandvalet & Bengio 2004; Vu et al. 2019): predictions are to be sure of themselves.

(1)  L = a CE(p, y) + b Dice(p, y) + w r(t) mean over voxels of H(p) / ln C
(2)  H(p) = -sum over classes c of p_c ln p_c

The second term is over labelled and unlabelled patches; C is the number of classes, for which public code writes 2.
"""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.losses.probabilities import at_least_float32, entropy
from fewscan.methods.base import HyperParameters, Method
from fewscan.methods.published import SSL4MIS
from fewscan.methods.ramped import RampedParameters
from fewscan.methods.supervised import supervised_loss
from fewscan.networks.builder import NetworkBuilder


class EntropyMinimisationParameters(RampedParameters):
    """Of eq. 1; the defaults are the published values."""

    entropy_weight: float = Field(0.1, ge=0, description="w; public code")


class EntropyMinimisation(Method):
    """One network."""

    name = "entropy_minimisation"
    title = "Entropy minimisation: sure predictions on all scans"
    paper = "Grandvalet & Bengio 2004; Vu et al. 2019 (CVPR)"
    equations = "L = a CE(p, y) + b Dice(p, y) + w r(t) mean(-sum_c p_c ln p_c) / ln C"
    parts = "one network"
    when = "The cheapest term; makes wrong predictions sure too; 2.2 points above on atria, level on hippocampi."
    tuned = "ramp as tuned for mean_teacher; two runs on validation slices (benchmarks/results/rivals_tuning.json)"
    hyper_parameters: ClassVar[type[HyperParameters]] = EntropyMinimisationParameters
    presets = {
        "paper": SSL4MIS,
        # beside a supervised loss of twice the published weight; grown while the learning rate is high
        "recommended": {"hyper": {"entropy_weight": 0.2, "ramp_length": 0.3}},
    }
    uses_unlabelled = True

    def networks(self, build: NetworkBuilder) -> None:
        """Build the one network."""
        self.network = build()

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both terms of eq. 1; the second is left out where there is no unlabelled patch."""
        if len(batch.unlabelled) == 0:
            return {"supervised": supervised_loss(self.network(batch.images), batch.labels, self.hyper)}
        logits = self.network(torch.cat([batch.images, batch.unlabelled]))
        p = torch.softmax(at_least_float32(logits), dim=1)
        return {
            "supervised": supervised_loss(logits[: len(batch.images)], batch.labels, self.hyper),
            "entropy": entropy(p).mean() / math.log(self.context.classes),  # eq. 2
        }

    def weights(self, step: int) -> dict[str, float]:
        """Return w r(t)."""
        hyper = self.hyper
        grown = hyper.ramped(step, self.context)
        return {"entropy": hyper.entropy_weight * grown}

    def predictor(self) -> nn.Module:
        """Return the trained network."""
        return self.network
