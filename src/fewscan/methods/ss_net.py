"""Smoothness and separation, SS-Net (Wu et al. 2022): predictions that stand small changes, classes that keep apart.

(1)  L = a CE(p, y) + b Dice(p, y) + w r(t) [L_s + v (L_c on labelled patches + L_c on unlabelled ones)]
(2)  L_s = D(p(x + r), p(x)),  r the virtual adversarial perturbation (`fewscan.methods.virtual_adversarial`)
(3)  L_c = mean over classes c, voxels i and prototypes j of c of  a_i b_j (1 - cos(q_i, m_j))

q is a prediction of a projection of a voxel's last features, m the projection of correctly predicted labelled voxels of
this step, a and b are learned weights (`fewscan.methods.class_separation`). L_s is on all patches, without a gradient
into p(x), and leaves the statistics of batch normalisation alone. D is 1 - 2 sum p q / (sum p + sum q) over voxels and
classes together, which also asks for sure predictions, or a relative entropy.

Public code takes all voxels, here a random few of each class; its prototypes are none of the background, chosen by the
lowest a and projected with running statistics; its scorers are normalised; a sum over the wrong axis cancels b.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.losses.consistency import relative_entropy
from fewscan.losses.dice import soft_dice
from fewscan.losses.probabilities import at_least_float32, likeliest_class
from fewscan.methods.base import HyperParameters, Method
from fewscan.methods.class_separation import ClassSeparation, SeparationParameters
from fewscan.methods.published import LONGER
from fewscan.methods.ramped import RampedParameters
from fewscan.methods.supervised import supervised_loss
from fewscan.methods.virtual_adversarial import adversarial_direction
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.heads import open_network
from fewscan.networks.modes import untouched_statistics


class SSNetParameters(RampedParameters, SeparationParameters):
    """Of eqs. 1 to 3; the defaults are the published values."""

    consistency_weight: float = Field(1.0, ge=0, description="w; public code")
    contrast_weight: float = Field(0.1, ge=0, description="v; public code")
    ramp_length: float = Field(0.4, gt=0, description="iterations, or share of the run if <= 1; public code: 6000")
    distance: Literal["dice", "relative"] = Field("dice", description="D of eq. 2; public code")
    virtual_step: float = Field(0.01, gt=0, description="xi per voxel; public code: norm 10 on 112 x 112 x 80 voxels")
    virtual_radius: float = Field(0.01, gt=0, description="of r per voxel; public code: the same")


class SSNet(Method):
    """One network, and what projects and weighs its features."""

    name = "ss_net"
    title = "SS-Net: virtual adversarial smoothness and prototypes that keep classes apart"
    paper = "Wu et al. 2022 (MICCAI)"
    equations = (
        "L = CE + Dice + w r(t) [D(p(x + r), p(x)) + v sum(L_c)];  "
        "L_c = mean of a_i b_j (1 - cos(q_i, m_j)) over voxels i and prototypes j of a class"
    )
    parts = "one network + projections and scorers of its features"
    when = "Classes that look alike, with time for further passes; level on hippocampi, 1.1 points above on atria."
    tuned = "weight on validation slices (benchmarks/results/rivals_tuning.json); the change of images by reasoning"
    hyper_parameters: ClassVar[type[HyperParameters]] = SSNetParameters
    presets = {
        "paper": {**LONGER, "iterations": 15000, "hyper": {"cross_entropy_weight": 0.0}},
        # at a radius of 0.01 the relative entropy is a twentieth of the supervised loss, and bfloat16 does not resolve
        # what a step of 0.01 changes; a weight of 1 then blunts the network; the rest as for Mean Teacher
        "recommended": {
            "hyper": {
                "distance": "relative",
                "consistency_weight": 0.1,
                "virtual_step": 0.1,
                "virtual_radius": 0.1,
                "highest_scored": True,
                "ramp_length": 0.3,
            },
        },
    }
    uses_unlabelled = True
    terms_beyond_agreement = ("contrast",)

    def networks(self, build: NetworkBuilder) -> None:
        """Build the network, and what separates the classes of its features."""
        self.network = open_network(build(), wanted_by=self.name)
        width = self.network.decoder.widths[0]
        self.separation = ClassSeparation(self.hyper, width=width, classes=self.context.classes)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the terms of eq. 1; only the first where there is no unlabelled patch."""
        images, labelled = torch.cat([batch.images, batch.unlabelled]), len(batch.images)
        features = self.network.features(images)
        logits: Tensor = self.network.head(features)
        terms = {"supervised": supervised_loss(logits[:labelled], batch.labels, self.hyper)}
        if len(batch.unlabelled):
            terms["smoothness"] = self.smoothness(images, logits)
            terms["contrast"] = self.separation(features, likeliest_class(logits), batch.labels)  # eq. 3
        return terms

    def smoothness(self, images: Tensor, logits: Tensor) -> Tensor:
        """Return eq. 2 for images and their logits."""
        p = torch.softmax(at_least_float32(logits.detach()), dim=1)

        def distance(x: Tensor) -> Tensor:
            moved = self.network(x)
            if self.hyper.distance == "relative":
                return relative_entropy(moved, p)
            # as one class, for one quotient
            q = torch.softmax(at_least_float32(moved), dim=1).unsqueeze(1)
            return soft_dice(q, p.unsqueeze(1), squared=False, include_background=True)

        with untouched_statistics(self.network):
            r = adversarial_direction(images, distance, step=self.hyper.virtual_step, radius=self.hyper.virtual_radius)
            return distance(images + r)

    def weights(self, step: int) -> dict[str, float]:
        """Return w r(t) and w r(t) v."""
        smoothness = self.hyper.consistency_weight * self.hyper.ramped(step, self.context)
        return {"smoothness": smoothness, "contrast": smoothness * self.hyper.contrast_weight}

    def predictor(self) -> nn.Module:
        """Return the network."""
        return self.network
