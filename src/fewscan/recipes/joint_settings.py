"""Settings of the joint framework, and what each of its stages is told.

``iterations`` of a run is the total of all its stages; ``first_segmentation`` and the other three lengths say how it is
divided. Paper 1 counts epochs. Here they are steps, by its smallest experiment: 600 training scans, 5 of them labelled,
in batches of 5 (public code), so that an epoch is 1 step on the labelled scans alone and 120 on all scans.

======================  =============  =========================
stage                   paper 1        preset ``paper``
======================  =============  =========================
segmentation, round 0   500 epochs     500 steps
registration, round 0   200 epochs     24 000 steps
segmentation, later     100 epochs     12 000 steps in each round
registration, later     50 epochs      6 000 steps in each round
======================  =============  =========================
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Literal

from pydantic import Field

from fewscan.data.split import Split
from fewscan.errors import UsageError
from fewscan.methods.mean_teacher import RECOMMENDED as RECOMMENDED_TEACHER
from fewscan.methods.mean_teacher import MeanTeacherParameters
from fewscan.methods.pseudo_supervised import PseudoSupervisedParameters
from fewscan.methods.supervised import SupervisedParameters
from fewscan.networks.registry import NetworkSpec
from fewscan.registration.parameters import RegistrationParameters
from fewscan.seeding import seed_for
from fewscan.settings import Settings
from fewscan.training.settings import BatchSettings, TrainSettings

Kind = Literal["segmentation", "registration"]


class RegistrationStage(Settings):
    """How the registration network is trained; whatever is not here is as for the segmentation network."""

    network: NetworkSpec = Field(
        NetworkSpec(name="mrregnet", options={"output_stride": 2}),
        description="of the fields; paper 1: MrRegNet, full resolution",
    )
    learning_rate: float = Field(1e-3, gt=0, description="of round 0; paper 1: 1e-3")
    batch: BatchSettings = Field(
        BatchSettings(labelled=2, unlabelled=4), description="whole scans per step, each once the fixed one; ours"
    )
    loss: RegistrationParameters = Field(RegistrationParameters(), description="as `hyper` of method registration")


class JointParameters(PseudoSupervisedParameters):
    """Of the rounds, the pseudo-masks and both networks' trainings."""

    first_method: Literal["supervised", "mean_teacher"] = Field(
        "supervised",
        description="what trains S in round 0; a teacher with its recommended preset, whatever else is set here; "
        "paper 1: supervised",
    )
    rounds: int = Field(7, ge=0, description="after round 0; paper 1: converges by 7")
    patience: int = Field(
        2, ge=0, description="rounds without better validation Dice before it ends, 0: never; paper 1: not stated"
    )
    first_registration_labels: bool = Field(False, description="true labels teach R in round 0 already; paper 1: no")
    first_segmentation: int = Field(500, ge=1, description="length of round 0, see `iterations`; paper 1: 500 epochs")
    first_registration: int = Field(24_000, ge=1, description="the same; paper 1: 200 epochs")
    later_segmentation: int = Field(12_000, ge=1, description="length in each later round; paper 1: 100 epochs")
    later_registration: int = Field(6_000, ge=1, description="the same; paper 1: 50 epochs")
    later_rate: float = Field(0.1, gt=0, description="learning rates of later rounds, by those of round 0; paper 1")
    atlases: int = Field(5, ge=1, description="N annotated scans laid onto each other scan; paper 1")
    views: int = Field(5, ge=1, description="N test-time views, as many as there are; paper 1")
    segmentation_share: float = Field(0.5, ge=0, le=1, description="h; paper 1: 0.5")
    rotation_degrees: float = Field(10.0, ge=0, lt=180, description="of the rotated views, 2-D; paper 1 names none")
    mode: Literal["average", "agreement"] = Field(
        "average", description="which scans are used; paper 1: average, its public code: agreement"
    )
    agreement_dice: float = Field(0.9, ge=0, le=1, description="of the halves of a scan that is used; public code")
    agreement_least: float = Field(0.2, ge=0, le=1, description="the same for scans that fill the quota; public code")
    agreement_quota: float = Field(0.06, ge=0, le=1, description="share of scans, times round + 1; public code: 37/600")
    guard: float | None = Field(4.0, gt=1, description="change of volume or entropy that is a collapse; paper 1: none")
    registration: RegistrationStage = Field(RegistrationStage(), description="its own stages")


