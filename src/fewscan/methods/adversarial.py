"""Deep adversarial network, DAN (Zhang et al. 2017): unlabelled scans get masks that look like annotated ones.

(1)  L = a CE(p, y) + b Dice(p, y) + w r(t) CE(D(p_u, x_u), "annotated")
(2)  L_D = CE(D(p, x), "annotated" for labelled patches, "unannotated" for the others)

The network takes a step on eq. 1 with D fixed, then the discriminator D one on eq. 2 with the network fixed.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.losses.probabilities import at_least_float32
from fewscan.methods.base import Adversary, HyperParameters, Method
from fewscan.methods.discrimination import AdversarialParameters, adversary_of, fooling, telling_apart
from fewscan.methods.published import SSL4MIS
from fewscan.methods.supervised import supervised_loss
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.discriminator import Discriminator
from fewscan.networks.modes import predicting


class Adversarial(Method):
    """A network and a discriminator of its class probabilities."""

    name = "adversarial"
    title = "DAN: a discriminator cannot tell masks of unlabelled scans from those of labelled ones"
    paper = "Zhang et al. 2017 (MICCAI)"
    equations = "L = CE + Dice + w r(t) CE(D(p_u, x_u), annotated);  L_D = CE(D(p, x), annotated or not)"
    parts = "one network + discriminator"
    when = "To study discriminators: no gain shown on hippocampi or atria."
    tuned = "on validation slices (benchmarks/results/rivals_tuning.json): 0.005 and 0.05 did harm, 0.001 none"
    hyper_parameters: ClassVar[type[HyperParameters]] = AdversarialParameters
    presets = {
        "paper": SSL4MIS,
        "recommended": {"hyper": {"adversarial_weight": 0.001, "ramp_length": 0.5}},
    }
    uses_unlabelled = True
    terms_beyond_agreement = ("adversarial",)

    def networks(self, build: NetworkBuilder) -> None:
        """Build the network and the discriminator."""
        self.network = build()
        self.discriminator = Discriminator(
            dimensions=self.context.dimensions,
            maps=self.context.classes,
            channels=build.channels,
            width=self.hyper.discriminator_width,
        )

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both terms of eq. 1; the second is left out where there is no unlabelled patch."""
        logits = self.network(torch.cat([batch.images, batch.unlabelled]))
        labelled, unlabelled = logits.split([len(batch.images), len(batch.unlabelled)])
        terms = {"supervised": supervised_loss(labelled, batch.labels, self.hyper)}
        if len(batch.unlabelled):
            maps = torch.softmax(at_least_float32(unlabelled), dim=1)
            terms["adversarial"] = fooling(self.discriminator, maps, batch.unlabelled)
        return terms

    def weights(self, step: int) -> dict[str, float]:
        """Return w r(t)."""
        hyper = self.hyper
        grown = hyper.ramped(step, self.context)
        return {"adversarial": hyper.adversarial_weight * grown}

    def adversary(self) -> Adversary:
        """Return the discriminator."""
        return adversary_of(self.discriminator, self.hyper)

    def adversary_loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return eq. 2; nothing where there is no unlabelled patch."""
        if len(batch.unlabelled) == 0:
            return {}
        images = torch.cat([batch.images, batch.unlabelled])
        with predicting(self.network):
            maps = torch.softmax(at_least_float32(self.network(images)), dim=1)
        return {"discriminator": telling_apart(self.discriminator, maps, images, labelled=len(batch.images))}

    def predictor(self) -> nn.Module:
        """Return the network."""
        return self.network
