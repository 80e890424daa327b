"""Intensity transforms of single voxels: noise, brightness, contrast, gamma.

Images are ``(n, C, *spatial)``; parameters are ``(n, C)``, one per sample and channel. Nothing is changed in place.
Strengths are relative to each channel's own spread, so they mean the same after any normalisation. ``inside``
``(n, 1, *spatial)`` is 1 where a scan has data: in padding there is nothing that mean, spread or range should see.
"""

import torch
from torch import Tensor

_SMALL = 1e-8


def add_noise(images: Tensor, strength: Tensor, inside: Tensor | None = None, *, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of ``strength`` standard deviations of the channel; drawn on the CPU."""
    noise = torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)
    return images + noise * (_per_channel(strength, images) * _spread(images, strength, inside))


def shift_brightness(images: Tensor, shift: Tensor, inside: Tensor | None = None) -> Tensor:
    """Add ``shift`` standard deviations of the channel."""
    return images + _per_channel(shift, images) * _spread(images, shift, inside)


def scale_contrast(images: Tensor, factor: Tensor, inside: Tensor | None = None) -> Tensor:
    """Stretch about the channel's mean by ``factor``; the channel's range is kept, so extremes saturate."""
    mean = _mean(images, factor, inside)
    stretched = mean + (images - mean) * _per_channel(factor, images)
    return stretched.clamp(*_range(images, factor, inside))


def apply_gamma(images: Tensor, exponent: Tensor, inside: Tensor | None = None) -> Tensor:
    """Raise intensities, scaled to [0, 1], to ``exponent`` and give back the channel's mean and standard deviation.

    Exponents above 1 spread out the bright voxels, below 1 the dark ones. A constant channel stays as it is.

    Parameters
    ----------
    images : Tensor (..., *spatial)
        Any leading axes.
    exponent : Tensor
        Its shape is that of the leading axes.
    inside : Tensor, optional
        Of as many axes as ``images``.
    """
    low, high = _range(images, exponent, inside)
    scaled = ((images - low) / (high - low).clamp(min=_SMALL)).clamp(0, 1)
    powered = scaled.pow(_per_channel(exponent, images))
    gain = _spread(images, exponent, inside) / _spread(powered, exponent, inside).clamp(min=_SMALL)
    return (powered - _mean(powered, exponent, inside)) * gain + _mean(images, exponent, inside)


def _spatial_axes(images: Tensor, parameter: Tensor) -> tuple[int, ...]:
    return tuple(range(parameter.ndim, images.ndim))


def _mean(images: Tensor, parameter: Tensor, inside: Tensor | None) -> Tensor:
    axes = _spatial_axes(images, parameter)
    if inside is None:
        return images.mean(axes, keepdim=True)
    return (images * inside).sum(axes, keepdim=True) / inside.sum(axes, keepdim=True).clamp(min=1)


def _spread(images: Tensor, parameter: Tensor, inside: Tensor | None) -> Tensor:
    if inside is None:
        return images.std(_spatial_axes(images, parameter), correction=0, keepdim=True)
    return _mean((images - _mean(images, parameter, inside)).square(), parameter, inside).sqrt()


def _range(images: Tensor, parameter: Tensor, inside: Tensor | None) -> tuple[Tensor, Tensor]:
    axes = _spatial_axes(images, parameter)
    low, high = images, images
    if inside is not None:
        low, high = images.masked_fill(inside == 0, torch.inf), images.masked_fill(inside == 0, -torch.inf)
    return low.amin(axes, keepdim=True), high.amax(axes, keepdim=True)


def _per_channel(parameter: Tensor, images: Tensor) -> Tensor:
    return parameter.to(images).reshape(*parameter.shape, *[1] * (images.ndim - parameter.ndim))
