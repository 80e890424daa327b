"""Cross pseudo supervision, CPS (Chen et al. 2021): two networks learn from each other's predictions.

(1)  L = sum over networks k of [a CE(p_k, y) + b Dice(p_k, y)] + w r(t) [l(p_1, Y_2) + l(p_2, Y_1)]
(2)  Y_k = argmax p_k,  without a gradient;  l = CE

Both networks have the run's architecture and differ in their first weights. The second term is over unlabelled patches
(public code of the medical field), or over all (Chen et al.: with w = 1.5 and no ramp). The first network predicts, or
both together.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.methods.base import HyperParameters, Method
from fewscan.methods.pseudo_labels import SHARPENED, PseudoLabelParameters, cross_supervision
from fewscan.methods.published import SSL4MIS
from fewscan.methods.supervised import supervised_loss
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.ensemble import Ensemble, ensemble_spec
from fewscan.networks.registry import NetworkSpec

EQUAL = (1.0, 1.0)


class CrossPseudoParameters(PseudoLabelParameters):
    """Of eq. 1; the defaults are those of public code."""

    on_labelled: bool = Field(False, description="second term over labelled patches too; Chen et al. 2021: yes")
    predict_with: Literal["first", "both"] = Field("first", description="networks that are kept; public code: first")


class CrossPseudoSupervision(Method):
    """Two networks that are both trained."""

    name = "cross_pseudo_supervision"
    title = "CPS: two networks that learn from each other's predictions"
    paper = "Chen et al. 2021 (CVPR)"
    equations = "L = sum_k [CE + Dice](p_k, y) + w r(t) [CE(p_1, argmax p_2) + CE(p_2, argmax p_1)]"
    parts = "two networks, both trained"
    when = "When two networks fit: 1.0 above with 4 labels (two supervised: 0.8), 1.5 with 2 (1.1), 2.9 on atria (2.0)."
    tuned = "targets as tuned for mean_teacher; heavier and sooner than published, by reasoning"
    hyper_parameters: ClassVar[type[HyperParameters]] = CrossPseudoParameters
    presets = {
        "paper": SSL4MIS,
        # heavier than published, as the ramp is over when the learning rate still moves something
        "recommended": {
            "hyper": {**SHARPENED, "unlabelled_weight": 0.5, "ramp_length": 0.3, "predict_with": "both"},
        },
    }
    uses_unlabelled = True

    def networks(self, build: NetworkBuilder) -> None:
        """Build both networks."""
        self.second_spec = build.spec
        self.first, self.second = build(), build()

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both terms of eq. 1; the second is left out where it has no patch."""
        labelled, images = len(batch.images), torch.cat([batch.images, batch.unlabelled])
        every = [self.first(images), self.second(images)]
        each = [supervised_loss(logits[:labelled], batch.labels, self.hyper) for logits in every]
        terms = {"supervised": torch.stack(each).sum()}
        start = 0 if self.hyper.on_labelled else labelled
        if start < len(images):
            terms["cross"] = cross_supervision(every[0][start:], every[1][start:], self.hyper)
        return terms

    def weights(self, step: int) -> dict[str, float]:
        """Return w r(t)."""
        return {"cross": self.hyper.unlabelled_weight * self.hyper.ramped(step, self.context)}

    def predictor(self) -> nn.Module:
        """Return the first network, or both."""
        return self.first if self.hyper.predict_with == "first" else Ensemble([self.first, self.second], EQUAL)

    def predictor_spec(self, network: NetworkSpec) -> NetworkSpec:
        """Return what builds `predictor`."""
        return network if self.hyper.predict_with == "first" else ensemble_spec([network, self.second_spec], EQUAL)
