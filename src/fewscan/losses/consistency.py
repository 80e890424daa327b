"""Consistency: how far two predictions are apart, voxel by voxel.

    L = sum over voxels x of m(x) sum over classes c of (p_c(x) - q_c(x))^2  /  (C sum over voxels of m(x))

with C the number of classes and m = 1 unless a mask selects voxels. Public code divides by a literal 2 for any C.
"""

from torch import Tensor

from fewscan.losses.probabilities import at_least_float32


def squared_difference(p: Tensor, q: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Return the squared difference of two predictions, averaged over classes and selected voxels.

    Parameters
    ----------
    p, q : Tensor
        Probabilities ``(batch, class, *spatial)``.
    mask : Tensor, optional
        ``(batch, *spatial)``: which voxels count, as truth values or weights from 0 to 1.

    Returns
    -------
    Tensor
        Scalar between 0 and 2 / C, in at least float32; 0 if the mask selects nothing.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    if p.shape != q.shape:
        msg = f"expected two predictions of one shape, got {tuple(p.shape)} and {tuple(q.shape)}"
        raise ValueError(msg)
    squared = (at_least_float32(p) - at_least_float32(q)).square()
    if mask is None:
        return squared.mean()
    if mask.shape != (p.shape[0], *p.shape[2:]):
        msg = f"expected a mask of shape {(p.shape[0], *p.shape[2:])}, got {tuple(mask.shape)}"
        raise ValueError(msg)
    weight = mask.to(squared.dtype)
    # where nothing is selected the numerator is 0 too; a smaller divisor would overflow in the gradient
    return (squared.mean(dim=1) * weight).sum() / weight.sum().clamp_min(1e-6)
