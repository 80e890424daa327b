"""Random draws, one per sample of a batch.

Everything is drawn from one CPU generator and moved afterwards, so that a seed means the same on every device.
"""

import math

import torch
from torch import Tensor

from fewscan.augment.settings import Effect


def draw(
    effect: Effect, shape: tuple[int, ...], *, generator: torch.Generator, logarithmic: bool = False
) -> tuple[Tensor, Tensor]:
    """Draw which samples get the effect, and the strength for each entry of ``shape``.

    Parameters
    ----------
    effect : Effect
        Probability and range.
    shape : tuple of int
        Starts with the batch size; the other entries (channels, planes) share the sample's fate, not its strength.
    generator : torch.Generator
        On the CPU.
    logarithmic : bool
        Draw evenly on the logarithmic scale, so that a factor and its inverse are equally likely.

    Returns
    -------
    chosen : Tensor (n,), int64
        Indices of the samples that get the effect.
    strength : Tensor, float32
        Of the given shape, for all samples, chosen or not.
    """
    chosen = torch.rand(shape[0], generator=generator) < effect.probability
    even = torch.rand(shape, generator=generator)
    if logarithmic:
        low, high = math.log(effect.low), math.log(effect.high)
        strength = torch.exp(low + (high - low) * even)
    else:
        strength = effect.low + (effect.high - effect.low) * even
    return chosen.nonzero().flatten(), strength


def check_generator(generator: torch.Generator) -> None:
    """Raise ValueError unless the generator lives on the CPU."""
    if generator.device.type != "cpu":
        msg = f"augmentation draws from a CPU generator on every device, got one on {generator.device}"
        raise ValueError(msg)
