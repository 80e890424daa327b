"""U-Net with residual blocks for 2-D and 3-D, as paper 1 uses it for segmentation.

Filters 16-32-64-128-256, max-pooling, transposed 2^n convolutions up, concatenated skips, 1^n head. Each level is one
residual block (He et al. 2016): two 3^n convolutions with instance normalisation, whose input is added before the last
activation, through a 1^n projection where the widths differ. The paper only says "U-Net with added residual blocks";
widths and dropout are those of its authors' public network.
"""

from functools import partial

from pydantic import Field
from torch import Tensor, nn

from fewscan.networks.blocks import CHANNEL_DROPOUT, CONVOLUTION, ConvBlock, Norm, Upsampling, activation
from fewscan.networks.encoder_decoder import EncoderDecoder
from fewscan.networks.initialise import kaiming_initialise
from fewscan.networks.unet import NEGATIVE_SLOPE, UNetDecoder, UNetEncoder, UNetShape


class ResidualUNetOptions(UNetShape):
    """What can be chosen about a residual U-Net: the options of any U-Net and one more.

    Attributes
    ----------
    dropout : float
        Probability of dropping a channel of the bottleneck.
    upsampling : "transposed", "linear" or "nearest"
        Transposed convolution, or interpolation.
    residual : bool
        False leaves the shortcuts out, for studies of the recipe.
    """

    dropout: float = Field(0.2, ge=0, lt=1)
    upsampling: Upsampling = "transposed"
    residual: bool = True


class ResidualBlock(nn.Module):
    """Two 3^n convolutions and a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, *, dimensions: int, norm: Norm, residual: bool) -> None:
        super().__init__()
        self.first = ConvBlock(inputs, outputs, dimensions=dimensions, norm=norm, negative_slope=NEGATIVE_SLOPE)
        self.second = ConvBlock(outputs, outputs, dimensions=dimensions, norm=norm, negative_slope=None)
        self.shortcut: nn.Module | None = None
        if residual:
            same = inputs == outputs
            self.shortcut = nn.Identity() if same else CONVOLUTION[dimensions](inputs, outputs, 1, bias=False)
        self.activation = activation(NEGATIVE_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve twice, add the input, activate."""
        result = self.second(self.first(x))
        if self.shortcut is not None:
            result = result + self.shortcut(x)
        activated: Tensor = self.activation(result)
        return activated


class ResidualUNet(EncoderDecoder):
    """The segmentation network of paper 1.

    Parameters
    ----------
    dimensions : 2 or 3
        Spatial axes.
    channels, classes : int
        Of the images and of the logits.
    options : ResidualUNetOptions, optional
        Widths, dropout, normalisation, strides, up-sampling, shortcuts.
    """

    def __init__(
        self, *, dimensions: int, channels: int, classes: int, options: ResidualUNetOptions | None = None
    ) -> None:
        options = options or ResidualUNetOptions()
        filters, strides = options.filters, options.strides_for(dimensions)
        level = partial(ResidualBlock, dimensions=dimensions, norm=options.norm, residual=options.residual)
        dropout = CHANNEL_DROPOUT[dimensions](options.dropout)
        super().__init__(
            "residual_unet",
            UNetEncoder(channels, filters=filters, strides=strides, level=level, dropout=dropout),
            UNetDecoder(filters=filters, strides=strides, upsampling=options.upsampling, level=level),
            dimensions=dimensions,
            channels=channels,
            classes=classes,
            options=options,
        )
        kaiming_initialise(self, negative_slope=NEGATIVE_SLOPE)
