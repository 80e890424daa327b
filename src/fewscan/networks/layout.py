"""Which memory layout makes convolutions fast.

One forward, backward and step on an AMD EPYC with AVX512-BF16 (torch 2.13, bf16 by autocast), in seconds::

                                                   fp32                        bf16
    network, batch x patch               contiguous  channels-last   contiguous  channels-last
    vnet, 4 x 112x112x80, two cores         8.33          6.07          3.99          2.47
    unet, 4 x 48x64x48,   one core          2.76          1.93          1.36          1.01

What loses on contiguous tensors are convolutions of few channels, pooling and linear up-sampling; the blocks are
written so that channels-last tensors stay so. The networks of MONAI were not measured.
"""

import torch

from fewscan.networks.blocks import CHANNELS_LAST


def best_layout(dimensions: int, device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """Return the memory format for a network and its images.

    Parameters
    ----------
    dimensions : 2 or 3
        Spatial axes.
    device : torch.device
        Where the network runs.
    dtype : torch.dtype
        What it computes in, under autocast.

    Returns
    -------
    torch.memory_format
        For ``network.to(memory_format=...)`` and ``images.contiguous(memory_format=...)``: channels-last on the CPU;
        contiguous, torch's default, on other devices, where it has not been measured.
    """
    if device.type == "cpu" and dtype in (torch.float32, torch.bfloat16):
        return CHANNELS_LAST[dimensions]
    return torch.contiguous_format
