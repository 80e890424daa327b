"""Two students that differ, and what follows them both (paper 3, section 2.1).

(1)  theta_T <- (1 - alpha - beta) theta_T + alpha theta_1 + beta theta_2

Weights can be averaged where their shapes are the same (`counterpart` has other structures of the same shapes), but the
average is a network only where they also mean the same: of students from two starts, or of a plain and a residual one,
it predicts nonsense however well they do. Students from one start that differ in their up-sampling alone can be
averaged, at a price: on validation hippocampi Dice 0.838, where ``teacher="per_student"`` had 0.861
(benchmarks/results/rivals_tuning.json). That averages predictions, (alpha p_T1 + beta p_T2) / (alpha + beta), and lets
backbones differ as they like.
"""

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from fewscan.errors import UsageError
from fewscan.methods.base import HyperParameters, Method
from fewscan.methods.teacher import Teacher, TeacherEnsemble, TeacherMode
from fewscan.networks.builder import NetworkBuilder, counterpart
from fewscan.networks.ema import check_same_shapes
from fewscan.networks.encoder_decoder import EncoderDecoder
from fewscan.networks.ensemble import Ensemble, ensemble_spec
from fewscan.networks.registry import NetworkSpec

AVERAGEABLE = {"name": "vnet", "options": {"upsampling": "linear"}}
"""A network that can be averaged with its counterpart, which up-samples by nearest neighbours."""

APART = "set hyper.teacher=per_student and hyper.same_start=false"
"""What lets students differ as they like."""


class TwoStudentsParameters(HyperParameters):
    """Of eq. 1; the defaults are the published values, or what the paper implies."""

    alpha: float = Field(0.005, gt=0, lt=0.5, description="eq. 1; not stated, together the usual 0.01")
    beta: float = Field(0.005, gt=0, lt=0.5, description="eq. 1; not stated, together the usual 0.01")
    second: NetworkSpec | None = Field(None, description="student 2, null: the counterpart of the run's network; ours")
    same_start: bool = Field(False, description="both students start from the same weights; paper 3: not stated")
    teacher: Literal["averaged", "per_student"] = Field("averaged", description="average of weights; paper 3, eq. 1")
    teacher_mode: TeacherMode = Field("train", description="train: with dropout and batch statistics; public code")
    predict_with: Literal["teacher", "first", "second"] = Field("teacher", description="network kept; not stated")


class TwoStudents(Method):
    """Base of methods with such students; their hyper-parameters are `TwoStudentsParameters` and more.

    Beside the network that is asked for, each student may predict, and both as one ("students").
    """

    predictors = ("first", "second", "students")

    def networks(self, build: NetworkBuilder) -> None:
        """Build the students; their teacher starts as their average.

        Raises
        ------
        UsageError
            If they are to start alike and their shapes differ, or nothing but their start could tell them apart; or if
            they are to be averaged and their average is no network.
        """
        hyper, kind = self.hyper, Teacher if self.hyper.teacher == "averaged" else TeacherEnsemble
        self.second_spec = self._other(build.spec) if hyper.second is None else build.fitted(hyper.second)
        self.first, self.second = build(), build(self.second_spec)
        if hyper.same_start or hyper.teacher == "averaged":
            self._check_shapes()
        if hyper.teacher == "averaged":
            self._check_average()
        if hyper.same_start:
            self._check_difference(build.spec)
            self.second.load_state_dict(self.first.state_dict())
        ema = {"decay": 1 - hyper.alpha - hyper.beta, "weights": [hyper.alpha, hyper.beta], "mode": hyper.teacher_mode}
        self.teacher = kind(self.first, self.second, **ema)

    def _other(self, spec: NetworkSpec) -> NetworkSpec:
        return counterpart(spec, averageable=self.hyper.teacher == "averaged")

    def _check_shapes(self) -> None:
        try:
            check_same_shapes([self.first, self.second])
        except ValueError as error:
            raise UsageError(
                f"{self.name}: {error}",
                mend=f"Leave hyper.second out, or {APART}.",
            ) from None

    def _check_average(self) -> None:
        """Refuse students whose weights do not mean the same."""
        if not self.hyper.same_start:
            raise UsageError(
                f"{self.name}: the average of students that start from different weights is no network",
                mend=f"Set hyper.same_start=true, or {APART}.",
            )
        differing = _differing_options(self.first, self.second)
        if differing - {"upsampling"}:
            raise UsageError(
                f"{self.name}: the average of students that differ in {', '.join(sorted(differing))} is no network",
                mend=f"Let hyper.second differ in upsampling alone, or {APART}.",
            )

    def _check_difference(self, spec: NetworkSpec) -> None:
        """Refuse students that are one and the same network."""
        if not _differing_options(self.first, self.second):
            ours = isinstance(self.first, EncoderDecoder)
            partner = f"Set network.options.upsampling=linear, whose partner is nearest, or {APART}."
            raise UsageError(
                f"{self.name}: both students would be the same network {spec.name!r}",
                mend=partner if ours else f"{APART.capitalize()}.",
            )

    def let_teacher_measure(self, images: Tensor) -> None:
        """Show images to an averaged teacher that nobody asks: it has running statistics of its own."""
        if self.hyper.teacher == "averaged":
            self.teacher.probabilities(images)

    def after_step(self, step: int) -> None:
        """Move the teacher, eq. 1."""
        self.teacher.update([self.first, self.second], step)

    def predictor(self) -> nn.Module:
        """Return the network asked for; two teachers predict as one."""
        kept = {"teacher": self.teacher.network, "first": self.first, "second": self.second}
        return kept[self.hyper.predict_with]

    def predictor_spec(self, network: NetworkSpec) -> NetworkSpec:
        """Return what builds `predictor`."""
        hyper = self.hyper
        if hyper.predict_with == "teacher" and hyper.teacher == "per_student":
            return ensemble_spec([network, self.second_spec], [hyper.alpha, hyper.beta])
        return self.second_spec if hyper.predict_with == "second" else network

    def further_predictors(self, network: NetworkSpec) -> dict[str, tuple[nn.Module, NetworkSpec]]:
        """Return each student, and the mean of both."""
        specs, alike = (network, self.second_spec), (1.0, 1.0)
        both = Ensemble((self.first, self.second), alike), ensemble_spec(specs, alike)
        return {"first": (self.first, specs[0]), "second": (self.second, specs[1]), "students": both}


def _differing_options(first: nn.Module, second: nn.Module) -> set[str]:
    """Return in which options two networks of one shape differ; networks of MONAI have none."""
    one, other = (_options(network) for network in (first, second))
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def _options(network: nn.Module) -> dict[str, Any]:
    return network.options.model_dump() if isinstance(network, EncoderDecoder) else {}
