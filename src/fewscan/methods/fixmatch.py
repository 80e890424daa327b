"""FixMatch (Sohn et al. 2020): what a network is sure of, it must also say of a harder view of the same patch.

(1)  L = a CE(p, y) + b Dice(p, y) + w r(t) mean over voxels of m CE(p(v(x_u)), q)
(2)  q = argmax p(x_u),  m = 1 where max_c p_c(x_u) >= threshold, otherwise 0;  no gradient, no dropout

v is the harder view of `fewscan.methods.student_view`; where it moves voxels, it moves q and m too. The paper has one
label for a picture, and seven unlabelled pictures for a labelled one; here every voxel has a label. The mean is over
all voxels, as in the paper. Preset `paper` has the paper's weights in a run of the collection SSL4MIS, whose own script
makes unsure voxels background, where the paper leaves them out.
"""

import torch
from pydantic import Field
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.losses.consistency import relative_entropy
from fewscan.losses.probabilities import one_hot
from fewscan.methods.pseudo_labels import class_probabilities
from fewscan.methods.published import SSL4MIS
from fewscan.methods.ramped import RampedParameters
from fewscan.methods.ramps import RampKind
from fewscan.methods.student_view import StudentViewParameters, student_view
from fewscan.methods.supervised import Supervised, supervised_loss
from fewscan.networks.modes import predicting


class FixMatchParameters(RampedParameters, StudentViewParameters):
    """Of eqs. 1 and 2; the defaults are the published values."""

    threshold: float = Field(0.95, ge=0, le=1, description="least probability that teaches; Sohn et al. 2020: 0.95")
    unlabelled_weight: float = Field(1.0, ge=0, description="w; Sohn et al. 2020: 1")
    ramp: RampKind = Field("none", description="r, how the unlabelled term grows; Sohn et al. 2020: none")
    strong_student: bool = Field(True, description="strong intensity changes in v; Sohn et al. 2020: RandAugment")


class FixMatch(Supervised):
    """One network, its own teacher."""

    name = "fixmatch"
    title = "FixMatch: what the network is sure of, on a harder view"
    paper = "Sohn et al. 2020 (NeurIPS)"
    equations = "L = a CE(p, y) + b Dice(p, y) + w r(t) mean(m CE(p(v(x_u)), argmax p(x_u)));  m = [max p >= threshold]"
    parts = "one network"
    when = "No second network, no teacher: 1.8 points above on slices with 2 labels, level on volumes with 4."
    tuned = "view and ramp as mean_teacher; two runs on validation slices (benchmarks/results/rivals_tuning.json)"
    hyper_parameters = FixMatchParameters
    presets = {
        "paper": SSL4MIS,
        "recommended": {"hyper": {"mix_box": 0.67, "ramp": "sigmoid", "ramp_length": 0.3}},
    }
    uses_unlabelled = True
    terms_when_sure = ("pseudo",)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both terms of eq. 1; the second is left out where there is no unlabelled patch."""
        if len(batch.unlabelled) == 0:
            return super().loss(batch, step)
        with predicting(self.network):
            p = class_probabilities(self.network(batch.unlabelled))
        confidence, likeliest = p.max(dim=1)
        sure = (confidence >= self.hyper.threshold).unsqueeze(1)
        taught = one_hot(likeliest, self.context.classes) * sure  # no class where m = 0, which costs nothing
        seen, target = student_view(batch.unlabelled, taught, self.hyper)
        labelled, unlabelled = self.network(torch.cat([batch.images, seen])).split([len(batch.images), len(seen)])
        return {
            "supervised": supervised_loss(labelled, batch.labels, self.hyper),
            "pseudo": relative_entropy(unlabelled, target),
        }

    def weights(self, step: int) -> dict[str, float]:
        """Return w r(t)."""
        return {"pseudo": self.hyper.unlabelled_weight * self.hyper.ramped(step, self.context)}
