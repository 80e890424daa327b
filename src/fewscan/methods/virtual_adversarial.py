"""Virtual adversarial perturbation (Miyato et al. 2019): the small change of an image that moves the prediction most.

(1)  d <- u / |u|,  u uniform in [-1/2, 1/2]
(2)  d <- g / |g|,  g = gradient of D(p(x + xi d), p(x)) by d        (one power iteration)
(3)  r = radius d

|u| is the root mean square over a sample, so that xi and the radius say how much a voxel changes, whatever the size of
the patch. Publications give the norm of the whole sample, which on smaller patches is a stronger change.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32


def adversarial_direction(
    images: Tensor, distance: Callable[[Tensor], Tensor], *, step: float, radius: float
) -> Tensor:
    """Return r of eq. 3.

    Parameters
    ----------
    images : Tensor
        x, ``(batch, channel, *spatial)``.
    distance : callable
        Turns images into the scalar D of their prediction from p(x), which it holds fixed. Weights get no gradient
        here; statistics of batch normalisation are the caller's business (`fewscan.networks.modes`).
    step : float
        xi of eq. 2, root mean square per voxel.
    radius : float
        Root mean square of r per voxel.

    Returns
    -------
    Tensor
        Of the shape of the images, without a graph; zeros where the prediction does not depend on the image.
    """
    x = at_least_float32(images)
    direction = _unit(torch.rand_like(x) - 0.5).requires_grad_()
    (gradient,) = torch.autograd.grad(distance(x + step * direction), direction)
    return radius * _unit(gradient)


def _unit(x: Tensor) -> Tensor:
    """Return every sample divided by its root mean square; zeros stay zeros."""
    # largest value first: gradients can be so small that their squares vanish
    axes = tuple(range(1, x.ndim))
    x = x / x.abs().amax(axes, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    return x / x.square().mean(axes, keepdim=True).sqrt().clamp_min(torch.finfo(x.dtype).tiny)
