"""Bidirectional copy-paste, BCP (Bai et al. 2023): labelled and unlabelled patches are cut into each other.

(1)  x_1 = X M + U (1 - M),  y_1 = Y M + Q (1 - M);    x_2 = U' M + X' (1 - M),  y_2 = Q' M + Y' (1 - M)
(2)  Q = largest components of argmax p_T(U),  of whole unlabelled patches U
(3)  L = sum over mixes i of [l(p_i, y_i; where y_i is a true label) + w l(p_i, y_i; where it is a pseudo-label)]
(4)  l(p, y; R) = (a CE(p, y) + b Dice(p, y)) over the voxels of R alone
(5)  theta_T <- d theta_T + (1 - d) theta_S
(6)  first, for a share of the run: L = a CE + b Dice of labelled patches with boxes of each other, T a copy of S

X, Y are labelled and U unlabelled patches, S the student, T the teacher; M is 0 in one box and 1 outside. Public code
keeps the best of stage (6) on the test set, restarts the rate's schedule after it, has a Dice of each patch (here: of
each mix), and passes mixes one by one. In (6) a patch is mixed with the one before it; in (3) all are used.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.losses.region import region_loss
from fewscan.methods.base import HyperParameters
from fewscan.methods.copy_paste import CopyPasteParameters, copy_paste, joined, mix_labelled
from fewscan.methods.mixing import box_mask
from fewscan.methods.pseudo_labels import SHARPENED, pseudo_labels
from fewscan.methods.published import LONGER
from fewscan.methods.ramps import RampKind
from fewscan.methods.student_teacher import StudentTeacher, StudentTeacherParameters


class BCPParameters(CopyPasteParameters, StudentTeacherParameters):
    """Of eqs. 1 to 6; the defaults are the published values."""

    cross_entropy_weight: float = Field(0.5, ge=0, description="a; public code")
    dice_weight: float = Field(0.5, ge=0, description="b; public code")
    pseudo_cross_entropy_weight: float = Field(0.5, ge=0, description="a of pseudo-labels; public code")
    pseudo_dice_weight: float = Field(0.5, ge=0, description="b of pseudo-labels; public code")
    dice_background: bool = Field(True, description="Dice over the background too; public code")
    largest_component: bool = Field(True, description="eq. 2; Bai et al. 2023")
    unlabelled_weight: float = Field(0.5, ge=0, description="w; Bai et al. 2023")
    joint_loss: bool = Field(False, description="eq. 4 once over the voxels of both mixes; public code: no")
    ramp: RampKind = Field("none", description="how w grows once eq. 6 is over; public code: not at all")


class BCP(StudentTeacher):
    """A student that sees mixed patches only, and a teacher that labels them."""

    name = "bcp"
    title = "BCP: labelled and unlabelled patches cut into each other"
    paper = "Bai et al. 2023 (CVPR)"
    equations = (
        "x_1 = X M + U (1 - M), x_2 = U' M + X' (1 - M), labels alike with Q = argmax p_T(U);  "
        "L = [CE + Dice](where labelled) + w [CE + Dice](elsewhere)"
    )
    parts = "student + teacher (its moving average)"
    when = "Labelled and unlabelled scans from different sources; no gain shown on hippocampi or atria."
    tuned = "two runs on validation scans (benchmarks/results/rivals_tuning.json)"
    hyper_parameters: ClassVar[type[HyperParameters]] = BCPParameters
    presets = {
        "paper": {**LONGER, "batch": {"labelled": 4, "unlabelled": 4}, "iterations": 17000},
        # every labelled voxel at every step; one Dice, as of the scrap of a structure in one box it swells that;
        # structures may have several parts
        "recommended": {
            "hyper": {
                **SHARPENED,
                "pretrain": 0.2,
                "in_both_mixes": True,
                "joint_loss": True,
                "cross_entropy_weight": 1.0,
                "dice_weight": 1.0,
                "pseudo_cross_entropy_weight": 1.0,
                "unlabelled_weight": 1.0,
                "dice_background": False,
                "largest_component": False,
                "ramp": "sigmoid",
                "ramp_length": 0.1,
                "teacher_mode": "eval",
                "predict_with": "teacher",
            }
        },
    }
    uses_unlabelled = True

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both terms of eq. 3, or eq. 6 at first and where there is no unlabelled patch."""
        box = box_mask(batch.images.shape[2:], side=self.hyper.box, device=batch.images.device)
        if self.hyper.since_pretraining(step, self.context) < 0 or len(batch.unlabelled) == 0:
            shown, labels = mix_labelled(batch.images, batch.labels, box)  # eq. 6
            return {"supervised": self.part(self.student(shown), labels, torch.ones_like(box))}
        pseudo = pseudo_labels(self.teacher.probabilities(batch.unlabelled), self.hyper)  # eq. 2
        mixes = copy_paste(batch, pseudo, box, in_both=self.hyper.in_both_mixes)  # eq. 1
        parts = [joined(mixes)] if self.hyper.joint_loss else mixes
        answers = self.student(torch.cat([mix.images for mix in parts])).chunk(len(parts))
        terms: dict[str, list[Tensor]] = {"supervised": [], "pseudo": []}
        for logits, mix in zip(answers, parts, strict=True):  # eq. 3
            terms["supervised"].append(self.part(logits, mix.target, mix.true))
            terms["pseudo"].append(self.part(logits, mix.target, ~mix.true, pseudo=True))
        return {name: torch.stack(each).sum() for name, each in terms.items()}

    def part(self, logits: Tensor, target: Tensor, region: Tensor, *, pseudo: bool = False) -> Tensor:
        """Return eq. 4 with the weights of true labels or of pseudo-labels."""
        hyper = self.hyper
        return region_loss(
            logits,
            target,
            region,
            cross_entropy_weight=hyper.pseudo_cross_entropy_weight if pseudo else hyper.cross_entropy_weight,
            dice_weight=hyper.pseudo_dice_weight if pseudo else hyper.dice_weight,
            squared=hyper.squared_pseudo_dice if pseudo else hyper.squared_dice,
            include_background=hyper.dice_background,
        )

    def weights(self, step: int) -> dict[str, float]:
        """Return w, from the end of eq. 6."""
        return {"pseudo": self.hyper.unlabelled_weight * self.hyper.ramped(step, self.context)}

    def after_step(self, step: int) -> None:
        """Move the teacher, eq. 5; during eq. 6 it copies the student."""
        super().after_step(0 if self.hyper.since_pretraining(step, self.context) < 0 else step)
