"""Interpolation consistency, ICT (Verma et al. 2019): between two scans, predictions lie between the predictions.

(1)  x_m = m x_1 + (1 - m) x_2,  q = m sh(p_T(x_1)) + (1 - m) sh(p_T(x_2)),  m ~ Beta(h, h)
(2)  L = a CE(p, y) + b Dice(p, y) + w r(t) D(p_S(x_m), q)
(3)  theta_T <- d theta_T + (1 - d) theta_S

x_1 and x_2 are unlabelled patches: each meets the one before it in the batch. S is the student, T the teacher;
sh(p)_c = p_c^(1/tau) / sum over k of p_k^(1/tau), which as published, tau = 1, is p.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.losses.consistency import Consistency, disagreement
from fewscan.losses.probabilities import sharpen
from fewscan.methods.base import HyperParameters
from fewscan.methods.published import SSL4MIS
from fewscan.methods.ramped import RampedParameters
from fewscan.methods.student_teacher import StudentTeacher, StudentTeacherParameters
from fewscan.methods.supervised import supervised_loss


class InterpolationParameters(RampedParameters, StudentTeacherParameters):
    """Of eqs. 1 to 3; the defaults are the published values."""

    mixing_shape: float = Field(0.2, gt=0, description="h; public code")
    consistency: Consistency = Field("squared", description="D; Verma et al. 2019")
    consistency_weight: float = Field(0.1, ge=0, description="w; public code")
    temperature: float = Field(1.0, gt=0, description="tau of the teacher's probabilities; ours, public code: none")


class InterpolationConsistency(StudentTeacher):
    """A student and its teacher, which agree between scans."""

    name = "interpolation_consistency"
    title = "ICT: predictions between two scans lie between their predictions"
    paper = "Verma et al. 2019 (IJCAI)"
    equations = "L = CE + Dice + w r(t) D(p_S(m x_1 + (1 - m) x_2), m p_T(x_1) + (1 - m) p_T(x_2)),  m ~ Beta(h, h)"
    parts = "student + teacher (its moving average)"
    when = "Scans that lie alike, as it blends two of a batch; 2.0 points above on atria, level on hippocampi."
    tuned = "as mean_teacher; temperature and h on validation slices (benchmarks/results/rivals_tuning.json)"
    hyper_parameters: ClassVar[type[HyperParameters]] = InterpolationParameters
    presets = {
        "paper": SSL4MIS,
        # as tuned for Mean Teacher
        "recommended": {
            "hyper": {
                "consistency": "relative",
                "consistency_weight": 1.0,
                "temperature": 0.5,
                "ramp_length": 0.3,
                "teacher_mode": "eval",
                "predict_with": "teacher",
            }
        },
    }
    uses_unlabelled = True

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both terms of eq. 2; the second is left out where there is no unlabelled patch."""
        images, one = batch.unlabelled, torch.ones(())
        if len(images) == 0:
            return {"supervised": supervised_loss(self.student(batch.images), batch.labels, self.hyper)}
        share = torch.distributions.Beta(self.hyper.mixing_shape * one, self.hyper.mixing_shape * one).sample()
        m, target = float(share), sharpen(self.teacher.probabilities(images), self.hyper.temperature)
        logits = self.student(torch.cat([batch.images, torch.lerp(images.roll(1, 0), images, m)]))  # eq. 1
        return {
            "supervised": supervised_loss(logits[: len(batch.images)], batch.labels, self.hyper),
            "consistency": disagreement(
                self.hyper.consistency, logits[len(batch.images) :], torch.lerp(target.roll(1, 0), target, m)
            ),
        }

    def weights(self, step: int) -> dict[str, float]:
        """Return w r(t)."""
        return {"consistency": self.hyper.consistency_weight * self.hyper.ramped(step, self.context)}
