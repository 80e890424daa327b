"""Transforms of the sharpness of images: Gaussian blur and simulated low resolution.

Images are ``(n, C, *spatial)``; parameters are ``(n, C)``, one per sample and channel. Nothing is changed in place.
``inside`` ``(n, 1, *spatial)`` is 1 where a scan has data: padding is not mixed into it, and may come out as anything.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fewscan.separable import apply_along_axes

_LEAST = 1e-3


def blur(images: Tensor, sigma_vox: Tensor, inside: Tensor | None = None) -> Tensor:
    """Filter with a Gaussian; near the border its weights are those of the voxels inside, scaled to sum 1."""
    sigma = sigma_vox.to(images)[..., None, None]
    matrices = []
    for voxels in images.shape[2:]:
        index = torch.arange(voxels, device=images.device, dtype=images.dtype)
        weights = torch.exp(-0.5 * ((index[:, None] - index[None, :]) / sigma) ** 2)
        matrices.append(weights / weights.sum(-1, keepdim=True))
    return _without_padding(lambda each: apply_along_axes(each, matrices), images, inside)


def lower_resolution(images: Tensor, share: Tensor, inside: Tensor | None = None) -> Tensor:
    """Keep a share of the voxels along each axis (the nearest ones) and sample them up again linearly."""
    return _without_padding(lambda each: _sampled_down_and_up(each, share), images, inside)


def _without_padding(mean: Callable[[Tensor], Tensor], images: Tensor, inside: Tensor | None) -> Tensor:
    """Apply local means; voxels of the padding have no weight in them."""
    if inside is None:
        return mean(images)
    weight = inside.to(images).expand_as(images)
    reached = mean(weight)
    return torch.where(reached > _LEAST, mean(images * weight) / reached.clamp(min=_LEAST), images)


def _sampled_down_and_up(images: Tensor, share: Tensor) -> Tensor:
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
