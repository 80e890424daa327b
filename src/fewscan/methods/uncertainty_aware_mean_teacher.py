"""Uncertainty-aware Mean Teacher, UA-MT (Yu et al. 2019; paper 2, section 3.3): agree where the teacher is sure.

(1)  q = 1/K sum over k of p_T(x_u + n_k),  the mean of K random passes of the teacher
(2)  u = -sum over classes of q_c ln q_c,  its entropy
(3)  L = a CE(p, y) + b Dice(p, y) + w r(t) sum of 1[u < H] |p_S(x_u) - q|^2 / (C sum of 1[u < H])
(4)  H(t) = (h + (1 - h) r_H(t)) ln C

n_k, r and the student's harder view in `recommended` are those of `fewscan.methods.mean_teacher`, whose eq. 3 with this
q then takes the place of the squared difference. Public code compares the student with one more noisy pass instead of
q, and writes 2 for C in eqs. 3 and 4.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from fewscan.losses.uncertainty import certain_voxels, entropy_threshold
from fewscan.methods.mean_teacher import PAPER, RECOMMENDED, MeanTeacher, MeanTeacherParameters
from fewscan.methods.monte_carlo import mean_over_dropout, mean_over_noise, with_dropout
from fewscan.methods.ramps import ramp
from fewscan.networks.builder import NetworkBuilder


class UncertaintyAwareParameters(MeanTeacherParameters):
    """Of eqs. 1 to 4; the defaults are the published values."""

    passes: int = Field(8, ge=1, description="K; Yu et al. 2019")
    passes_at_once: int = Field(2, ge=1, description="passes that share a forward as one batch; public code")
    monte_carlo: Literal["input_noise", "dropout"] = Field(
        "input_noise", description="what differs; paper 2, section 3.3"
    )
    threshold_start: float = Field(0.75, ge=0, le=1, description="h; Yu et al. 2019")
    threshold_length: float = Field(1.0, gt=0, description="of r_H, as ramp_length; Yu et al. 2019: the run")


class UncertaintyAwareMeanTeacher(MeanTeacher):
    """A Mean Teacher that learns only where the teacher's passes agree."""

    name = "uncertainty_aware_mean_teacher"
    title = "UA-MT: Mean Teacher where the teacher is certain"
    paper = "Paper 2, section 3.3; Yu et al. 2019"
    equations = (
        "L = a CE + b Dice + w r(t) sum(1[u < H] |p_S(x_u) - q|^2) / (C sum(1[u < H]));  "
        "q = mean of K noisy p_T;  u = -sum q ln q;  H = (h + (1 - h) r_H(t)) ln C"
    )
    parts = "student + teacher (its moving average)"
    when = "Where a Mean Teacher's teacher is often unsure; level with it at 2 to 18 labels, at more cost."
    tuned = "as mean_teacher, with fewer and cheaper teacher passes"
    hyper_parameters = UncertaintyAwareParameters
    presets = {
        "paper": PAPER,
        # dropout lies behind the encoder, which then runs once for all passes; the noise is for input_noise only
        "recommended": {"hyper": {**RECOMMENDED, "noise": 0.1, "monte_carlo": "dropout", "passes": 4}},
    }

    def networks(self, build: NetworkBuilder) -> None:
        """Build student and teacher."""
        super().networks(build)
        if self.hyper.monte_carlo == "dropout":
            with_dropout(self.student)

    def certain(self, target: Tensor, step: int) -> Tensor:
        """Return where the entropy of eq. 2 is below the threshold, as eq. 3 asks."""
        return certain_voxels(target, threshold=self.threshold(step))

    def target(self, images: Tensor) -> Tensor:
        """Return q, eq. 1."""
        hyper, teacher = self.hyper, self.teacher.network
        if hyper.monte_carlo == "dropout":
            return mean_over_dropout(teacher, images, passes=hyper.passes)
        noise = {"std": hyper.noise, "clip": hyper.noise_clip}
        return mean_over_noise(teacher, images, passes=hyper.passes, at_once=hyper.passes_at_once, **noise)

    def threshold(self, step: int) -> float:
        """Return H, eq. 4."""
        hyper, context = self.hyper, self.context
        opened = ramp("sigmoid", step, length=hyper.threshold_length, iterations=context.iterations)
        return entropy_threshold(context.classes, start=hyper.threshold_start, ramp=opened)
