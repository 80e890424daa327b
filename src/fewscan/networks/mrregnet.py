"""MrRegNet: a registration network that refines a displacement field from coarse to fine (Li et al. 2024, ISBI).

Both images, concatenated on the channels, pass an encoder of residual blocks; the decoder has one flow head per level.
Level i adds its residual field to the field of the level below, brought to its own resolution::

    D_1 = d_1,    D_i = resize(D_{i-1}) + d_i

Where this differs from the authors' public code:

- Any size is accepted. A level of n voxels is followed by one of ceil(n / 2), and up-sampled features are cropped to
  the size of the level's own; for the sizes that the public code accepts nothing changes.
- `resize` is `fewscan.displacement.resize_displacement`, which scales by (n - 1) / (m - 1) and not by 2, so
  that D_{i-1} and resize(D_{i-1}) are the same deformation.
- Flow heads start near zero, so that training starts at the identity (as in VoxelMorph); ``head_std=None`` is the
  authors' start.
- With ``integration_steps`` every d_i is a velocity. Velocities are added up and the sum is exponentiated at each
  level: D_i = exp(V_i), V_i = resize(V_{i-1}) + d_i. A sum of diffeomorphic displacements need not be one itself.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from fewscan.displacement import exponentiate, resize_displacement
from fewscan.errors import UsageError
from fewscan.losses.probabilities import at_least_float32
from fewscan.networks.blocks import CHANNELS_LAST, CONVOLUTION, TRANSPOSED, activation
from fewscan.networks.unet import NEGATIVE_SLOPE, check_filters
from fewscan.settings import Settings

# levels of the authors' trainings
PUBLISHED_LEVELS = {2: 5, 3: 4}
PUBLISHED_WIDTH = 32


class MrRegNetOptions(Settings):
    """What can be chosen about a MrRegNet.

    Attributes
    ----------
    filters : tuple of int, optional
        Channels per level, finest first; as many levels as entries. 32 at each of 5 (2-D) or 4 (3-D) levels unless
        told.
    strides : tuple of tuples of int, optional
        Down-sampling from each level to the next, 1 or 2 per axis, as for the U-Net: for scans with few slices. Two
        along every axis unless told.
    output_stride : 1 or 2
        2 leaves the full-resolution level out: a strided convolution reads the images, the finest level works at half
        resolution along the axes that the first of ``strides`` halves, and its field is up-sampled linearly. A
        fifth of the time of a training step in 3-D.
    integration_steps : int
        Squarings by which the levels' velocities are exponentiated; 0: the levels are displacements (published).
    head_std : float, optional
        Standard deviation of the flow heads' initial weights, offsets being 0; None is torch's own start (published).
    """

    filters: tuple[int, ...] | None = Field(None, min_length=1)
    strides: tuple[tuple[int, ...], ...] | None = None
    output_stride: Literal[1, 2] = 1
    integration_steps: int = Field(0, ge=0, le=16)
    head_std: float | None = Field(1e-5, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.filters is not None:
            check_filters(self.filters)
        if self.strides is not None:
            wrong = {step for stride in self.strides for step in stride} - {1, 2}
            if self.filters is None or len(self.strides) != len(self.filters) - 1 or wrong:
                msg = "strides needs filters, and one list of ones and twos less than they have entries"
                raise ValueError(msg)
        return self

    def filters_for(self, dimensions: int) -> tuple[int, ...]:
        """Return the channels per level, finest first."""
        return self.filters or (PUBLISHED_WIDTH,) * PUBLISHED_LEVELS[dimensions]

    def strides_for(self, dimensions: int) -> tuple[tuple[int, ...], ...]:
        """Return the strides of a network with so many axes; UsageError if they were given for another number."""
        if self.strides is None:
            return ((2,) * dimensions,) * (len(self.filters_for(dimensions)) - 1)
        if any(len(stride) != dimensions for stride in self.strides):
            raise UsageError(f"strides: a {dimensions}-D network needs {dimensions} entries each, got {self.strides}")
        return self.strides


class Level(NamedTuple):
    """The fields of one level, float32 ``(batch, dimensions, *size of the level)`` in voxels of that size.

    Attributes
    ----------
    residual_vox : Tensor
        d_i, what this level adds (a velocity with ``integration_steps``); the paper's smoothness term is on it.
    displacement_vox : Tensor
        D_i, the field so far, to warp the moving image resized to this level (`resize_image`).
    """

    residual_vox: Tensor
    displacement_vox: Tensor


class MrRegNet(nn.Module):
    """The registration network of paper 1.

    Parameters
    ----------
    dimensions : 2 or 3
        Spatial axes.
    channels : int
        Of each of the two images.
    options : MrRegNetOptions, optional
        Widths, resolution, integration.

    Attributes
    ----------
    levels : int
        Length of what `forward` returns.
    """

    def __init__(self, *, dimensions: int, channels: int, options: MrRegNetOptions | None = None) -> None:
        super().__init__()
        options = options or MrRegNetOptions()
        filters, strides = options.filters_for(dimensions), options.strides_for(dimensions)
        self.dimensions, self.channels = dimensions, channels
        self.levels = len(filters)
        self.integration_steps = options.integration_steps
        self.stem: nn.Module = nn.Identity()
        inputs = 2 * channels
        if options.output_stride == 2:
            stride = strides[0] if strides else (2,) * dimensions
            self.stem = _down(inputs, filters[0], dimensions=dimensions, stride=stride)
            inputs = filters[0]
        self.blocks = nn.ModuleList([ConcatenationBlock(inputs, filters[0], dimensions=dimensions)])
        self.blocks.extend(ConcatenationBlock(width, width, dimensions=dimensions) for width in filters[1:])
        steps = list(zip(pairwise(filters), strides, strict=True))
        self.downs = nn.ModuleList(_down(*widths, dimensions=dimensions, stride=stride) for widths, stride in steps)
        self.ups = nn.ModuleList(
            nn.Sequential(TRANSPOSED[dimensions](coarse, fine, stride, stride=stride), activation(NEGATIVE_SLOPE))
            for (fine, coarse), stride in steps
        )
        self.merges = nn.ModuleList(_convolution(2 * width, width, dimensions=dimensions) for width in filters[:-1])
        self.merges.append(_convolution(filters[-1], filters[-1], dimensions=dimensions))
        self.heads = nn.ModuleList(_convolution(width, dimensions, dimensions=dimensions) for width in filters)
        if options.head_std is not None:
            for head in self.heads:
                nn.init.normal_(head.weight, std=options.head_std)  # type: ignore[arg-type]
                nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def forward(self, moving: Tensor, fixed: Tensor) -> list[Level]:
        """Return the fields of all levels, coarse to fine.

        Parameters
        ----------
        moving, fixed : Tensor
            ``(batch, channels, *spatial)``, of any one size.

        Returns
        -------
        list of Level
            The last has the size of the images (half of it, rounded up, with ``output_stride=2``), each other one half
            the size of the next, rounded up. Nothing is padded: each grid shows the whole image and nothing else.

        Raises
        ------
        UsageError
            If the images do not fit the network or each other.
        """
        self._check(moving, fixed)
        features = [self.blocks[0](self.stem(torch.cat([moving, fixed], dim=1)))]
        for down, block in zip(self.downs, self.blocks[1:], strict=True):
            features.append(block(down(features[-1])))
        decoded = self.merges[-1](features[-1])
        total = self._flow(decoded, -1)
        found = [Level(total, self._integrate(total))]
        for level in reversed(range(self.levels - 1)):
            decoded = self.merges[level](_concatenate_cropped(self.ups[level](decoded), features[level]))
            residual = self._flow(decoded, level)
            total = resize_displacement(total, residual.shape[2:]) + residual
            found.append(Level(residual, self._integrate(total)))
        return found

    def displacement(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return the final field ``(batch, dimensions, *spatial)`` at the images' own size, float32, in voxels."""
        return resize_displacement(self(moving, fixed)[-1].displacement_vox, moving.shape[2:])

    def _flow(self, decoded: Tensor, level: int) -> Tensor:
        flow: Tensor = self.heads[level](decoded)
        return at_least_float32(flow)

    def _integrate(self, field: Tensor) -> Tensor:
        return exponentiate(field, steps=self.integration_steps) if self.integration_steps else field

    def _check(self, moving: Tensor, fixed: Tensor) -> None:
        if moving.shape != fixed.shape or moving.ndim != 2 + self.dimensions or moving.shape[1] != self.channels:
            raise UsageError(
                f"network 'mrregnet': expected two images (batch, channels, *spatial) of one shape with "
                f"{self.channels} channel(s) and {self.dimensions} spatial axes, got {tuple(moving.shape)} and "
                f"{tuple(fixed.shape)}",
                mend="Resample the moving image to the grid of the fixed one.",
            )


