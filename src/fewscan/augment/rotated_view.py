"""A test-time view that is rotated by a few degrees, in 2-D.

Unlike the views of `fewscan.augment.views` it interpolates, once on the way there and once, linearly, on the way back:
an average over views becomes a little softer at edges. What comes from outside the image repeats its border.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fewscan.augment.elastic import linear_part


@dataclass(frozen=True)
class RotatedView:
    """An image turned about its centre.

    Attributes
    ----------
    angle_degrees : float
        Positive turns like ``torch.rot90``.
    spacing_mm : pair of float, optional
        Of the image, so that the anatomy is turned without shearing it; equal where not given.
    """

    angle_degrees: float
    spacing_mm: Sequence[float] = (1.0, 1.0)

    @property
    def name(self) -> str:
        """For logs."""
        return f"rotation {self.angle_degrees:+g}"

    def forward(self, images: Tensor) -> Tensor:
        """Return the view of images (B, C, *size)."""
        return self._turned(images, self.angle_degrees)

    def inverse(self, probabilities: Tensor) -> Tensor:
        """Return probabilities (B, classes, *size) of the view on the grid of the image; they still add up to 1."""
        return self._turned(probabilities, -self.angle_degrees)

    def _turned(self, x: Tensor, angle_degrees: float) -> Tensor:
        extent = [side * step for side, step in zip(x.shape[2:], self.spacing_mm, strict=True)]
        linear = linear_part(torch.tensor([[angle_degrees]]), torch.ones(1), extent)
        # affine_grid counts coordinates from the last axis
        theta = torch.cat([linear.flip(1, 2), torch.zeros(1, 2, 1)], dim=2).to(x.device, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            grid = F.affine_grid(theta, [1, 1, *x.shape[2:]], align_corners=False).expand(len(x), -1, -1, -1)
            return F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
