"""The joint framework of paper 1: a segmentation and a registration network that teach each other.

(1)  round 0: S learns from the annotated scans, R from all scans without masks
(2)  q(x) = h mean over views of S(x) + (1 - h) mean over annotated scans of y_n(D_n(x)),  for every other scan x
(3)  round 1, 2, ...: both go on learning: S from true labels y and soft masks q, R from pairs with y or q on each side

S and R continue with their weights and lower learning rates; their optimisers start anew. True labels are never
replaced. h = 1/2. The final S is the paper's "Joint", and eq. 2 at prediction its "Combined". That is preset `paper`.
In `recommended` round 0 trains S as a Mean Teacher, on all scans, and R with the true labels too; learning rates stay,
and h = 0.85.

Every step takes annotated and other scans in fixed numbers, and both losses have weight 1 in `paper`. So the
annotated scans together count as much as the others together; in a pool of all scans, as in the paper, each scan would
count once.

With validation scans every stage is validated at its end (not each ``validate_every`` steps): the best of these is kept
as the best model, and no further round begins once ``patience`` rounds have not raised it. Without, all rounds are run.

With ``mode: agreement`` only scans whose halves agree are used, which is what the authors' public code does; see
`fewscan.recipes.mask_quality.agreeing`. R's loss is that of method `registration`, and that of S

(4)  L = a CE(p, y) + b Dice(p, y) + w Dice(p, q) + v CE(p, q)    (`fewscan.methods.pseudo_supervised`)

with w = 1 and v = 0 in `paper`, w = 0 and v = 1 in `recommended`.
"""

from typing import Any, ClassVar

from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedStore
from fewscan.data.split import Split
from fewscan.errors import UsageError
from fewscan.methods.base import HyperParameters
from fewscan.methods.recipe import Recipe
from fewscan.methods.registration import Registration
from fewscan.networks.registry import is_registration_network
from fewscan.recipes.joint_settings import (
    PAPER,
    RECOMMENDED,
    JointParameters,
    lengths_for,
    parameters_of,
    stage_settings,
)
from fewscan.training.run import Run
from fewscan.training.settings import TrainSettings
from fewscan.training.start import build_method
from fewscan.training.whole_scans import check_plan


class Joint(Recipe):
    """Two networks, trained in turn on each other's pseudo-masks."""

    name = "joint"
    title = "Joint segmentation and registration: two networks that teach each other by soft pseudo-masks"
    paper = "Paper 1; registration: Li et al. 2024 (MrRegNet)"
    equations = (
        "q = h mean_views S(x) + (1 - h) mean_n y_n(D_n(x))\n"
        "S: L = CE(p, y) + Dice(p, y) + w Dice(p, q) + v CE(p, q);  R: as method registration, with y or q as masks\n"
        "iterations is the total of all stages"
    )
    parts = "a segmentation network and a registration network, trained in turn"
    when = "Segmentation and registration from the same few labels: on the hippocampus the registration gains most."
    tuned = "compared on 40 validation slices of the hippocampus (benchmarks/results/joint_tuning.json)"
    hyper_parameters: ClassVar[type[HyperParameters]] = JointParameters
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": PAPER, "recommended": RECOMMENDED}
    uses_unlabelled = True
    predictors = ("combined",)

    @classmethod
    def check(cls, settings: TrainSettings, plan: Plan, split: Split) -> None:
        """Raise `UsageError` for scans that cannot be registered whole, a wrong registration network, too few steps."""
        network = parameters_of(settings).registration.network.name
        if not is_registration_network(network):
            raise UsageError(
                f"hyper.registration.network: {network!r} does not register images", mend="Use mrregnet."
            )  # fmt: skip
        if plan.slice_axis is not None:
            check_plan(Registration, plan, patch_size=None)
        stage = stage_settings(settings, "registration", round_number=0, steps=1)
        # how many levels there are, and so how many lambdas, only the prepared scans tell
        build_method(stage.model_copy(update={"hyper": stage.hyper | {"lambdas": None}}), plan)
        lengths_for(settings, split)

    @classmethod
    def patch_stage(cls, settings: TrainSettings) -> TrainSettings:
        """Return the settings of the segmentation network's first stage."""
        return stage_settings(settings, "segmentation", round_number=0, steps=settings.iterations)

    @classmethod
    def train(cls, run: Run, store: PreparedStore, settings: TrainSettings, fabric: Any, *, quiet: bool) -> None:
        """Run every stage that is not finished."""
        from fewscan.recipes.joint_rounds import JointTraining

        JointTraining(run, store, settings, fabric, quiet=quiet).train()
