"""Registration of pairs by MrRegNet (paper 1, section 2.3; Li et al. 2024), with labels where a pair has them.

(1)  L_dsc(y', y) = 1 - 2 sum y' y / (sum y'^2 + sum y^2),  mean over the foreground classes
(2)  L_sim(x, y) = 1 - mean over voxels of (x - mean x)(y - mean y) / (sd x sd y)
(3)  L = 1/K sum over levels i of  [L_sim(x_S o D_i, x_T) + L_dsc(y_S o D_i, y_T) + lambda_i |grad d_i|^2]
(4)  + w mean over voxels of |D_ST o D_TS|^2,  only with `inverse_consistency` above 0

S is the moving scan, T the fixed one, D_i the field of level i and d_i what that level adds to it. Paper 1 writes eq. 2
with variances; a correlation needs standard deviations. Every scan of a batch is once the fixed one, and its partner is
drawn anew at each step (`fewscan.registration.pairing`), where public code keeps one partner for ever.
"""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.errors import UsageError
from fewscan.methods.base import HyperParameters, Method
from fewscan.registration.objective import inverse_error, pair_terms
from fewscan.registration.pairing import draw_pairs, make_pairs
from fewscan.registration.parameters import RegistrationParameters


class Registration(Method):
    """One network that lays any scan onto any other."""

    name = "registration"
    title = "Registration of any scan to any other, labels helping where there are some"
    paper = "Paper 1, section 2.3; Li et al. 2024 (MrRegNet)"
    equations = "L = 1/K sum_i [1 - GNCC(x_S o D_i, x_T) + Dice(y_S o D_i, y_T) + lambda_i |grad d_i|^2]"
    parts = "one registration network"
    when = "To lay scans onto each other: with no labels at all, better with some."
    tuned = (
        "compared on pairs of validation scans, augmentation on slices (benchmarks/results/registration_tuning.json)"
    )
    hyper_parameters: ClassVar[type[HyperParameters]] = RegistrationParameters
    presets = {
        "paper": {
            "network": {"name": "mrregnet", "options": {"head_std": None}},
            # Adam: no weight decay
            "optimiser": {
                "name": "adamw",
                "learning_rate": 1e-3,
                "weight_decay": 0.0,
                "schedule": "constant",
                "clip_gradient_norm": None,
            },
            "augmentation": "none",
            "batch": {"labelled": 2, "unlabelled": 3},
            "hyper": {"resize": "nearest"},
        },
        "recommended": {
            # fields are smooth: at half the resolution a step took a fifth of the time; integrated velocities did not
            # fold, so labels may pull harder and smoothness less; without augmentation a network knows its labelled
            # scans by heart (benchmarks/results/registration_tuning.json)
            "network": {"name": "mrregnet", "options": {"output_stride": 2, "integration_steps": 5}},
            "optimiser": {"learning_rate": 1e-3},
            "augmentation": "standard",
            "iterations": 4000,
            "batch": {"labelled": 2, "unlabelled": 2},
            "hyper": {"label_weight": 5.0, "smoothness_weight": 0.1},
        },
    }
    uses_unlabelled = True
    task: ClassVar[Literal["segmentation", "registration"]] = "registration"
    network_kind = "registration"
    whole_scans = True
    needs_labels = False

    def networks(self, build: Callable[[], nn.Module]) -> None:
        """Build the one network."""
        self.network = build()
        levels, given = int(self.network.levels), self.hyper.lambdas  # type: ignore[arg-type]
        if given is not None and len(given) != levels:
            raise UsageError(
                f"hyper.lambdas has {len(given)} entries, but the network has {levels} levels",
                mend="Give one per level, coarse to fine.",
            )

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the terms of eqs. 3 and 4; the labels' is left out where it has no weight or no pair has labels."""
        labelled, unlabelled = len(batch.images), len(batch.unlabelled)
        if batch.unlabelled_masks is not None:  # every scan has a mask, so no pair is worth more than another
            labelled, unlabelled = 0, labelled + unlabelled
        moving, fixed = draw_pairs(labelled, unlabelled)
        both_ways = self.hyper.inverse_consistency > 0
        if both_ways:
            moving, fixed = torch.cat([moving, fixed]), torch.cat([fixed, moving])
        pairs = make_pairs(batch, moving, fixed, classes=self.context.classes, with_masks=self.hyper.label_weight > 0)
        levels = self.network(pairs.moving, pairs.fixed)
        terms = pair_terms(levels, pairs, self.hyper.objective)
        if both_ways:
            there, back = levels[-1].displacement_vox.chunk(2)
            terms["inverse_consistency"] = inverse_error(there, back)
        return terms

    def weights(self, step: int) -> dict[str, float]:
        """Return the weights of eqs. 3 and 4."""
        hyper = self.hyper
        weights = {
            "similarity": hyper.similarity_weight,
            "labels": hyper.label_weight,
            "smoothness": hyper.smoothness_weight,
        }
        return weights | ({"inverse_consistency": hyper.inverse_consistency} if hyper.inverse_consistency else {})

    def predictor(self) -> nn.Module:
        """Return the trained network."""
        return self.network
