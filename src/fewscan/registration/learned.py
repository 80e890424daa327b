"""Registration by a trained network."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch

from fewscan.data.boxes import centred_start
from fewscan.data.plan import Plan
from fewscan.data.prepare import PreparedScan
from fewscan.registration.affine import Effort
from fewscan.registration.align import PlacedScan, place
from fewscan.registration.predictor import RegistrationPredictor
from fewscan.registration.registrar import Match, Matrix


@dataclass(frozen=True)
class LearnedRegistrar:
    """A trained network as a `fewscan.registration.registrar.Registrar`.

    Attributes
    ----------
    predictor : RegistrationPredictor
        The network on its device.
    align : "none", "centre" or "affine"
        How the moving scan is laid before the network sees it.
    refine_steps : int
        Steps of optimisation on the pair itself, after the network.
    effort : Effort
        Of the affine alignment.
    """

    predictor: RegistrationPredictor
    align: str = "centre"
    refine_steps: int = 0
    effort: Effort = field(default_factory=Effort)

    @classmethod
    def load(
        cls, model: Path, *, device: torch.device, precision: str, align: str, refine_steps: int, effort: Effort
    ) -> Self:
        """Read a model file or run folder; see `RegistrationPredictor.load`."""
        predictor = RegistrationPredictor.load(model, device=device, precision=precision)
        return cls(predictor, align, refine_steps, effort)

    @property
    def plan(self) -> Plan:
        """How the network's scans are prepared."""
        return self.predictor.spec.plan

    def match(self, moving: PreparedScan, fixed: PreparedScan) -> Match:
        """Register one pair."""
        placed = place(moving, fixed, align=self.align, effort=self.effort)
        displacement = self.predictor.displacement(
            placed.image,
            fixed.image,
            moving_background=moving.meta.background,
            fixed_background=fixed.meta.background,
            refine_steps=self.refine_steps,
        )
        start = self._start(placed, fixed) if self.align == "centre" else placed.start
        return Match(displacement, placed.to_moving, start)

    def _start(self, placed: PlacedScan, fixed: PreparedScan) -> Matrix:
        """Return where a displacement of zero lays the scans: centre on centre to a whole voxel, as the predictor."""
        target = fixed.meta.prepared
        sizes = placed.image.shape[1:], target.size
        grid = [max(sides) for sides in zip(*sizes, self.plan.patch_size, strict=True)]
        moving, still = (np.asarray(centred_start(size, grid)) for size in sizes)
        shift = np.eye(target.dimensions + 1)
        shift[:-1, -1] = moving - still
        return np.asarray(placed.to_moving @ shift @ np.linalg.inv(target.affine()))
