"""The mean prediction of several random passes of one network, summed up as they come so that none is kept.

Two sources of randomness: noise on the input, where every pass runs the whole network, and the network's own dropout
(Gal & Ghahramani 2016), which lies behind the encoder, so that all passes share one run of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fewscan.errors import UsageError
from fewscan.losses.probabilities import at_least_float32
from fewscan.methods.perturbation import clipped_noise
from fewscan.networks.encoder_decoder import EncoderDecoder


@torch.no_grad()
def mean_over_noise(
    network: nn.Module, images: Tensor, *, passes: int, std: float, clip: float, at_once: int = 1
) -> Tensor:
    """Return the mean class probabilities over ``passes`` draws of input noise.

    Parameters
    ----------
    network : Module
        Turns images into logits.
    images : Tensor
        ``(batch, channel, *spatial)``, z-scored.
    passes : int
        Draws of noise.
    std, clip : float
        Of the noise, see `clipped_noise`.
    at_once : int
        Draws that share a forward pass as one larger batch.

    Returns
    -------
    Tensor
        ``(batch, class, *spatial)`` in at least float32.
    """
    total: Tensor | None = None
    for first in range(0, passes, at_once):
        copies = min(at_once, passes - first)
        noisy = clipped_noise(torch.cat([images] * copies), std=std, clip=clip)
        for logits in network(noisy).split(len(images)):
            total = _add_probabilities(total, logits)
    return _mean(total, passes)


@torch.no_grad()
def mean_over_dropout(network: nn.Module, images: Tensor, *, passes: int) -> Tensor:
    """Return the mean class probabilities over ``passes`` draws of the network's dropout; the encoder runs once.

    Raises
    ------
    UsageError
        If the network has no dropout between an encoder and a decoder.
    """
    network = with_dropout(network)
    dropout: nn.Module = network.encoder.dropout  # type: ignore[attr-defined]  # with_dropout has checked
    total: Tensor | None = None
    with _dropout_mode(network, active=False):
        *skips, bottleneck = network.encode(images)
    with _dropout_mode(network, active=True):
        for _ in range(passes):
            finest = network.decode([*skips, dropout(bottleneck)])[0]
            total = _add_probabilities(total, network.head(finest))
    return _mean(total, passes)


def with_dropout(network: nn.Module) -> EncoderDecoder:
    """Return the network itself if it drops features behind its encoder.

    Raises
    ------
    UsageError
        If it does not.
    """
    dropout = getattr(getattr(network, "encoder", None), "dropout", None)
    if not isinstance(network, EncoderDecoder) or getattr(dropout, "p", 0.0) == 0.0:
        raise UsageError(
            "Monte-Carlo dropout needs a network of this package with dropout above 0",
            mend="Set network.options.dropout, or hyper.monte_carlo=input_noise.",
        )
    return network


@contextmanager
def _dropout_mode(network: nn.Module, *, active: bool) -> Iterator[None]:
    layers = [module for module in network.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    before = [layer.training for layer in layers]
    for layer in layers:
        layer.training = active
    try:
        yield
    finally:
        for layer, mode in zip(layers, before, strict=True):
            layer.training = mode


def _add_probabilities(total: Tensor | None, logits: Tensor) -> Tensor:
    probabilities = torch.softmax(at_least_float32(logits), dim=1)
    return probabilities if total is None else total.add_(probabilities)


def _mean(total: Tensor | None, passes: int) -> Tensor:
    if total is None:
        msg = f"expected at least one pass, got {passes}"
        raise ValueError(msg)
    return total.div_(passes)
