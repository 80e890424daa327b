"""3-D convolutions that stay right on maps thinner than their kernel.

In PyTorch 2.13 on x86 processors the weight gradient of a bfloat16 3-D convolution reads memory that nobody has
written when an axis of its input is shorter than the kernel. What lies there decides: mostly zeros, sometimes 1e30;
with a stride of 2 the process may end with a bus error. Measured with kernels 3, 4 and 5, strides 1 and 2 and axes of 1
to 6 voxels: not every such map is wrong (with kernel 3 and stride 1 those of 2 voxels along the first axis, with kernel
5 those of 2 to 4 along the first or 1 along the second), and none is whose axes are as long as the kernel. 2-D and
float32 are right. Such maps are the coarsest of a network, so computing them in float32 costs next to nothing.
"""

import torch
from torch import Tensor, nn


class SafeConv3d(nn.Conv3d):
    """`torch.nn.Conv3d`, in float32 where its bfloat16 gradient cannot be trusted."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name torch gives it
        """Return the convolution, of the type that autocast asks for; computed in float32 for thin maps on the CPU."""
        thin = any(side < kernel for side, kernel in zip(input.shape[-3:], self.kernel_size, strict=True))
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
