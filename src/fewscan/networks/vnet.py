"""V-Net for 2-D and 3-D (Milletari et al. 2016), as the left-atrium literature and paper 3 use it.

Filters 16-32-64-128-256 with 1-2-3-3-3 convolutions of 3^n per level, strided 2^n convolutions down, transposed 2^n
convolutions up, skips added (not concatenated), batch normalisation, ReLU, channel-wise dropout 0.5 at the bottleneck
and before the 1^n head. In 3-D with one channel and two classes it has 9.449 M parameters.

The decoder can up-sample in three ways (MC-Net, Wu et al. 2021); "linear" and "nearest" have parameters of equal shapes
and so have plain and residual blocks, which lets one average the weights of structurally different networks (paper 3).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from fewscan.networks.blocks import (
    CHANNEL_DROPOUT,
    CONVOLUTION,
    TRANSPOSED,
    ConvBlock,
    Norm,
    Upsample,
    Upsampling,
    activation,
    normalisation,
)
from fewscan.networks.encoder_decoder import EncoderDecoder, encode_levels, one_per_level
from fewscan.networks.initialise import kaiming_initialise
from fewscan.networks.unet import check_filters
from fewscan.settings import Settings


class VNetOptions(Settings):
    """What can be chosen about a V-Net.

    Attributes
    ----------
    filters : tuple of int
        Channels per level, finest first.
    convolutions : tuple of int
        3^n convolutions per level of the encoder, finest first; the decoder mirrors them.
    norm : "batch" or "instance"
        Kind of normalisation.
    dropout : float
        Probability of dropping a channel at the bottleneck and before the head.
    residual : bool
        Add the input of every level's convolutions to their result.
    upsampling : "transposed", "linear" or "nearest"
        Transposed 2^n convolution, or interpolation and a 3^n convolution.
    """

    filters: tuple[int, ...] = Field((16, 32, 64, 128, 256), min_length=2)
    convolutions: tuple[int, ...] = (1, 2, 3, 3, 3)
    norm: Norm = "batch"
    dropout: float = Field(0.5, ge=0, lt=1)
    residual: bool = False
    upsampling: Upsampling = "transposed"

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_filters(self.filters)
        if len(self.convolutions) != len(self.filters) or min(self.convolutions) < 1:
            msg = f"convolutions needs one positive entry per level, {len(self.filters)} in all"
            raise ValueError(msg)
        return self


class Level(nn.Module):
    """The convolutions of one level, with their input added to the result if residual."""

    def __init__(
        self, inputs: int, outputs: int, *, convolutions: int, dimensions: int, norm: Norm, residual: bool
    ) -> None:
        super().__init__()
        self.residual = residual
        widths = pairwise([inputs] + [outputs] * convolutions)
        self.blocks = nn.Sequential(
            *(
                ConvBlock(
                    before,
                    after,
                    dimensions=dimensions,
                    norm=norm,
                    # a residual level activates its sum, not its last convolution
                    negative_slope=None if residual and index == convolutions - 1 else 0.0,
                    bias=True,
                )
                for index, (before, after) in enumerate(widths)
            )
        )
        self.activation = activation(0.0) if residual else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        result: Tensor = self.blocks(x)
        if self.residual:
            # Only the images have another width: their mean is added to every channel. Milletari's V-Net repeats its
            # single channel, which is the same for one, and a shortcut without weights keeps the parameters' shapes.
            result = result + (x if x.shape[1] == result.shape[1] else x.mean(dim=1, keepdim=True))
        activated: Tensor = self.activation(result)
        return activated


class VNetEncoder(nn.Module):
    """Levels joined by strided convolutions; dropout behind the last."""

    def __init__(self, channels: int, *, dimensions: int, options: VNetOptions) -> None:
        super().__init__()
        filters = options.filters
        self.strides = ((2,) * dimensions,) * (len(filters) - 1)
        self.downs = nn.ModuleList(
            nn.Sequential(
                CONVOLUTION[dimensions](fine, coarse, 2, stride=2),
                normalisation(options.norm, dimensions=dimensions, channels=coarse),
                activation(0.0),
            )
            for fine, coarse in pairwise(filters)
        )
        self.levels = nn.ModuleList(
            Level(
                inputs, width, convolutions=count, dimensions=dimensions, norm=options.norm, residual=options.residual
            )
            for inputs, width, count in zip((channels, *filters[1:]), filters, options.convolutions, strict=True)
        )
        self.dropout = CHANNEL_DROPOUT[dimensions](options.dropout)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of all levels, finest first."""
        return encode_levels(images, levels=self.levels, downs=self.downs, dropout=self.dropout)


class VNetDecoder(nn.Module):
    """Up-sampling, addition of the skip, convolutions per level; dropout behind the finest."""

    def __init__(self, *, dimensions: int, options: VNetOptions) -> None:
        super().__init__()
        filters = options.filters
        self.widths = tuple(filters[:-1])
        self.ups = nn.ModuleList(
            _upsampling(coarse, fine, dimensions=dimensions, norm=options.norm, kind=options.upsampling)
            for fine, coarse in pairwise(filters)
        )
        self.levels = nn.ModuleList(
            Level(width, width, convolutions=count, dimensions=dimensions, norm=options.norm, residual=options.residual)
            for width, count in zip(filters[:-1], options.convolutions[:-1], strict=True)
        )
        self.dropout = CHANNEL_DROPOUT[dimensions](options.dropout)

    def forward(self, skips: Sequence[Tensor], dropouts: Sequence[nn.Module] = ()) -> list[Tensor]:
        """Return the feature maps of all levels but the coarsest, finest first."""
        features = [skips[-1]]
        steps = zip(skips[:-1], self.ups, self.levels, one_per_level(dropouts, self.levels), strict=True)
        for skip, up, level, dropout in reversed(list(steps)):
            features.insert(0, dropout(level(up(features[0]) + skip)))
        return [self.dropout(features[0]), *features[1:-1]]


class VNet(EncoderDecoder):
    """The V-Net of the left-atrium literature.

    Parameters
    ----------
    dimensions : 2 or 3
        Spatial axes.
    channels, classes : int
        Of the images and of the logits.
    options : VNetOptions
        Widths, depths, dropout, residual blocks, up-sampling.
    """

    def __init__(self, *, dimensions: int, channels: int, classes: int, options: VNetOptions | None = None) -> None:
        options = options or VNetOptions()
        super().__init__(
            "vnet",
            VNetEncoder(channels, dimensions=dimensions, options=options),
            VNetDecoder(dimensions=dimensions, options=options),
            dimensions=dimensions,
            channels=channels,
            classes=classes,
            options=options,
        )
        kaiming_initialise(self)


def _upsampling(inputs: int, outputs: int, *, dimensions: int, norm: Norm, kind: Upsampling) -> nn.Sequential:
    if kind == "transposed":
        return nn.Sequential(
            TRANSPOSED[dimensions](inputs, outputs, 2, stride=2),
            normalisation(norm, dimensions=dimensions, channels=outputs),
            activation(0.0),
        )
    # MC-Net's linear decoder keeps the corners where they are
    return nn.Sequential(
        Upsample((2,) * dimensions, mode=kind, align_corners=True),
        ConvBlock(inputs, outputs, dimensions=dimensions, norm=norm, negative_slope=0.0, bias=True),
    )
