"""RegistrationPredictor: a trained registration network, ready to lay one prepared scan onto another.

Two scans of any sizes come onto one grid, centred and padded as in training (`centred_start`); it is at least as large
as the training grid and holds both whole. The field that the network returns there is cut to the fixed scan, and gets
the shift between the two scans' places, so that voxel p of the fixed array belongs to index p + u(p) of the moving one.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fewscan.data.boxes import centred_part, centred_start, cut_centred
from fewscan.errors import UsageError
from fewscan.inference.model_file import REGISTRATION_NAME, ModelSpec, load_model
from fewscan.networks.layout import best_layout
from fewscan.networks.precision import resolve_precision
from fewscan.networks.registry import is_registration_network
from fewscan.registration.network_field import network_field
from fewscan.registration.objective import Objective, Pairs
from fewscan.registration.parameters import RegistrationParameters
from fewscan.registration.refine import refine

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class RegistrationPredictor:
    """A registration network on its device.

    Attributes
    ----------
    network : nn.Module
        With ``displacement(moving, fixed)``; in evaluation mode.
    spec : ModelSpec
        What it was trained for.
    device : torch.device
        Where it computes.
    dtype : torch.dtype
        In which precision, see `resolve_precision`; fields are float32 always.
    """

    network: nn.Module
    spec: ModelSpec
    device: torch.device
    dtype: torch.dtype = torch.float32

    @classmethod
    def load(cls, model_path: Path, *, device: torch.device, precision: str = "auto") -> Self:
        """Read a model file or run folder and put its network on the device.

        Parameters
        ----------
        model_path : Path
            Model file, or run folder; of a run that trained both, its registration network.
        device : torch.device
            Where to compute.
        precision : "auto", "fp32" or "bf16"
            See `resolve_precision`.

        Raises
        ------
        DataError
            If the model file is not intact.
        UsageError
            If the model segments, or for a precision that does not exist.
        """
        beside = model_path / REGISTRATION_NAME
        network, spec = load_model(beside if beside.is_file() else model_path)
        if not is_registration_network(spec.network.name):
            raise UsageError(
                f"{model_path}: is a segmentation model (method {spec.method}) and registers nothing",
                mend="Give the run of a registration (fewscan train --method registration), or use fewscan predict.",
            )
        dtype = resolve_precision(precision, device)
        layout = best_layout(spec.plan.dimensions, device, dtype)
        placed = network.to(device).to(memory_format=layout)  # type: ignore[call-overload]  # missing in torch
        return cls(network=placed, spec=spec, device=device, dtype=dtype)

    @property
    def objective(self) -> Objective:
        """How pairs were judged in training."""
        return self._hyper.objective

    def displacement(
        self,
        moving_image: FloatArray,
        fixed_image: FloatArray,
        *,
        moving_background: Sequence[float] | None = None,
        fixed_background: Sequence[float] | None = None,
        refine_steps: int = 0,
    ) -> FloatArray:
        """Return the displacement that lays the moving scan onto the fixed one.

        Parameters
        ----------
        moving_image, fixed_image : float32 array (channels, *size)
            Prepared as the plan says, of any two sizes.
        moving_background, fixed_background : sequence of float, optional
            Per channel, the value of an empty voxel to pad with; the lowest of the scan unless told.
        refine_steps : int
            Steps of optimisation on this pair, see `refine`; 0 takes the network's field.

        Returns
        -------
        float32 array (dimensions, *fixed size)
            u in voxels of the prepared grids: voxel p of the fixed array belongs to index p + u(p) of the moving array.

        Raises
        ------
        UsageError
            If the images do not fit the model.
        DataError
            If the network gives numbers that are not finite.
        """
        pair = self.place(
            moving_image, fixed_image, moving_background=moving_background, fixed_background=fixed_background
        )
        field = self.field(pair, refine_steps=refine_steps)[0].cpu().numpy()
        grid, moving_size, fixed_size = field.shape[1:], moving_image.shape[1:], fixed_image.shape[1:]
        inner = centred_part(fixed_size, grid)
        # from the first voxel of the moving scan to that of the fixed one
        shift = [part.start + start for part, start in zip(inner, centred_start(moving_size, grid), strict=True)]
        result: FloatArray = field[(slice(None), *inner)] + np.asarray(shift, np.float32).reshape(-1, *[1] * len(grid))
        return result

    def place(
        self,
        moving_image: FloatArray,
        fixed_image: FloatArray,
        *,
        moving_background: Sequence[float] | None = None,
        fixed_background: Sequence[float] | None = None,
    ) -> Pairs:
        """Return both scans on their common grid, as one pair on the device; arguments as in `displacement`."""
        plan = self.spec.plan
        for image in (moving_image, fixed_image):
            if image.ndim != 1 + plan.dimensions or image.shape[0] != len(plan.channels):
                raise UsageError(
                    f"the model registers {plan.dimensions}-D scans of {len(plan.channels)} channel(s), "
                    f"got an array of shape {image.shape}",
                    mend="Prepare the scans with the model's own plan.",
                )
        sizes = (moving_image.shape[1:], fixed_image.shape[1:], plan.patch_size)
        grid = tuple(max(sides) for sides in zip(*sizes, strict=True))
        moving, moving_inside = self._on_grid(moving_image, grid, moving_background)
        fixed, fixed_inside = self._on_grid(fixed_image, grid, fixed_background)
        return Pairs(moving, fixed, moving_inside, fixed_inside)

    def field(self, pair: Pairs, *, refine_steps: int = 0) -> Tensor:
        """Return the displacement ``(pairs, dimensions, *grid)`` on the common grid, in voxels."""
        cast = torch.autocast(self.device.type, dtype=self.dtype) if self.dtype == torch.bfloat16 else nullcontext()
        with torch.no_grad(), cast:
            field = network_field(self.network, pair.moving, pair.fixed)
        if refine_steps:
            hyper = self._hyper
            field = refine(
                field,
                pair,
                hyper.objective,
                steps=refine_steps,
                similarity_weight=hyper.similarity_weight,
                smoothness_weight=hyper.smoothness_weight,
            )
        return field

    @property
    def _hyper(self) -> RegistrationParameters:
        return RegistrationParameters.parse(self.spec.details.get("hyper", {}), source="hyper-parameters of the model")

    def _on_grid(
        self, image: FloatArray, grid: tuple[int, ...], background: Sequence[float] | None
    ) -> tuple[Tensor, Tensor]:
        """Return image and inside as ``(1, channels, *grid)`` on the device."""
        lowest = image.min(axis=tuple(range(1, image.ndim)))
        empty = lowest if background is None else np.asarray(background, np.float32)
        inside = cut_centred(np.ones((1, *image.shape[1:]), np.float32), grid, np.zeros(1, np.float32))
        placed = torch.from_numpy(cut_centred(image, grid, empty))[None].to(self.device)
        layout = best_layout(len(grid), self.device, self.dtype)
        return placed.contiguous(memory_format=layout), torch.from_numpy(inside)[None].to(self.device)
