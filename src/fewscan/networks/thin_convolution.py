"""3-D convolutions that stay right on maps thinner than their kernel.

In PyTorch 2.13 on x86 processors the weight gradient of a bfloat16 3-D convolution reads memory that nobody has
written when the first axis of its input is longer than the padding and shorter than the kernel: 2 voxels with a kernel
of 3, and 3 or 4 with one of 5 (measured; other sizes, 2-D and float32 are right). What lies there decides: mostly
zeros, sometimes 1e30. Such maps are the coarsest of a network, so computing them in float32 costs next to nothing.
"""

import torch
from torch import Tensor, nn


class SafeConv3d(nn.Conv3d):
    """`torch.nn.Conv3d`, in float32 where its bfloat16 gradient cannot be trusted."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name torch gives it
        """Return the convolution, of the type that autocast asks for; computed in float32 for thin maps on the CPU."""
        thin = int(self.padding[0]) < input.shape[-3] < self.kernel_size[0]
        if not thin or input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            exact = super().forward(input.float())
        return exact.to(torch.get_autocast_dtype("cpu"))


def make_safe(network: nn.Module) -> nn.Module:
    """Turn every plain 3-D convolution of a network into a `SafeConv3d`, weights and all; return the network."""
    for module in network.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = SafeConv3d
    return network
