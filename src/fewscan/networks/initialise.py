"""Initialisation of weights after He et al. 2015 ("Delving deep into rectifiers"), also for transposed convolutions."""

import math

import torch
from torch import nn

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
TRANSPOSED_CONVOLUTIONS = (nn.ConvTranspose2d, nn.ConvTranspose3d)


@torch.no_grad()
def kaiming_initialise(network: nn.Module, *, negative_slope: float = 0.0) -> None:
    """Draw the weights of all convolutions from ``N(0, gain² / fan_in)`` and set all their offsets to zero.

    ``gain² = 2 / (1 + negative_slope²)`` keeps the variance of the activations through leaky ReLUs of that slope, and
    ``fan_in`` counts the inputs that one output voxel sees. Random numbers come from torch's global generator.

    Parameters
    ----------
    network : Module
        Changed in place; layers other than convolutions are left as they are.
    negative_slope : float
        Of the leaky ReLUs behind the convolutions; 0 for ReLU.
    """
    gain = math.sqrt(2 / (1 + negative_slope**2))
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS):
            fan_in = module.weight[0].numel()
        elif isinstance(module, TRANSPOSED_CONVOLUTIONS):
            # Weights are (in, out, *kernel), and of a kernel only every stride-th tap meets a given output voxel.
            # torch.nn.init would count the outputs of all taps instead.
            taps = math.prod(module.kernel_size) / math.prod(module.stride)
            fan_in = max(1, round(module.in_channels * taps))
        else:
            continue
        module.weight.normal_(0.0, gain / math.sqrt(fan_in))
        if module.bias is not None:
            module.bias.zero_()