PAPER_ROUNDS = 7
PAPER: dict[str, Any] = {
    "network": {"name": "residual_unet"},
    # Adam: no weight decay
    "optimiser": {
        "name": "adamw",
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
        "schedule": "constant",
        "clip_gradient_norm": None,
    },
    "augmentation": "none",
    "batch": {"labelled": 5, "unlabelled": 5},
    "iterations": 500 + 24_000 + PAPER_ROUNDS * (12_000 + 6_000),
    "hyper": {
        "rounds": PAPER_ROUNDS,
        "cross_entropy_weight": 0.0,
        "squared_dice": True,
        "registration": {
            "network": {"name": "mrregnet", "options": {"head_std": None}},
            "batch": {"labelled": 2, "unlabelled": 3},
            "loss": {"resize": "nearest"},
        },
    },
}
RECOMMENDED: dict[str, Any] = {
    "network": {"name": "residual_unet"},
    "iterations": 3500,
    "ema_decay": 0.99,
    "hyper": {
        # good masks from the start: they teach the registration far more than its masks teach the segmentation network,
        # so the registration's share is small (benchmarks/results/joint_tuning.json)
        "first_method": "mean_teacher",
        "first_registration_labels": True,
        "segmentation_share": 0.85,
        "rounds": 2,
        "first_segmentation": 1000,
        "first_registration": 600,
        "later_segmentation": 500,
        "later_registration": 450,
        "later_rate": 1.0,
        "pseudo_weight": 0.0,
        "pseudo_cross_entropy_weight": 1.0,
        "strong_student": True,
        "mix_box": 0.67,
        "registration": {
            # as method registration: integrated velocities at half the resolution
            "network": {"name": "mrregnet", "options": {"output_stride": 2, "integration_steps": 5}},
            "batch": {"labelled": 2, "unlabelled": 4},
            "loss": {"label_weight": 5.0, "smoothness_weight": 0.1},
        },
    },
}


# by method: its parameters, and what it is told beyond the recipe's own
SEGMENTATION: dict[str, tuple[type[SupervisedParameters], dict[str, Any]]] = {
    "supervised": (SupervisedParameters, {}),
    "mean_teacher": (MeanTeacherParameters, RECOMMENDED_TEACHER),
    "pseudo_supervised": (PseudoSupervisedParameters, {}),
}


def parameters_of(settings: TrainSettings) -> JointParameters:
    """Return the hyper-parameters of a run."""
    return JointParameters.parse(settings.hyper, source="settings of method joint")


def stage_lengths(settings: TrainSettings, *, rounds: int, registers: bool = True) -> dict[tuple[int, Kind], int]:
    """Return the steps of each stage, by round and kind, in their order; they add up to ``iterations``.

    Without a second scan nothing is registered, and the segmentation is given all steps.

    Raises
    ------
    UsageError
        If there are fewer steps than stages.
    """
    hyper = parameters_of(settings)
    shares: dict[tuple[int, Kind], int] = {}
    for number in range(rounds + 1):
        shares[number, "segmentation"] = hyper.later_segmentation if number else hyper.first_segmentation
        if registers:
            shares[number, "registration"] = hyper.later_registration if number else hyper.first_registration
    if settings.iterations < len(shares):
        raise UsageError(
            f"{settings.iterations} iterations cannot be divided among {len(shares)} stages",
            mend="Raise iterations, which is the total of all stages, or lower hyper.rounds.",
        )
    steps = _divided(settings.iterations, list(shares.values()))
    if 0 in steps:
        steps = [1 + more for more in _divided(settings.iterations - len(shares), list(shares.values()))]
    return dict(zip(shares, steps, strict=True))


def lengths_for(settings: TrainSettings, split: Split) -> dict[tuple[int, Kind], int]:
    """Return `stage_lengths` for these scans: no round follows without unlabelled ones, nor is one scan registered."""
    rounds = parameters_of(settings).rounds if split.unlabelled else 0
    return stage_lengths(settings, rounds=rounds, registers=len(split.labelled) + len(split.unlabelled) > 1)


def _divided(total: int, shares: Sequence[int]) -> list[int]:
    """Divide a total in proportion to the shares, without a remainder."""
    ends = [0, *(round(total * done / sum(shares)) for done in accumulate(shares))]
    return [end - start for start, end in pairwise(ends)]


def stage_settings(settings: TrainSettings, kind: Kind, *, round_number: int, steps: int) -> TrainSettings:
    """Return the settings of one stage, which is validated at its end alone, whatever ``validate_every`` says.

    Round 0 of the segmentation is what ``first_method`` does with the same settings and as many steps.
    """
    hyper = parameters_of(settings)
    rate = hyper.later_rate if round_number else 1.0
    changes: dict[str, Any] = {"iterations": steps, "validate_every": 0}
    if round_number or kind == "registration":
        changes["seed"] = seed_for(settings.seed, "stage", kind, round_number) % 2**31
    if kind == "registration":
        stage = hyper.registration
        loss = stage.loss.model_dump(mode="json")
        if round_number == 0 and not hyper.first_registration_labels:
            loss["label_weight"] = 0.0
        changes |= {
            "method": "registration",
            "hyper": loss,
            "network": stage.network,
            "batch": stage.batch,
            "patch_size": None,
            "augmentation": settings.augmentation.unmirrored(),
            "optimiser": settings.optimiser.model_copy(update={"learning_rate": stage.learning_rate * rate}),
        }
    else:
        method = "pseudo_supervised" if round_number else hyper.first_method
        model, preset = SEGMENTATION[method]
        common = hyper.model_dump(mode="json", include=set(model.model_fields) - set(preset))
        changes |= {
            "method": method,
            "hyper": model.parse(preset | common, source="settings of method joint").model_dump(mode="json"),
            "optimiser": settings.optimiser.model_copy(
                update={"learning_rate": settings.optimiser.learning_rate * rate}
            ),
        }
    return settings.model_copy(update=changes)
