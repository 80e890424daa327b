"""Transforms of the sharpness of images: Gaussian blur and simulated low resolution.

Images are ``(n, C, *spatial)``; parameters are ``(n, C)``, one per sample and channel. Nothing is changed in place.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fewscan.augment.separable import apply_along_axes


def blur(images: Tensor, sigma_vox: Tensor) -> Tensor:
    """Filter with a Gaussian; near the border its weights are those of the voxels inside, scaled to sum 1."""
    sigma = sigma_vox.to(images)[..., None, None]
    matrices = []
    for voxels in images.shape[2:]:
        index = torch.arange(voxels, device=images.device, dtype=images.dtype)
        weights = torch.exp(-0.5 * ((index[:, None] - index[None, :]) / sigma) ** 2)
        matrices.append(weights / weights.sum(-1, keepdim=True))
    return apply_along_axes(images, matrices)


def lower_resolution(images: Tensor, share: Tensor) -> Tensor:
    """Keep a share of the voxels along each axis (the nearest ones) and sample them up again linearly."""
    size = list(images.shape[2:])
    result = torch.empty_like(images)
    shares: list[list[float]] = share.tolist()
    for sample, row in enumerate(shares):
        for channel, kept in enumerate(row):
            few = [max(1, round(voxels * kept)) for voxels in size]
            image = images[sample, channel][None, None]
            coarse = F.interpolate(image, size=few, mode="nearest-exact")
            mode = "bilinear" if len(size) == 2 else "trilinear"
            result[sample, channel] = F.interpolate(coarse, size=size, mode=mode)[0, 0]
    return result