class ConcatenationBlock(nn.Module):
    """Two convolutions; a third reads their result and the block's input side by side. No normalisation."""

    def __init__(self, inputs: int, outputs: int, *, dimensions: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, dimensions=dimensions)
        self.second = _convolution(outputs, outputs, dimensions=dimensions)
        self.both = _convolution(outputs + inputs, outputs, dimensions=dimensions)
        self.activation = activation(NEGATIVE_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve twice, append the input, convolve, activate."""
        inner = self.second(self.activation(self.first(x)))
        # images come in another layout and precision than features; a mixed concatenation would have neither's own
        layout = CHANNELS_LAST[inner.ndim - 2]
        channels_last = inner.is_contiguous(memory_format=layout)
        x = x.to(inner.dtype, memory_format=layout if channels_last else torch.contiguous_format)
        result: Tensor = self.activation(self.both(torch.cat([inner, x], dim=1)))
        return result


def _convolution(inputs: int, outputs: int, *, dimensions: int, stride: Sequence[int] | int = 1) -> nn.Module:
    return CONVOLUTION[dimensions](inputs, outputs, 3, stride=stride, padding=1)


def _down(inputs: int, outputs: int, *, dimensions: int, stride: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, outputs, dimensions=dimensions, stride=stride), activation(NEGATIVE_SLOPE)
    )


def _concatenate_cropped(above: Tensor, skip: Tensor) -> Tensor:
    """Concatenate on the channels; the first, up-sampled from an odd size, may be a voxel larger."""
    for axis, side in enumerate(skip.shape[2:], start=2):
        above = above.narrow(axis, 0, side)
    return torch.cat([above, skip], dim=1)
