"""Changes of an image that leave its labels true: what student and teacher must agree in spite of.

Both keep every voxel in its place, so predictions can be compared voxel by voxel. Random numbers come from PyTorch's
global generators, which the training loop seeds anew for every step.
"""

import torch
from torch import Tensor

from fewscan.augment.pipeline import augment_intensities
from fewscan.augment.settings import Augmentation, Effect

# The intensity effects of the preset "standard", more often and over wider ranges.
STRONG = Augmentation(
    noise=Effect(probability=0.5, low=0, high=0.4),
    blur=Effect(probability=0.4, low=0.5, high=1.5),
    brightness=Effect(probability=0.5, low=-0.5, high=0.5),
    contrast=Effect(probability=0.5, low=0.6, high=1.5),
    low_resolution=Effect(probability=0.3, low=0.4, high=1),
    gamma=Effect(probability=0.5, low=0.6, high=1.7),
)


def clipped_noise(images: Tensor, *, std: float, clip: float) -> Tensor:
    """Return the images plus Gaussian noise that is cut off at ``clip`` to either side.

    Parameters
    ----------
    images : Tensor
        ``(batch, channel, *spatial)``, z-scored: ``std`` and ``clip`` are in standard deviations of the scan.
    std : float
        Standard deviation before clipping; 0 returns the images themselves.
    clip : float
        Largest absolute value of the noise.
    """
    if std == 0:
        return images
    return torch.randn_like(images).mul_(std).clamp_(-clip, clip).add_(images)


def strong_view(images: Tensor) -> Tensor:
    """Return the images with strong random changes of intensity (``STRONG``), geometry untouched."""
    return augment_intensities(images, settings=STRONG, generator=torch.default_generator)
