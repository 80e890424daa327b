"""Spatial transforms of a batch: drawn once, applied to images and to everything that must move with them.

Flips and turns come first and are exact. Rotation, scaling and elastic deformation follow as one grid, so that images
and labels are interpolated once, and only in the samples that were chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fewscan.augment.draws import check_generator, draw
from fewscan.augment.elastic import free_form_grid, linear_part
from fewscan.augment.settings import Augmentation
from fewscan.augment.symmetry import Symmetry, draw_symmetries

# Across thick slices a rotation by a few degrees jumps whole slices; nnU-Net draws the line at the same ratio.
MAX_ANISOTROPY = 3.0


@dataclass(frozen=True)
class SpatialTransform:
    """One spatial transform per sample of a batch.

    Attributes
    ----------
    symmetries : tuple of Symmetry
        Flips and turns, one per sample.
    warped : Tensor (n,), int64
        Indices of the samples that are warped.
    grid : Tensor (n, *spatial, D)
        Where the warped samples are read, in the coordinates of ``grid_sample``.
    """

    symmetries: tuple[Symmetry, ...]
    warped: Tensor
    grid: Tensor

    def apply_image(self, images: Tensor, *, background: Tensor) -> Tensor:
        """Move images (B, C, *spatial), linearly; what comes from outside is ``background`` (B, C).

        Images of ones with background 0 give a mask of what lay inside the patch. Gradients pass through.
        """
        moved = self._reorient(images)
        if len(self.warped):
            # grid_sample reads zeros outside, so the background is made zero for its time
            empty = background.to(images)[self.warped].reshape(-1, images.shape[1], *[1] * (images.ndim - 2))
            moved[self.warped] = self._sample(moved[self.warped] - empty, "bilinear") + empty
        return moved

    def apply_label(self, labels: Tensor, *, interpolation: Literal["nearest", "linear"] = "nearest") -> Tensor:
        """Move labels; what comes from outside is class 0.

        Parameters
        ----------
        labels : Tensor
            Hard (B, *spatial) of an integer type, or soft (B, classes, *spatial) of a float type; soft labels are
            interpolated linearly and keep their sum.
        interpolation : "nearest" or "linear"
            For hard labels; linear takes the class of the largest interpolated indicator.
        """
        if labels.is_floating_point():
            outside = labels.new_zeros(labels.shape[:2])
            outside[:, 0] = 1
            return self.apply_image(labels, background=outside)
        if interpolation == "linear" and len(self.warped):
            classes = torch.arange(int(labels.max()) + 1, device=labels.device).reshape(1, -1, *[1] * (labels.ndim - 1))
            indicators = (labels.unsqueeze(1) == classes).to(self.grid.dtype)
            # on the CPU argmax over channels takes 25 times as long as max
            return self.apply_label(indicators).max(1).indices.to(labels.dtype)
        moved = self._reorient(labels)
        if len(self.warped):
            values = moved[self.warped].unsqueeze(1).to(self.grid.dtype)
            moved[self.warped] = self._sample(values, "nearest").squeeze(1).to(labels.dtype)
        return moved

    def _reorient(self, tensor: Tensor) -> Tensor:
        return torch.stack([symmetry.apply(sample) for symmetry, sample in zip(self.symmetries, tensor, strict=True)])

    def _sample(self, values: Tensor, mode: str) -> Tensor:
        return F.grid_sample(values, self.grid.to(values.dtype), mode=mode, padding_mode="zeros", align_corners=False)


def draw_spatial_transform(
    settings: Augmentation,
    *,
    batch: int,
    size: Sequence[int],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    spacing_mm: Sequence[float] | None = None,
) -> SpatialTransform:
    """Draw a spatial transform for a batch.

    Parameters
    ----------
    settings : Augmentation
        Probabilities and ranges.
    batch : int
        Number of samples.
    size : sequence of int
        Of the patches, in voxels.
    generator : torch.Generator
        On the CPU.
    device : torch.device or str
        Where the images are.
    spacing_mm : sequence of float, optional
        Of the patches; equal spacing where not given. Planes whose spacings differ more than threefold are not rotated.

    Raises
    ------
    UsageError
        If the settings name an axis that the patches lack or a plane whose sides differ.
    """
    check_generator(generator)
    dimensions = len(size)
    symmetries = draw_symmetries(settings, batch=batch, size=size, generator=generator, spacing_mm=spacing_mm)
    spacing_mm = tuple(spacing_mm or (1.0,) * dimensions)
    planes = tuple(combinations(range(dimensions), 2))
    rotated, angles = draw(settings.rotation, (batch, len(planes)), generator=generator)
    scaled, factors = draw(settings.scaling, (batch,), generator=generator, logarithmic=True)
    bent, amounts = draw(settings.elastic, (batch,), generator=generator)
    points = (settings.elastic_cells + 3,) * dimensions
    directions = 2 * torch.rand((batch, dimensions, *points), generator=generator) - 1

    flat = [max(spacing_mm[a], spacing_mm[b]) <= MAX_ANISOTROPY * min(spacing_mm[a], spacing_mm[b]) for a, b in planes]
    angles = _only(rotated, angles * torch.tensor(flat), neutral=0)
    factors = _only(scaled, factors, neutral=1)
    amounts = _only(bent, amounts, neutral=0)
    warped = torch.tensor(sorted({*rotated.tolist(), *scaled.tolist(), *bent.tolist()}), dtype=torch.long)
    extent = [count * step for count, step in zip(size, spacing_mm, strict=True)]
    linear = linear_part(angles[warped], factors[warped], extent)
    displacement = directions[warped] * amounts[warped].reshape(-1, *[1] * (dimensions + 1))
    grid = free_form_grid(linear, displacement.to(device), size)
    return SpatialTransform(symmetries=symmetries, warped=warped.to(device), grid=grid)


def _only(chosen: Tensor, strength: Tensor, *, neutral: float) -> Tensor:
    """Return the strength in the chosen samples and the neutral value in the others."""
    kept = torch.full_like(strength, neutral)
    kept[chosen] = strength[chosen]
    return kept
