r"""Optimising the field of one pair, from the network's field on: what training minimises, without labels.

.. math:: \min_v \; w_s (1 - NCC(x_S \circ D, x_T)) + w_g \lambda |\nabla D|^2, \qquad D = D_0 \circ \exp(v)

D_0 is the network's field and v a stationary velocity at half resolution, 0 at first. A composition with exp(v) adds no
fold, so a field that is invertible stays so; lambda is that of full resolution.
"""

import math

import torch
from torch import Tensor

from fewscan.displacement import compose, exponentiate, resize_displacement
from fewscan.losses.smoothness import squared_gradient
from fewscan.registration.objective import Objective, Pairs, image_distance

LEARNING_RATE_VOX = 0.05
SQUARINGS = 5


def refine(
    displacement_vox: Tensor,
    pair: Pairs,
    objective: Objective,
    *,
    steps: int,
    similarity_weight: float = 1.0,
    smoothness_weight: float = 1.0,
) -> Tensor:
    """Return the field of the lowest loss that a few steps of Adam come across, the start included.

    Parameters
    ----------
    displacement_vox : Tensor
        ``(1, dimensions, *size)``, where to start.
    pair : Pairs
        One pair on the same grid.
    objective : Objective
        Similarity and lambdas.
    steps : int
        Steps to take.
    similarity_weight, smoothness_weight : float
        w_s and w_g.

    Returns
    -------
    Tensor
        As the start, which is returned itself where no step is better.
    """
    size = displacement_vox.shape[2:]
    half = [(side + 1) // 2 for side in size]
    velocity = displacement_vox.new_zeros((1, len(size), *half)).requires_grad_()
    optimiser = torch.optim.Adam([velocity], lr=LEARNING_RATE_VOX)
    weights = {"similarity_weight": similarity_weight, "smoothness_weight": smoothness_weight}
    best = displacement_vox.detach()
    with torch.enable_grad():
        lowest = float(refinement_loss(best, pair, objective, **weights))
        for step in range(steps + 1):
            correction = resize_displacement(exponentiate(velocity, steps=SQUARINGS), size)
            field = compose(displacement_vox, correction)
            loss = refinement_loss(field, pair, objective, **weights)
            value = float(loss.detach())
            if value < lowest:
                best, lowest = field.detach(), value
            if step == steps or not math.isfinite(value):
                break  # nothing better follows a gradient of NaN
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return best


def refinement_loss(
    displacement_vox: Tensor,
    pair: Pairs,
    objective: Objective,
    *,
    similarity_weight: float = 1.0,
    smoothness_weight: float = 1.0,
) -> Tensor:
    """Return the loss of a field at full resolution, as a scalar; arguments as in `refine`."""
    size = displacement_vox.shape[2:]
    distance = image_distance(displacement_vox, pair, objective)
    rough = objective.lambda_of(-1, size, size) * squared_gradient(displacement_vox)
    return similarity_weight * distance + smoothness_weight * rough
