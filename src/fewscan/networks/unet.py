"""U-Net for 2-D and 3-D (Ronneberger et al. 2015; Çiçek et al. 2016), as paper 2 uses it.

Filters 16-32-64-128-256, two 3^n convolutions per level, 2^n max-pooling, dropout 0.3 in the bottleneck, linear
up-sampling, concatenated skips, 1^n head (paper 2, section 3.1). The paper leaves the normalisation optional and the
activation open: here they are instance normalisation and leaky ReLU of slope 0.01, as in nnU-Net.

Neither residual levels nor nearest-neighbour up-sampling change the shape of a parameter, so that the weights of
structurally different networks can be averaged (paper 3).
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from fewscan.errors import UsageError
from fewscan.networks.blocks import TRANSPOSED, ConvBlock, MaxPool, Norm, Upsample, Upsampling
from fewscan.networks.encoder_decoder import EncoderDecoder, encode_levels, one_per_level
from fewscan.networks.initialise import kaiming_initialise
from fewscan.settings import Settings

NEGATIVE_SLOPE = 0.01


class UNetShape(Settings):
    """What can be chosen about any U-Net.

    Attributes
    ----------
    filters : tuple of int
        Channels per level, finest first; as many levels as entries (paper 2: 16 to 256).
    dropout : float
        Probability of dropping a value of the bottleneck (paper 2: 0.3).
    norm : "instance" or "batch"
        Kind of normalisation.
    strides : tuple of tuples of int, optional
        Down-sampling from each level to the next, one entry per axis: ``[[2, 2, 1], [2, 2, 2]]`` spares the third axis
        once, for scans with thick slices. Two along every axis unless told.
    upsampling : "linear", "nearest" or "transposed"
        Interpolation, or a transposed convolution.
    """

    filters: tuple[int, ...] = Field((16, 32, 64, 128, 256), min_length=2)
    dropout: float = Field(0.3, ge=0, lt=1)
    norm: Norm = "instance"
    strides: tuple[tuple[int, ...], ...] | None = None
    upsampling: Upsampling = "linear"

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_filters(self.filters)
        if self.strides is not None:
            same_axes = len({len(stride) for stride in self.strides}) == 1
            positive = all(step >= 1 for stride in self.strides for step in stride)
            if len(self.strides) != len(self.filters) - 1 or not same_axes or not positive:
                msg = f"strides needs {len(self.filters) - 1} lists with one positive entry per axis"
                raise ValueError(msg)
        return self

    def strides_for(self, dimensions: int) -> tuple[tuple[int, ...], ...]:
        """Return the strides of a network with so many axes.

        Raises
        ------
        UsageError
            If they were given for another number of axes.
        """
        if self.strides is None:
            return ((2,) * dimensions,) * (len(self.filters) - 1)
        if len(self.strides[0]) != dimensions:
            raise UsageError(f"strides: a {dimensions}-D network needs {dimensions} entries each, got {self.strides}")
        return self.strides


class UNetOptions(UNetShape):
    """What can be chosen about the plain U-Net.

    Attributes
    ----------
    residual : bool
        Add the result of each level's first convolution to that of its second.
    """

    residual: bool = False


def check_filters(filters: Sequence[int]) -> None:
    """Raise ValueError unless every level has at least one channel."""
    if min(filters) < 1:
        msg = f"filters must be positive, got {list(filters)}"
        raise ValueError(msg)


class UNetEncoder(nn.Module):
    """Max-pooling between the levels, dropout behind the last.

    Parameters
    ----------
    channels : int
        Of the images.
    filters, strides : sequence
        As in `UNetOptions`.
    level : callable
        Makes the convolutions of one level from their input and output channels.
    dropout : Module
        For the bottleneck.
    """

    def __init__(
        self,
        channels: int,
        *,
        filters: Sequence[int],
        strides: Sequence[tuple[int, ...]],
        level: Callable[[int, int], nn.Module],
        dropout: nn.Module,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.pools = nn.ModuleList(MaxPool(stride) for stride in strides)
        self.levels = nn.ModuleList(level(inputs, outputs) for inputs, outputs in pairwise((channels, *filters)))
        self.dropout = dropout

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of all levels, finest first."""
        return encode_levels(images, levels=self.levels, downs=self.pools, dropout=self.dropout)


