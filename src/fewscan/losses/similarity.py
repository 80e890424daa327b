r"""How alike two images are: normalised cross-correlation, over the whole image and over windows.

.. math:: ncc(a, b) = \frac{E[(a - E a)(b - E b)]}{\sqrt{(Var\,a + eps)(Var\,b + eps)}}

Global: E over the valid voxels of a scan (paper 1, eq. 2, where sigma is the standard deviation; the text calls it
variance). Local: E over the valid voxels of a window around every voxel (Avants et al. 2008). MONAI has the local one
without a mask. Images are ``(batch, channels, *spatial)``, of about unit variance or unit range, masks
``(batch, *spatial)`` with truth values or weights from 0 to 1. Everything is computed in at least float32. A constant
image correlates 0 with everything, at a finite gradient.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32

# in squared intensities: images have a variance of 0.05 to 1, windows of them 1e-4 and more where there is an edge
GLOBAL_EPS = 1e-6
LOCAL_EPS = 1e-5


def global_ncc(a: Tensor, b: Tensor, *, mask: Tensor | None = None, eps: float = GLOBAL_EPS) -> Tensor:
    """Return the correlation of the two images over their valid voxels, averaged over the channels.

    Parameters
    ----------
    a, b : Tensor
        ``(batch, channels, *spatial)``.
    mask : Tensor, optional
        ``(batch, *spatial)``: how much each voxel counts.
    eps : float
        Added to both variances, in squared intensities.

    Returns
    -------
    Tensor
        ``(batch,)``, between -1 and 1; 1 for b = k a + c with k > 0, 0 where an image is constant or nothing is valid.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    a, b, weight = _prepare(a, b, mask)
    a, b = a - _average(a, weight), b - _average(b, weight)
    variances = (_average(a.square(), weight) + eps) * (_average(b.square(), weight) + eps)
    return (_average(a * b, weight) / variances.sqrt()).flatten(1).mean(1)


def global_ncc_loss(a: Tensor, b: Tensor, *, mask: Tensor | None = None, eps: float = GLOBAL_EPS) -> Tensor:
    """Return ``1 - global_ncc``, averaged over the batch: 0 for linearly related images, at most 2."""
    return 1 - global_ncc(a, b, mask=mask, eps=eps).mean()


def local_ncc(
    a: Tensor, b: Tensor, *, window: int = 9, mask: Tensor | None = None, squared: bool = True, eps: float = LOCAL_EPS
) -> Tensor:
    """Return the correlation within windows, averaged over the valid voxels and the channels.

    Parameters
    ----------
    a, b : Tensor
        ``(batch, channels, *spatial)``.
    window : int
        Side of the window in voxels, odd; shorter along axes that are shorter. At the border it holds only what lies
        inside.
    mask : Tensor, optional
        ``(batch, *spatial)``: how much each voxel counts, both inside the windows and in the final average.
    squared : bool
        Square each window's correlation, the usual form (VoxelMorph's weights of the smoothness go with it): bright on
        dark then matches dark on bright. Otherwise it keeps its sign.
    eps : float
        Added to both variances, in squared intensities; windows with less contrast than its root count little.

    Returns
    -------
    Tensor
        ``(batch,)``, at most 1; 0 where nothing is valid.

    Raises
    ------
    ValueError
        If the shapes do not match or the window is even.
    """
    if window < 1 or window % 2 == 0:
        msg = f"the window needs an odd side, got {window}"
        raise ValueError(msg)
    a, b, weight = _prepare(a, b, mask)
    # windows' variances are small differences of large numbers; near zero the numbers are small too
    a, b = a - _average(a.detach(), weight), b - _average(b.detach(), weight)
    box = window_mean(window, a.ndim - 2)
    share = box(weight).clamp_min(1e-6)

    def mean(x: Tensor) -> Tensor:
        return box(x * weight) / share

    mean_a, mean_b = mean(a), mean(b)
    covariance = mean(a * b) - mean_a * mean_b
    variance_a = (mean(a.square()) - mean_a.square()).clamp_min(0) + eps
    variance_b = (mean(b.square()) - mean_b.square()).clamp_min(0) + eps
    product = variance_a * variance_b
    correlation = covariance.square() / product if squared else covariance / product.sqrt()
    return _average(correlation, weight).flatten(1).mean(1)


def local_ncc_loss(
    a: Tensor, b: Tensor, *, window: int = 9, mask: Tensor | None = None, squared: bool = True, eps: float = LOCAL_EPS
) -> Tensor:
    """Return ``1 - local_ncc``, averaged over the batch."""
    return 1 - local_ncc(a, b, window=window, mask=mask, squared=squared, eps=eps).mean()


def _prepare(a: Tensor, b: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return both images and a weight ``(batch, 1, *spatial)`` in one precision."""
    if a.shape != b.shape:
        msg = f"expected two images of one shape, got {tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(msg)
    a, b = at_least_float32(a), at_least_float32(b)
    if mask is None:
        return a, b, torch.ones_like(a[:, :1])
    if mask.shape != (a.shape[0], *a.shape[2:]):
        msg = f"expected a mask of shape {(a.shape[0], *a.shape[2:])}, got {tuple(mask.shape)}"
        raise ValueError(msg)
    return a, b, mask.unsqueeze(1).to(a.dtype)


def _average(x: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over the spatial axes, which stay as ones."""
    axes = tuple(range(2, x.ndim))
    return (x * weight).sum(axes, keepdim=True) / weight.sum(axes, keepdim=True).clamp_min(1e-6)


def window_mean(window: int, dimensions: int) -> Callable[[Tensor], Tensor]:
    """Return a function that averages ``(batch, channels, *spatial)`` over the window around every voxel.

    One axis at a time: 3 x window additions a voxel instead of window^3. At the border a window holds what lies inside.

    Parameters
    ----------
    window : int
        Side in voxels, odd; shorter along axes that are shorter.
    dimensions : 2 or 3
        Spatial axes.
    """
    pool = F.avg_pool2d if dimensions == 2 else F.avg_pool3d

    def box(x: Tensor) -> Tensor:
        for axis in range(dimensions):
            side = x.shape[2 + axis]
            width = min(window, side - 1 + side % 2)  # no window of torch's may be longer than the axis
            kernel = [width if k == axis else 1 for k in range(dimensions)]
            edge = [step // 2 for step in kernel]
            x = pool(x, kernel, stride=1, padding=edge, count_include_pad=False)
        return x

    return box
