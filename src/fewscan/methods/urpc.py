"""Uncertainty-rectified pyramid consistency, URPC (Luo et al. 2021): the scales of one decoder agree with their mean.

(1)  L = sum over scales s of k^s [a CE(p_s, y) + b Dice(p_s, y)] / sum of k^s + w r(t) L_u;  s = 0 is the finest
(2)  q = 1/S sum over s of p_s
(3)  D_s(x) = sum over classes c of q_c ln(q_c / p_s,c),  v_s = exp(-D_s)
(4)  L_u = 1/S sum over s of [ mean(v_s |q - p_s|^2 / C) / mean(v_s) + mean(D_s) ]  on unlabelled patches

p_s come from the levels of the decoder, interpolated to the patch, with dropout on their features, which finer levels
get as well. As published, k = 1. The paper writes D_s the other way round; this is its code's, and q has a gradient in
it, as there. C is the number of classes. Only the finest scale predicts. (Public code perturbs features in 2-D by other
means than dropout; here both are as in 3-D.)
"""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.errors import UsageError
from fewscan.losses.probabilities import log_probabilities
from fewscan.methods.base import HyperParameters, Method
from fewscan.methods.published import SSL4MIS
from fewscan.methods.ramped import RampedParameters
from fewscan.methods.supervised import supervised_loss
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.heads import MultiScale, open_network

Share = Annotated[float, Field(ge=0, lt=1)]


class URPCParameters(RampedParameters):
    """Of eq. 1; the defaults are the published values."""

    consistency_weight: float = Field(0.1, ge=0, description="w; public code")
    coarser_scale: float = Field(1.0, gt=0, le=1, description="k: weight of a scale beside the next finer; paper: 1")
    scale_dropout: tuple[Share, ...] = Field((0.1, 0.2, 0.3, 0.5), description="finest scale first; public code")


class URPC(Method):
    """One network whose decoder predicts at several scales."""

    name = "urpc"
    title = "URPC: scales of one decoder that agree, the more so where they are certain"
    paper = "Luo et al. 2021 (MICCAI); Luo et al. 2022"
    equations = (
        "L = sum_s k^s [CE + Dice](p_s) / sum_s k^s + w r(t) L_u;  "
        "L_u = 1/S sum_s [mean(v_s |q - p_s|^2 / C) / mean(v_s) + mean(D_s)];  "
        "q = mean p_s;  D_s = KL(q | p_s);  v_s = exp(-D_s)"
    )
    parts = "one network that predicts at several scales of its decoder"
    when = "One network of three levels or more; 0.6 points above with 2 labels, 1.8 on atria."
    tuned = "k and dropout on validation slices (rivals_tuning.json); at k = 1, w = 0 and 1 did alike"
    hyper_parameters: ClassVar[type[HyperParameters]] = URPCParameters
    presets = {
        # no dropout but that of the scales
        "paper": {
            **SSL4MIS,
            "network": {"name": "unet", "options": {**SSL4MIS["network"]["options"], "dropout": 0.0}},
        },
        # coarser scales take little of the loss from the one that predicts; no dropout
        "recommended": {
            "hyper": {
                "consistency_weight": 1.0,
                "coarser_scale": 0.25,
                "scale_dropout": (0.0, 0.0, 0.0, 0.0),
                "ramp_length": 0.3,
            }
        },
    }
    uses_unlabelled = True

    def networks(self, build: NetworkBuilder) -> None:
        """Build the network and the heads of its coarser scales."""
        self.scales = MultiScale(open_network(build(), wanted_by=self.name), dropout=self.hyper.scale_dropout)
        if len(self.scales.heads) == 0:
            raise UsageError(
                "method urpc compares scales, and this decoder has one",
                mend="Use a network of three levels or more, or larger patches; give hyper.scale_dropout two entries.",
            )

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both terms of eq. 1; the second is left out where there is no unlabelled patch."""
        labelled = len(batch.images)
        scales = self.scales(torch.cat([batch.images, batch.unlabelled]))
        each = [supervised_loss(logits[:labelled], batch.labels, self.hyper) for logits in scales]
        shares = [self.hyper.coarser_scale**s for s in range(len(each))]
        weighed = [share * term for share, term in zip(shares, each, strict=True)]
        terms = {"supervised": torch.stack(weighed).sum() / sum(shares)}
        if len(batch.unlabelled):
            terms["pyramid"] = rectified_consistency([logits[labelled:] for logits in scales])
        return terms

    def weights(self, step: int) -> dict[str, float]:
        """Return w r(t)."""
        hyper = self.hyper
        grown = hyper.ramped(step, self.context)
        return {"pyramid": hyper.consistency_weight * grown}

    def predictor(self) -> nn.Module:
        """Return the network with its finest scale."""
        return self.scales.network


def rectified_consistency(scales: Sequence[Tensor]) -> Tensor:
    """Return L_u of eq. 4 for the logits ``(batch, classes, *spatial)`` of every scale."""
    log_p = torch.stack([log_probabilities(logits) for logits in scales])
    log_q = torch.logsumexp(log_p, dim=0) - math.log(len(scales))  # eq. 2, without the logarithm of a zero
    q = log_q.exp()
    divergence = (q * (log_q - log_p)).sum(dim=2)  # eq. 3, (scale, batch, *spatial)
    certainty = torch.exp(-divergence)
    squared = (q - log_p.exp()).square().mean(dim=2)
    voxels = tuple(range(1, divergence.ndim))
    rectified = (certainty * squared).mean(voxels) / (certainty.mean(voxels) + 1e-8)
    return (rectified + divergence.mean(voxels)).mean()
