"""Supervised training with soft pseudo-masks beside the true labels: a stage of the joint framework (paper 1).

(1)  L = a CE(p, y) + b Dice(p, y) + w [1 - 2 sum p q / (sum p^2 + sum q^2)] + v CE(p, q)

y are true labels of labelled patches, q soft pseudo-masks of unlabelled ones. The squares give the third term (paper 1,
eq. 1) its minimum at p = q also where q is soft.
"""

import torch
from pydantic import Field
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.losses.segmentation import dice_and_cross_entropy
from fewscan.methods.student_view import StudentViewParameters, student_view
from fewscan.methods.supervised import Supervised, SupervisedParameters, supervised_loss


class PseudoSupervisedParameters(SupervisedParameters, StudentViewParameters):
    """Weights of eq. 1."""

    pseudo_weight: float = Field(1.0, ge=0, description="w; paper 1: 1, true and pseudo-labelled scans alike")
    pseudo_cross_entropy_weight: float = Field(0.0, ge=0, description="v; paper 1: 0")


class PseudoSupervised(Supervised):
    """One network; labels of the labelled patches, soft masks of the others."""

    name = "pseudo_supervised"
    title = "Supervised training with soft pseudo-masks of the unlabelled scans"
    paper = "Paper 1, section 2.3"
    equations = "L = a CE(p, y) + b Dice(p, y) + w Dice(p, q) + v CE(p, q)"
    parts = "one network"
    when = "A stage of joint; not offered by itself."
    tuned = "see joint"
    hyper_parameters = PseudoSupervisedParameters
    uses_unlabelled = True

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the terms of eq. 1; those of the pseudo-masks are left out where there are none."""
        masks = batch.unlabelled_masks
        if masks is None or len(masks) == 0:
            return super().loss(batch, step)
        seen, masks = student_view(batch.unlabelled, masks, self.hyper)
        logits = self.network(torch.cat([batch.images, seen]))
        labelled, unlabelled = logits.split([len(batch.images), len(seen)])
        dice, cross_entropy = dice_and_cross_entropy(unlabelled, masks, squared=True)
        terms = {"supervised": supervised_loss(labelled, batch.labels, self.hyper), "pseudo": dice}
        return terms | ({"pseudo_cross_entropy": cross_entropy} if self.hyper.pseudo_cross_entropy_weight else {})

    def weights(self, step: int) -> dict[str, float]:
        """Return w and v."""
        hyper = self.hyper
        weights = {"pseudo": hyper.pseudo_weight}
        if hyper.pseudo_cross_entropy_weight:
            weights["pseudo_cross_entropy"] = hyper.pseudo_cross_entropy_weight
        return weights
