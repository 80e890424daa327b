"""Mean Teacher (Tarvainen & Valpola 2017; paper 2, section 3.2): the student agrees with its own average.

(1)  L = a CE(p, y) + b Dice(p, y) + w r(t) mean over voxels of |p_S(x_u) - p_T(x_u + n)|^2 / C
(2)  theta_T <- d theta_T + (1 - d) theta_S,  d = min(1 - 1 / (t + 1), decay)
(3)  last term in `recommended`: w r(t) mean over voxels of sum_c q_c log(q_c / p_Sc(v(x_u))),  q ~ p_T(x_u)^(1/tau)

n ~ N(0, s^2), clipped to +-c, S is the student, T the teacher, C the number of classes, r the ramp, and v the harder
view of `fewscan.methods.student_view`, which moves q as it moves x_u. Paper 2 sums the norm of eq. 1 over its two
classes and public code averages it, but halves the supervised part: with w = 0.1 both are 2 w = 0.2 here.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.losses.consistency import Consistency, disagreement
from fewscan.losses.probabilities import sharpen
from fewscan.methods.base import HyperParameters
from fewscan.methods.perturbation import clipped_noise
from fewscan.methods.ramped import RampedParameters
from fewscan.methods.student_teacher import StudentTeacher, StudentTeacherParameters
from fewscan.methods.student_view import StudentViewParameters, student_view
from fewscan.methods.supervised import Supervised, supervised_loss


class MeanTeacherParameters(RampedParameters, StudentViewParameters, StudentTeacherParameters):
    """Of eqs. 1 and 2; the defaults are the published values."""

    consistency_weight: float = Field(0.2, ge=0, description="w; public code: 0.1 beside half the supervised loss")
    noise: float = Field(0.1, ge=0, description="s, in standard deviations of the scan; public code")
    noise_clip: float = Field(0.2, ge=0, description="c; public code")
    temperature: float = Field(1.0, gt=0, description="tau of p_T^(1/tau), below 1 is surer; paper 2: 1")
    consistency: Consistency = Field("squared", description="distance of p_S and p_T; paper 2, eq. 1")


PAPER = {
    **Supervised.presets["paper"],
    "batch": {"labelled": 2, "unlabelled": 2},
    "hyper": {},
}
# Chosen on validation scans (benchmarks/results/mean_teacher_tuning.json).
RECOMMENDED = {
    # the teacher sees the scan as it is and the student a harder view of it, not the other way round
    "noise": 0.0,
    "strong_student": True,
    "mix_box": 0.67,
    "teacher_mode": "eval",
    # the squared distance hardly moves a student that is sure and wrong, and made heavy it did harm
    "consistency": "relative",
    "consistency_weight": 1.0,
    "temperature": 0.5,  # soft targets make the student softer, which the Dice loss of the labelled patches swells
    "ramp_length": 0.3,
    "predict_with": "teacher",
}


class MeanTeacher(StudentTeacher):
    """A student that is trained and a teacher that follows it."""

    name = "mean_teacher"
    title = "Mean Teacher: consistency with the student's own moving average"
    paper = "Paper 2, section 3.2; Tarvainen & Valpola 2017"
    equations = "L = a CE + b Dice + w r(t) |p_S(x_u) - p_T(x_u + n)|^2 / C;  theta_T = EMA(theta_S)"
    parts = "student + teacher (its moving average)"
    when = "The default with up to 10 labels: above supervised training on average, not for every choice of them."
    tuned = "chosen on 40 validation hippocampi (benchmarks/results/mean_teacher_tuning.json)"
    hyper_parameters: ClassVar[type[HyperParameters]] = MeanTeacherParameters
    presets = {"paper": PAPER, "recommended": {"hyper": RECOMMENDED}}
    uses_unlabelled = True

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both terms of eq. 1; the second is left out where there is no unlabelled patch."""
        if len(batch.unlabelled) == 0:
            return {"supervised": supervised_loss(self.student(batch.images), batch.labels, self.hyper)}
        seen, target = student_view(batch.unlabelled, self.target(batch.unlabelled), self.hyper)
        logits = self.student(torch.cat([batch.images, seen]))
        labelled, unlabelled = logits.split([len(batch.images), len(seen)])
        return {
            "supervised": supervised_loss(labelled, batch.labels, self.hyper),
            "consistency": self.consistency(unlabelled, target, step),
        }

    def target(self, images: Tensor) -> Tensor:
        """Return p_T of eq. 1."""
        return self.teacher.probabilities(clipped_noise(images, std=self.hyper.noise, clip=self.hyper.noise_clip))

    def consistency(self, logits: Tensor, target: Tensor, step: int) -> Tensor:
        """Return the second term of eq. 1."""
        sharp = sharpen(target, self.hyper.temperature)
        return disagreement(self.hyper.consistency, logits, sharp, mask=self.certain(target, step))

    def certain(self, target: Tensor, step: int) -> Tensor | None:
        """Return which voxels count, ``(batch, *spatial)``; all of them here."""
        return None

    def weights(self, step: int) -> dict[str, float]:
        """Return w r(t)."""
        hyper = self.hyper
        grown = hyper.ramped(step, self.context)
        return {"consistency": hyper.consistency_weight * grown}