class UNetDecoder(nn.Module):
    """Up-sampling, concatenation with the skip, convolutions of the level.

    Parameters
    ----------
    filters : sequence of int
        As in `UNetOptions`.
    strides : sequence of tuples of int
        From each level to the next, one entry per axis.
    upsampling : "linear", "nearest" or "transposed"
        As in `UNetOptions`.
    level : callable
        Makes the convolutions of one level from their input and output channels.
    """

    def __init__(
        self,
        *,
        filters: Sequence[int],
        strides: Sequence[tuple[int, ...]],
        upsampling: Upsampling,
        level: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.widths = tuple(filters[:-1])
        self.upsamplings = nn.ModuleList(
            _upsampling(coarse, fine, stride=stride, kind=upsampling)
            for (fine, coarse), stride in zip(pairwise(filters), strides, strict=True)
        )
        # an interpolation keeps the channels from below, a transposed convolution returns as many as the skip has
        widths_up = filters[:-1] if upsampling == "transposed" else filters[1:]
        self.levels = nn.ModuleList(
            level(skip + below, skip) for skip, below in zip(self.widths, widths_up, strict=True)
        )

    def forward(self, skips: Sequence[Tensor], dropouts: Sequence[nn.Module] = ()) -> list[Tensor]:
        """Return the feature maps of all levels but the coarsest, finest first."""
        features = [skips[-1]]
        steps = zip(skips[:-1], self.upsamplings, self.levels, one_per_level(dropouts, self.levels), strict=True)
        for skip, upsample, level, dropout in reversed(list(steps)):
            features.insert(0, dropout(level(torch.cat([skip, upsample(features[0])], dim=1))))
        return features[:-1]


class DoubleConvolution(nn.Sequential):
    """Two 3^n convolutions, each with normalisation and leaky ReLU; residual: a shortcut around the second."""

    def __init__(self, inputs: int, outputs: int, *, dimensions: int, norm: Norm, residual: bool) -> None:
        first, second = (
            ConvBlock(before, outputs, dimensions=dimensions, norm=norm, negative_slope=NEGATIVE_SLOPE)
            for before in (inputs, outputs)
        )
        super().__init__(first, second)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Convolve twice."""
        first, second = self
        x = first(x)
        if not self.residual:
            convolved: Tensor = second(x)
            return convolved
        conv, norm, activate = second.children()
        # a residual level activates its sum, not its last convolution
        result: Tensor = activate(norm(conv(x)) + x)
        return result


class UNet(EncoderDecoder):
    """The U-Net of paper 2.

    Parameters
    ----------
    dimensions : 2 or 3
        Spatial axes.
    channels, classes : int
        Of the images and of the logits.
    options : UNetOptions, optional
        Widths, dropout, normalisation, strides, up-sampling.
    """

    def __init__(self, *, dimensions: int, channels: int, classes: int, options: UNetOptions | None = None) -> None:
        options = options or UNetOptions()
        filters, strides = options.filters, options.strides_for(dimensions)
        level = partial(DoubleConvolution, dimensions=dimensions, norm=options.norm, residual=options.residual)
        super().__init__(
            "unet",
            UNetEncoder(channels, filters=filters, strides=strides, level=level, dropout=nn.Dropout(options.dropout)),
            UNetDecoder(filters=filters, strides=strides, upsampling=options.upsampling, level=level),
            dimensions=dimensions,
            channels=channels,
            classes=classes,
            options=options,
        )
        kaiming_initialise(self, negative_slope=NEGATIVE_SLOPE)


def _upsampling(inputs: int, outputs: int, *, stride: tuple[int, ...], kind: Upsampling) -> nn.Module:
    if kind == "transposed":
        return TRANSPOSED[len(stride)](inputs, outputs, stride, stride=stride)
    return Upsample(stride, mode=kind)
