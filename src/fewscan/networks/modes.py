"""Blocks in which a network is to behave unlike the rest of its training; everything is as before afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Run without dropout and with the stored statistics."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def predicting(network: nn.Module) -> Iterator[None]:
    """Run as for prediction, in the midst of a training step: in `evaluation_mode` and without a graph."""
    with torch.no_grad(), evaluation_mode(network):
        yield
    # or some versions of PyTorch would give the next pass weights of reduced precision that know of no graph
    torch.clear_autocast_cache()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients pass through the network, but not into its weights."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def untouched_statistics(network: nn.Module) -> Iterator[None]:
    """Normalise as the network's mode asks, but leave the stored statistics of batch normalisation as they are."""
    layers = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training and module.track_running_stats
    ]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
