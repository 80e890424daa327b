"""Building blocks of the networks, each for 2-D and 3-D.

Tensors are ``(batch, channel, *spatial)``. The blocks keep the memory format of their input (contiguous or
channels-last) and the precision that autocast has chosen; where PyTorch does not, the block says why it steps in.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewscan.networks.thin_convolution import SafeConv3d

Norm = Literal["instance", "batch"]
Upsampling = Literal["transposed", "linear", "nearest"]

CONVOLUTION: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: SafeConv3d}
TRANSPOSED: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BATCH_NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
CHANNEL_DROPOUT: dict[int, type[nn.Module]] = {2: nn.Dropout2d, 3: nn.Dropout3d}
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
LINEAR_MODE = {2: "bilinear", 3: "trilinear"}


class InstanceNorm(nn.Module):
    """Instance normalisation with a learned scale and offset per channel (Ulyanov et al. 2016).

    The result is that of ``torch.nn.InstanceNorm3d(affine=True)``.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every channel of every sample over its voxels."""
        # torch's own instance norm returns a contiguous tensor, so a channels-last network would be transposed twice
        # at every layer; the same mathematics as a batch norm of each single sample keeps the layout.
        channels_last = not x.is_contiguous() and x.is_contiguous(memory_format=CHANNELS_LAST[x.ndim - 2])
        if x.device.type != "cpu" or not channels_last:
            return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        samples = [
            F.batch_norm(sample, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for sample in torch.split(x, 1)
        ]
        return torch.cat(samples)


def normalisation(kind: Norm, *, dimensions: int, channels: int) -> nn.Module:
    """Return a layer of instance or batch normalisation."""
    return InstanceNorm(channels) if kind == "instance" else BATCH_NORM[dimensions](channels)


def activation(negative_slope: float) -> nn.Module:
    """Return a leaky ReLU, or a ReLU where the slope is 0; in place, as no block needs its input again."""
    return nn.LeakyReLU(negative_slope, inplace=True) if negative_slope else nn.ReLU(inplace=True)


class ConvBlock(nn.Sequential):
    """Convolution of 3 voxels a side, normalisation, activation.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    dimensions : 2 or 3
        Spatial axes.
    norm : "instance" or "batch"
        Kind of normalisation.
    negative_slope : float or None
        Of the leaky ReLU; 0 is a ReLU, None leaves the activation out.
    bias : bool
        Whether the convolution has an offset; the normalisation removes it again, so only a published parameter count
        asks for it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        dimensions: int,
        norm: Norm,
        negative_slope: float | None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.conv = CONVOLUTION[dimensions](inputs, outputs, 3, padding=1, bias=bias)
        self.norm = normalisation(norm, dimensions=dimensions, channels=outputs)
        if negative_slope is not None:
            self.activation = activation(negative_slope)


class MaxPool(nn.Module):
    """Maximum over blocks of ``size`` voxels, one entry per axis."""

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, x: Tensor) -> Tensor:
        """Pool; a maximum is exact in any precision."""
        # autocast on the CPU would turn bfloat16 into float32 and the next convolution would turn it back
        with torch.autocast(x.device.type, enabled=False):
            return F.max_pool2d(x, self.size) if len(self.size) == 2 else F.max_pool3d(x, self.size)


class Upsample(nn.Module):
    """Linear (bilinear, trilinear) or nearest-neighbour up-sampling.

    Parameters
    ----------
    factor : sequence of int
        One entry per axis.
    mode : "linear" or "nearest"
        Kind of interpolation.
    align_corners : bool
        Linear only: whether the outermost voxel centres stay where they are.
    """

    def __init__(
        self, factor: Sequence[int], *, mode: Literal["linear", "nearest"], align_corners: bool = False
    ) -> None:
        super().__init__()
        self.factor = tuple(float(value) for value in factor)
        self.mode = LINEAR_MODE[len(self.factor)] if mode == "linear" else "nearest"
        self.align_corners = align_corners if mode == "linear" else None

    def forward(self, x: Tensor) -> Tensor:
        """Up-sample every channel."""
        result = F.interpolate(x, scale_factor=list(self.factor), mode=self.mode, align_corners=self.align_corners)
        layout = CHANNELS_LAST[x.ndim - 2]
        if result.requires_grad and result.is_contiguous(memory_format=layout):
            # A concatenation behind it hands back a slice of its gradient, for which torch's channels-last backward
            # falls back to a path four times slower than copying the slice first.
            result.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: gradient.contiguous(memory_format=layout)
            )
        return result
