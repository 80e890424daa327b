"""Co-learning with hybrid cropping (paper 3): two students, and a teacher that is their common average.

(1)      theta_T <- (1 - alpha - beta) theta_T + alpha theta_1 + beta theta_2
(2, 3)   L = sum over students k of l(p_k(X), Y) + lambda L_unlabelled;  l = Dice
(4-6)    L_cps = l(p_1(U), Y_2) + l(p_2(U), Y_1),  Y_k = argmax p_k(U)
(7-10)   L_unlabelled = L_cps + L_teacher,  L_teacher = sum over k of l(p_k(U), Y_T),  Y_T = argmax p_T(U)
(11, 12) mix_1 = X M + U (1 - M),  mix_2 = U' M + X' (1 - M);  M is 0 in one box, 1 outside
(13, 14) Y_mix1 = Y M + Y_T (1 - M),  Y_mix2 = Y_T' M + Y' (1 - M);  eq. 13 is misprinted, see `mix_both_ways`
(15-17)  L_mix = D(p_1(mix_1), Y_mix1) + D(p_2(mix_2), Y_mix2);  D = mean squared difference
(18)     L_total = L + mu L_mix

X, Y are labelled and U unlabelled patches. Eq. 1 averages weights, so the students' structures may differ only where
the shapes of their weights do not (`counterpart`); for backbones that differ more, ``teacher="per_student"`` averages
(alpha p_T1 + beta p_T2) / (alpha + beta) instead. The paper does not give alpha and beta, nor a ramp. Which student
gets which mix changes at every step, so that both see boxes of both kinds.
"""

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.errors import UsageError
from fewscan.losses.consistency import Consistency, disagreement
from fewscan.losses.probabilities import one_hot
from fewscan.methods.base import HyperParameters, Method
from fewscan.methods.dtc import LEFT_ATRIUM
from fewscan.methods.mixing import box_mask, mix_both_ways, mix_labelled, mixing_pairs
from fewscan.methods.perturbation import strong_view
from fewscan.methods.pseudo_labels import PseudoLabelParameters, cross_supervision, pseudo_labels, pseudo_loss
from fewscan.methods.ramps import RampKind
from fewscan.methods.supervised import supervised_loss
from fewscan.methods.teacher import Teacher, TeacherEnsemble, TeacherMode
from fewscan.networks.builder import NetworkBuilder, counterpart
from fewscan.networks.ema import check_same_shapes
from fewscan.networks.registry import NetworkSpec


class CoLearningParameters(PseudoLabelParameters):
    """Of eqs. 1 to 18; the defaults are the published values, or what the paper implies."""

    cross_entropy_weight: float = Field(0.0, ge=0, description="in l of eq. 3; paper 3: Dice alone")
    pseudo_cross_entropy_weight: float = Field(0.0, ge=0, description="in l of eqs. 4 to 9; paper 3: Dice alone")
    pseudo_dice_weight: float = Field(1.0, ge=0, description="in l of eqs. 4 to 9; paper 3")
    unlabelled_weight: float = Field(1.0, ge=0, description="lambda; paper 3, section III")
    mix_weight: float = Field(1.0, ge=0, description="mu; paper 3, section III")
    ramp: RampKind = Field("none", description="how lambda and mu grow; paper 3: not stated")
    alpha: float = Field(0.005, gt=0, lt=0.5, description="eq. 1; not stated, together the usual 0.01")
    beta: float = Field(0.005, gt=0, lt=0.5, description="eq. 1; not stated, together the usual 0.01")
    second: NetworkSpec | None = Field(None, description="student 2; else the counterpart of the run's network")
    same_start: bool = Field(False, description="both students start from the same weights; paper 3: not stated")
    teacher: Literal["averaged", "per_student"] = Field("averaged", description="average of weights; paper 3, eq. 1")
    teacher_mode: TeacherMode = Field("train", description="train: with dropout and batch statistics; public code")
    strong_students: bool = Field(
        False, description="strong intensity changes for students; FixMatch, Sohn et al. 2020"
    )
    box: float = Field(0.5, gt=0, le=1, description="side of the box; paper 3, section III")
    mix_consistency: Consistency = Field("squared", description="D; paper 3, eq. 17")
    mix_to: Literal["one", "both"] = Field("one", description="mixes that a student gets; paper 3, eqs. 15 and 16: one")
    pretrain: float = Field(0.0, ge=0, lt=1, description="share of the run on mixed labelled patches alone; BCP: 0.12")
    predict_with: Literal["teacher", "first", "second"] = Field("teacher", description="network kept; not stated")


