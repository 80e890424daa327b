"""The discriminator of adversarial segmentation: is this the map of an annotated scan (DAN, Zhang et al. 2017).

Convolutions 4^n of stride 2: one for the map and one for the image, whose results are added, then three more; leaky
ReLU 0.2, channel-wise dropout 0.5, an average over all voxels, and a linear layer to two logits. The average is over
whatever is left of the patch, where public code wants 6^3 or 7x7x5 voxels. Weights begin as torch draws them, as in
public code: drawn for rectifiers (He et al. 2015) they give the map some thirty times the gradient.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from fewscan.networks.blocks import CHANNEL_DROPOUT, CONVOLUTION, activation

NEGATIVE_SLOPE = 0.2
SMALLEST_SIDE = 16
"""Shorter sides are padded with zeros, as nothing would be left of them after four strides."""

UNANNOTATED, ANNOTATED = 0, 1
"""Its two classes."""


class Discriminator(nn.Module):
    """Tells maps of annotated scans from maps of others.

    Parameters
    ----------
    dimensions : 2 or 3
        Spatial axes.
    maps, channels : int
        Channels of the maps and of the images.
    width : int
        Channels of the first convolutions; each further one has twice as many.
    dropout : float
        Probability of dropping a channel.
    """

    def __init__(self, *, dimensions: int, maps: int, channels: int, width: int = 64, dropout: float = 0.5) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int) -> nn.Module:
            return CONVOLUTION[dimensions](inputs, outputs, 4, stride=2, padding=1)

        self.of_map, self.of_image = convolution(maps, width), convolution(channels, width)
        layers: list[nn.Module] = [activation(NEGATIVE_SLOPE), CHANNEL_DROPOUT[dimensions](dropout)]
        for factor in (1, 2, 4):
            layers += [convolution(factor * width, 2 * factor * width), activation(NEGATIVE_SLOPE)]
            layers += [CHANNEL_DROPOUT[dimensions](dropout)] if factor < 4 else []
        self.layers = nn.Sequential(*layers)
        self.verdict = nn.Linear(8 * width, 2)

    def forward(self, maps: Tensor, images: Tensor) -> Tensor:
        """Return logits ``(batch, 2)`` of maps and images, both ``(batch, channels, *spatial)``."""
        both = self.of_map(_at_least(maps)) + self.of_image(_at_least(images))
        logits: Tensor = self.verdict(self.layers(both).flatten(2).mean(2))
        return logits


def _at_least(x: Tensor) -> Tensor:
    missing = [max(0, SMALLEST_SIDE - side) for side in reversed(x.shape[2:])]
    return F.pad(x, [amount for total in missing for amount in (total // 2, total - total // 2)]) if any(missing) else x
