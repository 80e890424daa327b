"""Co-learning with hybrid cropping (paper 3): two students, and a teacher that is their common average.

(1)      theta_T <- (1 - alpha - beta) theta_T + alpha theta_1 + beta theta_2
(2, 3)   L = sum over students k of l(p_k(X), Y) + lambda L_unlabelled;  l = Dice
(4-6)    L_cps = l(p_1(U), Y_2) + l(p_2(U), Y_1),  Y_k = argmax p_k(U)
(7-10)   L_unlabelled = L_cps + L_teacher,  L_teacher = sum over k of l(p_k(U), Y_T),  Y_T = argmax p_T(U)
(11, 12) mix_1 = X M + U (1 - M),  mix_2 = U' M + X' (1 - M);  M is 0 in one box, 1 outside
(13, 14) Y_mix1 = Y M + Y_T (1 - M),  Y_mix2 = Y_T' M + Y' (1 - M);  eq. 13 is misprinted, see `copy_paste`
(15-18)  L_total = L + mu [D(p_1(mix_1), Y_mix1) + D(p_2(mix_2), Y_mix2)];  D = mean squared difference

X, Y are labelled and U unlabelled patches; of teachers `fewscan.methods.two_students` tells more. The student of a mix
changes at every step. Strong students answer on views of U of their own, also for Y_1 and Y_2; Y_T is of U itself.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.losses.consistency import Consistency, disagreement
from fewscan.methods.copy_paste import CopyPasteParameters, copy_paste, mix_labelled
from fewscan.methods.mixing import box_mask
from fewscan.methods.perturbation import strong_view
from fewscan.methods.pseudo_labels import SHARPENED, cross_supervision, pseudo_labels, pseudo_loss
from fewscan.methods.published import LEFT_ATRIUM
from fewscan.methods.ramps import RampKind
from fewscan.methods.supervised import supervised_loss
from fewscan.methods.two_students import AVERAGEABLE, TwoStudents, TwoStudentsParameters


class CoLearningParameters(CopyPasteParameters, TwoStudentsParameters):
    """Of eqs. 1 to 18; the defaults are the published values, or what the paper implies."""

    cross_entropy_weight: float = Field(0.0, ge=0, description="in l of eq. 3; paper 3: Dice alone")
    pseudo_cross_entropy_weight: float = Field(0.0, ge=0, description="in l of eqs. 4 to 9; paper 3: Dice alone")
    pseudo_dice_weight: float = Field(1.0, ge=0, description="in l of eqs. 4 to 9; paper 3")
    unlabelled_weight: float = Field(1.0, ge=0, description="lambda; paper 3, section III")
    mix_weight: float = Field(1.0, ge=0, description="mu; paper 3, section III")
    ramp: RampKind = Field("none", description="how lambda and mu grow; paper 3: not stated")
    strong_students: bool = Field(False, description="strong intensity changes for them; FixMatch, Sohn et al. 2020")
    box: float = Field(0.5, gt=0, le=1, description="side of the box; paper 3, section III")
    mix_consistency: Consistency = Field("squared", description="D; paper 3, eq. 17")
    mix_to: Literal["one", "both"] = Field("one", description="mixes that a student gets; paper 3, eqs. 15 and 16: one")
    pretrain: float = Field(0.0, ge=0, lt=1, description="share of the run on mixed labelled patches alone; BCP: 0.12")


class CoLearning(TwoStudents):
    """Two students that are trained, and what follows them."""

    name = "co_learning"
    title = "Co-learning: two students, what follows them, and patches cut into each other"
    paper = "Paper 3 (Zhang 2024)"
    equations = (
        "L = sum_k l(p_k(X), Y) + lambda [l(p_1(U), Y_2) + l(p_2(U), Y_1) + sum_k l(p_k(U), Y_T)] + mu sum_k "
        "D(p_k(mix_k), Y_mixk);  theta_T = (1 - alpha - beta) theta_T + alpha theta_1 + beta theta_2"
    )
    parts = "two students of different structure + a moving average of each (paper: of both)"
    when = "With steps to spare: 0.7 above with 4 labels, 1.2 with 2, 3.7 on atria (two supervised: 0.8, 1.1, 2.0)."
    tuned = "as mean_teacher; weights on validation slices (benchmarks/results/rivals_tuning.json)"
    hyper_parameters = CoLearningParameters
    presets = {
        "paper": {**LEFT_ATRIUM, "network": AVERAGEABLE, "hyper": {"same_start": True}},
        # losses as tuned for Mean Teacher; one teacher per student, and students that may differ in more
        "recommended": {
            "hyper": {
                "cross_entropy_weight": 1.0,
                **SHARPENED,
                "pseudo_cross_entropy_weight": 1.0,
                "unlabelled_weight": 0.3,
                "mix_weight": 0.5,
                "box": 0.67,
                "ramp": "sigmoid",
                "ramp_length": 0.3,
                "teacher": "per_student",
                "teacher_mode": "eval",
                "strong_students": True,
                "mix_consistency": "relative",
            }
        },
    }
    uses_unlabelled = True

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the terms of eq. 18; the first alone where there is no unlabelled patch, or for pre-training."""
        hyper, images, labels = self.hyper, batch.images, batch.labels
        box = box_mask(images.shape[2:], side=hyper.box, device=images.device)
        students, pretraining = (self.first, self.second), hyper.since_pretraining(step, self.context) < 0
        if pretraining or len(batch.unlabelled) == 0:
            images, labels = mix_labelled(images, labels, box) if pretraining else (images, labels)
            self.let_teacher_measure(images)
            return {"supervised": torch.stack([supervised_loss(s(images), labels, hyper) for s in students]).sum()}
        guide = pseudo_labels(self.teacher.probabilities(batch.unlabelled), hyper)
        mixes = copy_paste(batch, guide, box, in_both=hyper.in_both_mixes)  # eqs. 11 to 14
        supervised, guesses, taught, mixed = [], [], [], []
        for k, student in enumerate(students):
            own = mixes if hyper.mix_to == "both" else [mixes[(step + k) % 2]]
            others = torch.cat([batch.unlabelled, *(mix.images for mix in own)])
            logits = student(torch.cat([images, strong_view(others) if hyper.strong_students else others]))
            known, unknown, pasted = logits.split([len(images), len(guide), len(others) - len(guide)])
            supervised.append(supervised_loss(known, labels, hyper))
            guesses.append(unknown)
            taught.append(pseudo_loss(unknown, guide, hyper))
            mixed.append(disagreement(hyper.mix_consistency, pasted, torch.cat([mix.target for mix in own])))
        return {
            "supervised": torch.stack(supervised).sum(),  # eq. 3
            "cross": cross_supervision(guesses[0], guesses[1], hyper),  # eq. 6
            "teacher": torch.stack(taught).sum(),  # eq. 9
            "mix": torch.stack(mixed).sum(),  # eq. 17
        }

    def weights(self, step: int) -> dict[str, float]:
        """Return lambda and mu."""
        grown = self.hyper.ramped(step, self.context)
        unlabelled = self.hyper.unlabelled_weight * grown
        return {"cross": unlabelled, "teacher": unlabelled, "mix": self.hyper.mix_weight * grown}
