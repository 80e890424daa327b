"""What a network answers has to be finite numbers: NaN and infinity would pass for a segmentation or a deformation."""

import torch
from torch import Tensor

from fewscan.errors import DataError


def require_finite(x: Tensor, what: str) -> Tensor:
    """Return ``x``, or say that ``what`` ("the network's output") is not finite.

    Raises
    ------
    DataError
        With what to do about it.
    """
    if not bool(torch.isfinite(x.sum())):  # one number to look at; no tensor as large as x
        raise DataError(
            f"{what} is not finite",
            mend="Use fp32 (--precision fp32, in a training --set precision=fp32); if that fails too, it has diverged.",
        )
    return x
