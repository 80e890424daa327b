"""Separable linear maps of images: one matrix per axis.

Up-sampling by B-splines, Gaussian blur and halving an image are of this kind. For the patch sizes of training a dense
matrix product per axis is faster than a grouped convolution or pooling, and the matrix's rows handle the borders.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def apply_along_axes(images: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Multiply each spatial axis by its matrix.

    Parameters
    ----------
    images : Tensor (B, C, *spatial)
        What to map.
    matrices : sequence of Tensor (..., out, in)
        One per spatial axis, the same for all images or with leading axes (B, C).

    Returns
    -------
    Tensor (B, C, *out)
        In the precision of the images, also under autocast.
    """
    with torch.autocast(images.device.type, enabled=False):
        for axis, matrix in enumerate(matrices, start=2):
            shape = images.shape
            before, after = math.prod(shape[2:axis]), math.prod(shape[axis + 1 :])
            if after == 1:
                moved = images.reshape(*shape[:2], before, shape[axis]) @ matrix.mT
            else:
                moved = matrix.unsqueeze(-3) @ images.reshape(*shape[:2], before, shape[axis], after)
            images = moved.reshape(*shape[:axis], matrix.shape[-2], *shape[axis + 1 :])
    return images