class CoLearning(Method):
    """Two students that are trained, and what follows them."""

    name = "co_learning"
    title = "Co-learning: two students, their common average, and patches cut into each other"
    paper = "Paper 3 (Zhang 2024)"
    equations = (
        "L = sum_k l(p_k(X), Y) + lambda [l(p_1(U), Y_2) + l(p_2(U), Y_1) + sum_k l(p_k(U), Y_T)] + mu sum_k "
        "D(p_k(mix_k), Y_mixk);  theta_T = (1 - alpha - beta) theta_T + alpha theta_1 + beta theta_2"
    )
    parts = "two students of different structure + a teacher of their averages"
    when = "Cross supervision, teachers and cut-and-paste together, with memory for four networks. Hardly measured yet."
    tuned = "losses and ramp as tuned for mean_teacher, not for this method"
    hyper_parameters: ClassVar[type[HyperParameters]] = CoLearningParameters
    presets = {
        "paper": {**LEFT_ATRIUM, "network": {"name": "vnet", "options": {"upsampling": "linear"}}},
        # losses as tuned for Mean Teacher; the average of two structures predicts nonsense, however alike their shapes
        "recommended": {
            "hyper": {
                "cross_entropy_weight": 1.0,
                "pseudo_labels": "soft",
                "pseudo_cross_entropy_weight": 1.0,
                "pseudo_dice_weight": 0.0,
                "unlabelled_weight": 0.5,
                "ramp": "sigmoid",
                "ramp_length": 0.4,
                "same_start": True,
                "teacher": "per_student",
                "teacher_mode": "eval",
                "strong_students": True,
                "mix_consistency": "relative",
            }
        },
    }
    uses_unlabelled = True

    def networks(self, build: NetworkBuilder) -> None:
        """Build the students; their teacher starts as their average."""
        hyper, kind = self.hyper, Teacher if self.hyper.teacher == "averaged" else TeacherEnsemble
        self.second_spec = hyper.second or counterpart(build.spec)
        self.first, self.second = build(), build(self.second_spec)
        ema = {"decay": 1 - hyper.alpha - hyper.beta, "weights": [hyper.alpha, hyper.beta], "mode": hyper.teacher_mode}
        if hyper.same_start or hyper.teacher == "averaged":
            try:
                check_same_shapes([self.first, self.second])
            except ValueError as error:
                raise UsageError(
                    f"co_learning: {error}",
                    mend="Leave hyper.second out, or set hyper.teacher=per_student and hyper.same_start=false.",
                ) from None
        if hyper.same_start:
            self.second.load_state_dict(self.first.state_dict())
        self.teacher = kind(self.first, self.second, **ema)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the terms of eq. 18; the first alone where there is no unlabelled patch, or for pre-training."""
        hyper, images, labels, unlabelled = self.hyper, batch.images, batch.labels, batch.unlabelled
        box = box_mask(images.shape[2:], side=hyper.box, device=images.device)
        students, pretraining = (self.first, self.second), step < hyper.pretrain * self.context.iterations
        if pretraining or len(unlabelled) == 0:
            images, labels = mix_labelled(images, labels, box) if pretraining else (images, labels)
            return {"supervised": _sum(supervised_loss(student(images), labels, hyper) for student in students)}
        guide = pseudo_labels(self.teacher.probabilities(unlabelled), hyper)
        pairs, true = mixing_pairs(len(images), len(unlabelled)), one_hot(labels, guide.shape[1], dtype=guide.dtype)
        mixes = mix_both_ways(images, unlabelled, box, pairs)  # eqs. 11 and 12
        targets = mix_both_ways(true, guide, box, pairs)  # eqs. 13 and 14
        each = []
        for k, student in enumerate(students):
            chosen = slice(None) if hyper.mix_to == "both" else slice((step + k) % 2, (step + k) % 2 + 1)
            wanted = torch.cat(list(targets[chosen]))
            others = torch.cat([unlabelled, *mixes[chosen]])
            logits = student(torch.cat([images, strong_view(others) if hyper.strong_students else others]))
            each.append((*logits.split([len(images), len(unlabelled), len(wanted)]), wanted))
        return {
            "supervised": _sum(supervised_loss(known, labels, hyper) for known, _, _, _ in each),  # eq. 3
            "cross": cross_supervision(each[0][1], each[1][1], hyper),  # eq. 6
            "teacher": _sum(pseudo_loss(unknown, guide, hyper) for _, unknown, _, _ in each),  # eq. 9
            "mix": _sum(disagreement(hyper.mix_consistency, mixed, wanted) for _, _, mixed, wanted in each),  # eq. 17
        }

    def weights(self, step: int) -> dict[str, float]:
        """Return lambda and mu."""
        grown = self.hyper.ramped(step, self.context)
        unlabelled = self.hyper.unlabelled_weight * grown
        return {"cross": unlabelled, "teacher": unlabelled, "mix": self.hyper.mix_weight * grown}

    def after_step(self, step: int) -> None:
        """Move the teacher, eq. 1."""
        self.teacher.update([self.first, self.second], step)

    def predictor(self) -> nn.Module:
        """Return the network asked for; of two teachers the first student's."""
        kept = {"teacher": self.teacher.network, "first": self.first, "second": self.second}
        return kept[self.hyper.predict_with]

    def predictor_spec(self, network: NetworkSpec) -> NetworkSpec:
        """Return what builds `predictor`."""
        return self.second_spec if self.hyper.predict_with == "second" else network


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
