"""The shape that all our networks share: an encoder, a decoder that uses the encoder's skips, and a head.

`encode` and `decode` are public so that methods can attach further decoders, heads at several scales, projections or
distance heads to the features (`fewscan.networks.heads`), without a network file of their own::

    skips = network.encode(images)       # finest first, the last is the bottleneck
    scales = network.decode(skips)       # finest first; scales[0] has the resolution of the images
    logits = network.head(scales[0])     # network.features(images) is scales[0]
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol, Self

from torch import Tensor, nn

from fewscan.errors import UsageError
from fewscan.networks.blocks import CONVOLUTION, InstanceNorm
from fewscan.settings import Settings


class Encoder(Protocol):
    """Turns images into one feature map per level."""

    strides: tuple[tuple[int, ...], ...]  # down-sampling from each level to the next, per axis

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, finest first."""


class Decoder(Protocol):
    """Turns the encoder's feature maps into one per level but the coarsest."""

    widths: tuple[int, ...]  # channels of its results, finest first

    def __call__(self, skips: Sequence[Tensor], dropouts: Sequence[nn.Module] = ()) -> list[Tensor]:
        """Return the feature maps, finest first; what a dropout drops of one is missing from all finer ones too."""


class EncoderDecoder(nn.Module):
    """A segmentation network made of an encoder, a decoder and a 1^n convolution to the classes.

    Parameters
    ----------
    name : str
        For messages.
    encoder, decoder : Module
        See `Encoder` and `Decoder`.
    dimensions : 2 or 3
        Spatial axes.
    channels, classes : int
        Of the images and of the logits.
    options : Settings
        What the network was built with; `variant` builds a relative from them.

    Attributes
    ----------
    divisors : tuple of int
        What the sides of images must be multiples of, one per spatial axis.
    """

    def __init__(
        self,
        name: str,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        dimensions: int,
        channels: int,
        classes: int,
        options: Settings,
    ) -> None:
        super().__init__()
        self.name = name
        self.options = options
        self.dimensions = dimensions
        self.channels = channels
        self.classes = classes
        self.encoder: Encoder = encoder  # type: ignore[assignment]  # a Module with these attributes
        self.decoder: Decoder = decoder  # type: ignore[assignment]
        self.head = CONVOLUTION[dimensions](self.decoder.widths[0], classes, 1)
        self.divisors = tuple(math.prod(axis) for axis in zip(*self.encoder.strides, strict=True))
        self._single_sample = any(isinstance(module, InstanceNorm) for module in encoder.modules())

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of all levels, finest first; the last one is the bottleneck.

        Raises
        ------
        UsageError
            If the images do not fit the network.
        """
        self._check(images)
        return self.encoder(images)

    def decode(self, skips: Sequence[Tensor], dropouts: Sequence[nn.Module] = ()) -> list[Tensor]:
        """Return the decoder's feature maps, finest first, ``decoder.widths`` channels each.

        ``dropouts`` belong to as many of the finest levels, finest first: what one drops is missing from all finer maps
        too.
        """
        return self.decoder(skips, dropouts)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature map ``(batch, decoder.widths[0], *spatial)``, which the head turns into logits."""
        return self.decode(self.encode(images))[0]

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(batch, classes, *spatial)`` of images ``(batch, channels, *spatial)``."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def variant(self, **changes: Any) -> Self:
        """Return a freshly initialised network like this one, some of its options changed.

        Raises
        ------
        UsageError
            If the network has no such option, or not with that value.
        """
        source = f"options of network {self.name!r}"
        options = type(self.options).parse({**self.options.model_dump(), **changes}, source=source)
        sizes = {"dimensions": self.dimensions, "channels": self.channels, "classes": self.classes}
        return type(self)(**sizes, options=options)  # type: ignore[arg-type]  # as subclasses are built

    def _check(self, images: Tensor) -> None:
        check_images(images, name=self.name, channels=self.channels, divisors=self.divisors)
        bottleneck = math.prod(images.shape[2:]) // math.prod(self.divisors)
        values = bottleneck if self._single_sample else bottleneck * images.shape[0]
        if values == 1 and (self.training or self._single_sample):
            raise UsageError(
                f"network {self.name!r}: an input of {_by(images.shape[2:])} leaves one voxel at the coarsest level, "
                "which cannot be normalised",
                mend="Use larger patches or fewer levels (a shorter list of filters).",
            )


def check_images(images: Tensor, *, name: str, channels: int, divisors: Sequence[int]) -> None:
    """Raise `UsageError` unless the images are (batch, channels, *spatial) and every side a multiple of its divisor."""
    size = images.shape[2:]
    if images.ndim != 2 + len(divisors) or images.shape[1] != channels:
        raise UsageError(
            f"network {name!r}: expected (batch, channels, *spatial) with {channels} channel(s) and {len(divisors)} "
            f"spatial axes, got {tuple(images.shape)}"
        )
    if any(side == 0 or side % divisor for side, divisor in zip(size, divisors, strict=True)):
        wanted = _by(divisors) if len(set(divisors)) > 1 else str(divisors[0])
        raise UsageError(
            f"network {name!r}: an input of {_by(size)} is not a multiple of {wanted}",
            mend=f"Choose a patch size whose sides are multiples of {wanted}.",
        )


def _by(size: Sequence[int]) -> str:
    return "x".join(str(side) for side in size)


def one_per_level(dropouts: Sequence[nn.Module], levels: nn.ModuleList) -> list[nn.Module]:
    """Return a dropout for every level, finest first, those that were not given doing nothing."""
    return [*dropouts, *(nn.Identity() for _ in levels[len(dropouts) :])]


def encode_levels(images: Tensor, *, levels: nn.ModuleList, downs: nn.ModuleList, dropout: nn.Module) -> list[Tensor]:
    """Return the feature maps of all levels, finest first; dropout is on the deepest, the bottleneck."""
    features = [levels[0](images)]
    for down, level in zip(downs, levels[1:], strict=True):
        features.append(level(down(features[-1])))
    features[-1] = dropout(features[-1])
    return features
