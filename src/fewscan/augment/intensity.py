"""Intensity transforms of single voxels: noise, brightness, contrast, gamma.

Images are ``(n, C, *spatial)``; parameters are ``(n, C)``, one per sample and channel. Nothing is changed in place.
Strengths are relative to each channel's own spread, so they mean the same after any normalisation.
"""

import torch
from torch import Tensor

_SMALL = 1e-8


def add_noise(images: Tensor, strength: Tensor, *, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of ``strength`` standard deviations of the channel; drawn on the CPU."""
    noise = torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)
    return images + noise * (_per_channel(strength, images) * _spread(images, strength))


def shift_brightness(images: Tensor, shift: Tensor) -> Tensor:
    """Add ``shift`` standard deviations of the channel."""
    return images + _per_channel(shift, images) * _spread(images, shift)


def scale_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Stretch about the channel's mean by ``factor``; the channel's range is kept, so extremes saturate."""
    axes = _spatial_axes(images, factor)
    mean = images.mean(axes, keepdim=True)
    stretched = mean + (images - mean) * _per_channel(factor, images)
    return stretched.clamp(images.amin(axes, keepdim=True), images.amax(axes, keepdim=True))


def apply_gamma(images: Tensor, exponent: Tensor) -> Tensor:
    """Raise intensities, scaled to [0, 1], to ``exponent`` and give back the channel's mean and standard deviation.

    Exponents above 1 spread out the bright voxels, below 1 the dark ones. A constant channel stays as it is.

    Parameters
    ----------
    images : Tensor (..., *spatial)
        Any leading axes.
    exponent : Tensor
        Its shape is that of the leading axes.
    """
    axes = _spatial_axes(images, exponent)
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    powered = ((images - low) / (high - low).clamp(min=_SMALL)).pow(_per_channel(exponent, images))
    gain = _spread(images, exponent) / _spread(powered, exponent).clamp(min=_SMALL)
    return (powered - powered.mean(axes, keepdim=True)) * gain + images.mean(axes, keepdim=True)


def _spatial_axes(images: Tensor, parameter: Tensor) -> tuple[int, ...]:
    return tuple(range(parameter.ndim, images.ndim))


def _spread(images: Tensor, parameter: Tensor) -> Tensor:
    return images.std(_spatial_axes(images, parameter), correction=0, keepdim=True)


def _per_channel(parameter: Tensor, images: Tensor) -> Tensor:
    return parameter.to(images).reshape(*parameter.shape, *[1] * (images.ndim - parameter.ndim))
