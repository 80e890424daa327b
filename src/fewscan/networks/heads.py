"""Further outputs on the features of a segmentation network: distance maps, several scales, several decoders.

Each wrapper owns a network and leaves its weights and its own output as they are, so that ``wrapper.network`` alone
predicts, and a model file needs nothing of what was added for training. Logits are ``(batch, classes, *spatial)``.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import get_args

import torch
from torch import Tensor, nn

from fewscan.errors import UsageError
from fewscan.losses.probabilities import at_least_float32
from fewscan.networks.blocks import CHANNEL_DROPOUT, CONVOLUTION, Upsample, Upsampling
from fewscan.networks.encoder_decoder import EncoderDecoder
from fewscan.networks.initialise import kaiming_initialise


def open_network(network: nn.Module, *, wanted_by: str) -> EncoderDecoder:
    """Return the network itself if its features are open to further outputs.

    Raises
    ------
    UsageError
        If they are not: a network of MONAI.
    """
    if not isinstance(network, EncoderDecoder):
        raise UsageError(
            f"method {wanted_by} adds outputs to a network's features, and those of this network are not open",
            mend="Choose a network of this package: --set network.name=unet, residual_unet or vnet.",
        )
    return network


class MultiHead(nn.Module):
    """Logits, and one signed distance map per foreground class, from the same features.

    Parameters
    ----------
    network : EncoderDecoder
        Whose features both heads share.
    """

    def __init__(self, network: EncoderDecoder) -> None:
        super().__init__()
        self.network = network
        self.distance = CONVOLUTION[network.dimensions](network.decoder.widths[0], network.classes - 1, 1)
        # public code leaves torch's smaller weights here; on validation slices there is no difference
        kaiming_initialise(self.distance)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and distance maps ``(batch, classes - 1, *spatial)``, from -1 (inside) to 1 (outside)."""
        features = self.network.features(images)
        # in bfloat16 the tangent is 1 from 3.5 on, and has no gradient there
        return self.network.head(features), torch.tanh(at_least_float32(self.distance(features)))


class ScaleHead(nn.Module):
    """Logits from a coarser level of the decoder, interpolated to the resolution of the images."""

    def __init__(self, width: int, classes: int, *, factor: Sequence[int]) -> None:
        super().__init__()
        self.head = CONVOLUTION[len(factor)](width, classes, 1)
        self.upsample = Upsample(factor, mode="linear")

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.upsample(self.head(features))
        return logits


class MultiScale(nn.Module):
    """Logits from several levels of the decoder, all at the resolution of the images (deep supervision).

    Parameters
    ----------
    network : EncoderDecoder
        Its own head serves the finest level.
    dropout : sequence of float
        Probability of dropping a channel of each level's features, for its head and for all finer levels, finest first;
        as many levels get a head as there are entries, or as the decoder has.
    """

    def __init__(self, network: EncoderDecoder, *, dropout: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        widths = network.decoder.widths[: len(dropout)]
        factors = list(accumulate(network.encoder.strides, lambda a, b: tuple(map(math.prod, zip(a, b, strict=True)))))
        self.heads = nn.ModuleList(
            ScaleHead(width, network.classes, factor=factor)
            for width, factor in zip(widths[1:], factors, strict=False)  # one factor is the bottleneck's
        )
        self.dropouts = nn.ModuleList(CHANNEL_DROPOUT[network.dimensions](p) for p in dropout[: len(widths)])
        kaiming_initialise(self.heads)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the logits of every scale, finest first."""
        scales = self.network.decode(self.network.encode(images), list(self.dropouts))
        heads = [self.network.head, *self.heads]
        # fewer heads than scales where fewer were asked for
        return [head(features) for head, features in zip(heads, scales, strict=False)]


class Branch(nn.Module):
    """A decoder and its head, for the features of an encoder that lies elsewhere."""

    def __init__(self, network: EncoderDecoder) -> None:
        super().__init__()
        self.decoder = network.decoder
        self.head = network.head

    def forward(self, skips: Sequence[Tensor]) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.decoder(skips)[0])
        return logits


class MultiDecoder(nn.Module):
    """Logits from several decoders behind one encoder, which differ in how they up-sample (MC-Net, Wu et al. 2021).

    Parameters
    ----------
    network : EncoderDecoder
        Encoder, first decoder and first head; the others take the ways of up-sampling that it does not.
    decoders : int
        2 or 3, the network's own one included.
    """

    def __init__(self, network: EncoderDecoder, *, decoders: int) -> None:
        super().__init__()
        self.network = network
        own = getattr(network.options, "upsampling", None)
        others = [kind for kind in get_args(Upsampling) if kind != own][: decoders - 1]
        self.branches = nn.ModuleList(Branch(network.variant(upsampling=kind)) for kind in others)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the logits of every decoder, the network's own first."""
        skips = self.network.encode(images)
        own: Tensor = self.network.head(self.network.decode(skips)[0])
        return [own, *(branch(skips) for branch in self.branches)]
