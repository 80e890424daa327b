"""Dual-task consistency, DTC (Luo et al. 2021): a mask and a signed distance map of the same structure must agree.

(1)  L = a CE(p, y) + b Dice(p, y) + d mean |z - z(y)|^2 + w r(t) mean over k of D(T^-1(z_k), p_k)
(2)  T^-1(z) = 1 / (1 + exp(s z))

z_k is the network's distance map of foreground class k, z(y) that of the labels (`fewscan.losses.distance_maps`), p_k
the softmax probability of class k; D is a squared difference or a relative entropy of "class k or not". The last term
is over labelled and unlabelled patches and trains both heads. Published for one foreground class, for which p_1 is the
sigmoid of public code; with several, each has a map of its own. At s = 1500 only voxels within 0.003 of the boundary,
a fraction of a voxel, give the distance head a gradient.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.losses.consistency import Consistency
from fewscan.losses.distance_maps import DistanceMaps, distance_loss
from fewscan.losses.dual_task import dual_task
from fewscan.methods.base import HyperParameters, Method
from fewscan.methods.published import LEFT_ATRIUM
from fewscan.methods.ramped import RampedParameters
from fewscan.methods.supervised import supervised_loss
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.heads import MultiHead, open_network


class DTCParameters(RampedParameters):
    """Of eqs. 1 and 2; the defaults are the published values."""

    distance_weight: float = Field(0.3, ge=0, description="d; public code")
    distance_maps: DistanceMaps = Field("published", description="kind of z(y); public code")
    slope: float = Field(1500.0, gt=0, description="s; Luo et al. 2021")
    consistency: Consistency = Field("squared", description="D; Luo et al. 2021")
    consistency_weight: float = Field(1.0, ge=0, description="w; public code")


class DTC(Method):
    """One network with a head for classes and one for distances."""

    name = "dtc"
    title = "DTC: masks and signed distance maps that agree"
    paper = "Luo et al. 2021 (AAAI)"
    equations = "L = CE + Dice + d |z - z(y)|^2 + w r(t) D(T^-1(z), p);  T^-1(z) = 1 / (1 + exp(s z))"
    parts = "one network with two heads: classes and signed distances"
    when = "Compact structures of smooth outline, at one network's cost; no gain shown on hippocampi or atria."
    tuned = "a slope that reaches a voxel and a ramp as tuned for mean_teacher; maps by reasoning"
    hyper_parameters: ClassVar[type[HyperParameters]] = DTCParameters
    presets = {
        "paper": {**LEFT_ATRIUM, "hyper": {"cross_entropy_weight": 0.0, "squared_dice": True}},
        # maps that are 0 at even odds, and a slope that reaches a voxel to either side, where they begin at 0.03
        "recommended": {"hyper": {"distance_maps": "even", "slope": 200.0, "ramp_length": 0.3}},
    }
    uses_unlabelled = True

    def networks(self, build: NetworkBuilder) -> None:
        """Build the network and its second head."""
        self.heads = MultiHead(open_network(build(), wanted_by=self.name))

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the terms of eq. 1; the last is left out where there is no unlabelled patch."""
        labelled = len(batch.images)
        logits, distances = self.heads(torch.cat([batch.images, batch.unlabelled]))
        terms = {
            "supervised": supervised_loss(logits[:labelled], batch.labels, self.hyper),
            "supervised_distance": distance_loss(distances[:labelled], batch.labels, kind=self.hyper.distance_maps),
        }
        if len(batch.unlabelled):
            terms["dual_task"] = dual_task(self.hyper.consistency, logits, distances, slope=self.hyper.slope)
        return terms

    def weights(self, step: int) -> dict[str, float]:
        """Return d and w r(t)."""
        hyper = self.hyper
        grown = hyper.ramped(step, self.context)
        return {"supervised_distance": hyper.distance_weight, "dual_task": hyper.consistency_weight * grown}

    def predictor(self) -> nn.Module:
        """Return the network with its own head."""
        return self.heads.network
