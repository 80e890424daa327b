"""Mutual consistency, MC-Net (Wu et al. 2021; with three decoders MC-Net+, Wu et al. 2022): decoders learn each other.

(1)  L = sum over decoders i of [a CE(p_i, y) + b Dice(p_i, y)] + w r(t) sum over i != j of D(p_i, sh(p_j))
(2)  sh(p)_c = p_c^(1/T) / sum over classes k of p_k^(1/T)

The decoders share one encoder and differ only in how they up-sample: transposed convolution, linear or nearest
interpolation. D is the mean squared difference over voxels and classes, or a relative entropy, on labelled and
unlabelled patches. Published for two classes, of which each is sharpened against the other, as here; public code does
the same for more, whose sharpened values then do not sum to 1. It also lets the gradient into sh(p_j). Only the first
decoder predicts.
"""

from itertools import permutations
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.losses.consistency import Consistency, disagreement
from fewscan.losses.probabilities import at_least_float32, sharpen
from fewscan.methods.base import HyperParameters, Method
from fewscan.methods.published import LEFT_ATRIUM
from fewscan.methods.ramped import RampedParameters
from fewscan.methods.supervised import supervised_loss
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.heads import MultiDecoder, open_network


class MCNetParameters(RampedParameters):
    """Of eqs. 1 and 2; the defaults are the published values."""

    decoders: int = Field(2, ge=2, le=3, description="how many; Wu et al. 2021: 2, Wu et al. 2022 (MC-Net+): 3")
    temperature: float = Field(0.1, gt=0, description="T; Wu et al. 2021")
    consistency: Consistency = Field("squared", description="D; Wu et al. 2021")
    detach: bool = Field(False, description="no gradient into sh(p_j); public code lets it in")
    consistency_weight: float = Field(1.0, ge=0, description="w; public code")
    ramp_length: float = Field(0.4, gt=0, description="iterations, or share of the run if <= 1; public code: 6000")


class MCNet(Method):
    """One encoder, two or three decoders."""

    name = "mc_net"
    title = "MC-Net and MC-Net+: decoders that learn from each other's sharpened predictions"
    paper = "Wu et al. 2021 (MICCAI); Wu et al. 2022"
    equations = (
        "L = sum_i [CE + Dice](p_i) + w r(t) sum_{i != j} D(p_i, sh(p_j));  sh(p)_c = p_c^(1/T) / sum_k p_k^(1/T)"
    )
    parts = "one encoder with two or three decoders"
    when = "Where two networks do not fit but a second decoder does; 0.8 points above with 2 labels, 1.5 on atria."
    tuned = "losses, temperature and ramp as tuned for mean_teacher, not for this method"
    hyper_parameters: ClassVar[type[HyperParameters]] = MCNetParameters
    presets = {
        "paper": {
            **LEFT_ATRIUM,
            "optimiser": {**LEFT_ATRIUM["optimiser"], "schedule": "constant"},
            "iterations": 15000,
            "hyper": {"cross_entropy_weight": 0.0, "dice_weight": 0.5},
        },
        # as tuned for Mean Teacher; the supervised term halved, as there is one per decoder
        "recommended": {
            "hyper": {
                "cross_entropy_weight": 0.5,
                "dice_weight": 0.5,
                "consistency": "relative",
                "detach": True,
                "temperature": 0.5,
                "consistency_weight": 0.5,
                "ramp_length": 0.3,
            }
        },
    }
    uses_unlabelled = True

    def networks(self, build: NetworkBuilder) -> None:
        """Build the network and its further decoders."""
        self.decoders = MultiDecoder(open_network(build(), wanted_by=self.name), decoders=self.hyper.decoders)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both terms of eq. 1; the second is left out where there is no unlabelled patch."""
        labelled = len(batch.images)
        every = self.decoders(torch.cat([batch.images, batch.unlabelled]))
        each = [supervised_loss(logits[:labelled], batch.labels, self.hyper) for logits in every]
        terms = {"supervised": torch.stack(each).sum()}
        if len(batch.unlabelled):
            terms["mutual"] = self.mutual(every)
        return terms

    def mutual(self, every: list[Tensor]) -> Tensor:
        """Return the second sum of eq. 1 for the logits of every decoder."""
        sharp = [sharpen(torch.softmax(at_least_float32(logits), dim=1), self.hyper.temperature) for logits in every]
        targets = [target.detach() if self.hyper.detach else target for target in sharp]
        pairs = permutations(range(len(every)), 2)
        return torch.stack([disagreement(self.hyper.consistency, every[i], targets[j]) for i, j in pairs]).sum()

    def weights(self, step: int) -> dict[str, float]:
        """Return w r(t)."""
        hyper = self.hyper
        grown = hyper.ramped(step, self.context)
        return {"mutual": hyper.consistency_weight * grown}

    def predictor(self) -> nn.Module:
        """Return the encoder with the first decoder."""
        return self.decoders.network
