"""Shape-aware semi-supervised network, SASSNet (Li et al. 2020): unlabelled scans get plausible signed distance maps.

(1)  L = a CE(p, y) + b Dice(p, y) + d mean |z - z(y)|^2 + w r(t) CE(D(z_u, x_u), "annotated")
(2)  L_D = CE(D(z, x), "annotated" for labelled patches, "unannotated" for the others)

z are the network's distance maps, one per foreground class (published for one class), and z(y) those of the labels
(`fewscan.losses.distance_maps`); p are its class probabilities. The network takes a step on eq. 1 with the
discriminator D fixed, then D one on eq. 2 with the network fixed.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.losses.distance_maps import DistanceMaps, distance_loss
from fewscan.methods.base import Adversary, HyperParameters, Method
from fewscan.methods.discrimination import AdversarialParameters, adversary_of, fooling, telling_apart
from fewscan.methods.published import LEFT_ATRIUM
from fewscan.methods.supervised import supervised_loss
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.discriminator import Discriminator
from fewscan.networks.heads import MultiHead, open_network
from fewscan.networks.modes import predicting


class SASSNetParameters(AdversarialParameters):
    """Of eq. 1; the defaults are the published values."""

    distance_weight: float = Field(0.3, ge=0, description="d; public code")
    distance_maps: DistanceMaps = Field("published", description="kind of z(y); public code")
    adversarial_weight: float = Field(
        0.01, ge=0, description="w; public code: 0.01 with 16 labelled scans, 0.015 with 8"
    )


class SASSNet(Method):
    """One network with a head for classes and one for distances, and a discriminator of the distances."""

    name = "sassnet"
    title = "SASSNet: signed distance maps that a discriminator takes for those of labelled scans"
    paper = "Li et al. 2020 (MICCAI)"
    equations = (
        "L = CE + Dice + d |z - z(y)|^2 + w r(t) CE(D(z_u, x_u), annotated);  L_D = CE(D(z, x), annotated or not)"
    )
    parts = "one network with two heads (classes, signed distances) + discriminator"
    when = "Structures of a typical shape, a discriminator to learn it; no gain shown on hippocampi or atria."
    tuned = "weight and rate of D on validation slices (rivals_tuning.json), before its maps and its start changed"
    hyper_parameters: ClassVar[type[HyperParameters]] = SASSNetParameters
    presets = {
        "paper": {**LEFT_ATRIUM, "hyper": {"cross_entropy_weight": 0.0, "squared_dice": True}},
        "recommended": {"hyper": {"distance_maps": "even", "adversarial_weight": 0.002, "ramp_length": 0.3}},
    }
    uses_unlabelled = True
    terms_beyond_agreement = ("adversarial",)

    def networks(self, build: NetworkBuilder) -> None:
        """Build the network, its second head and the discriminator."""
        self.heads = MultiHead(open_network(build(), wanted_by=self.name))
        self.discriminator = Discriminator(
            dimensions=self.context.dimensions,
            maps=self.context.classes - 1,
            channels=build.channels,
            width=self.hyper.discriminator_width,
        )

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the terms of eq. 1; the last is left out where there is no unlabelled patch."""
        labelled = len(batch.images)
        logits, distances = self.heads(torch.cat([batch.images, batch.unlabelled]))
        terms = {
            "supervised": supervised_loss(logits[:labelled], batch.labels, self.hyper),
            "supervised_distance": distance_loss(distances[:labelled], batch.labels, kind=self.hyper.distance_maps),
        }
        if len(batch.unlabelled):
            terms["adversarial"] = fooling(self.discriminator, distances[labelled:], batch.unlabelled)
        return terms

    def weights(self, step: int) -> dict[str, float]:
        """Return d and w r(t)."""
        hyper = self.hyper
        grown = hyper.ramped(step, self.context)
        return {"supervised_distance": hyper.distance_weight, "adversarial": hyper.adversarial_weight * grown}

    def adversary(self) -> Adversary:
        """Return the discriminator."""
        return adversary_of(self.discriminator, self.hyper)

    def adversary_loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return eq. 2; nothing where there is no unlabelled patch."""
        if len(batch.unlabelled) == 0:
            return {}
        images = torch.cat([batch.images, batch.unlabelled])
        with predicting(self.heads):
            _, distances = self.heads(images)
        return {"discriminator": telling_apart(self.discriminator, distances, images, labelled=len(batch.images))}

    def predictor(self) -> nn.Module:
        """Return the network with its own head."""
        return self.heads.network
