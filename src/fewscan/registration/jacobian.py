r"""How a displacement field changes volumes: Jacobian determinant, folds, spread of its logarithm.

.. math:: \det J(p) = \det (I + \partial u / \partial p)

is the volume, in voxels, onto which the map p -> p + u(p) takes a voxel: 1 keeps it, 0 or less folds space. Fields are
``(batch, dimensions, *spatial)``, component k along array axis k, in voxels of their own grid.
"""

import torch
from torch import Tensor

from fewscan.displacement import check_field
from fewscan.losses.probabilities import at_least_float32

SMALLEST_DETERMINANT = 1e-9


def jacobian_determinant(displacement_vox: Tensor) -> Tensor:
    """Return the Jacobian determinant of p -> p + u(p), ``(batch, *spatial)`` in at least float32.

    Derivatives are central differences, one-sided at the border; across an axis of a single voxel the field counts as
    constant.
    """
    check_field(displacement_vox)
    u = at_least_float32(displacement_vox)
    dimensions = u.shape[1]
    # rows[k][a] = d (p_k + u_k) / d p_a
    rows = [[_derivative(u[:, k], axis=a) + float(k == a) for a in range(dimensions)] for k in range(dimensions)]
    if dimensions == 2:
        (a, b), (c, d) = rows
        return a * d - b * c
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def fold_fraction(determinant: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Return the share of voxels whose determinant is 0 or less.

    Parameters
    ----------
    determinant : Tensor
        ``(batch, *spatial)``, from `jacobian_determinant`.
    mask : Tensor, optional
        ``(batch, *spatial)``, truth values: the voxels that count.

    Returns
    -------
    Tensor
        ``(batch,)``, between 0 and 1; NaN where the mask selects nothing.
    """
    chosen = _chosen(determinant, mask)
    folded = (determinant <= 0).flatten(1) & chosen
    return folded.sum(1) / chosen.sum(1)


def sd_log_jacobian(determinant: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Return the standard deviation of the logarithm of the determinant: 0 for a field that scales evenly.

    A fold has no logarithm; determinants are raised to 1e-9 first, so that every fold counts as ln 1e-9 = -20.7 and a
    few of them dominate the figure. (Learn2Reg's evaluation adds 3 before the logarithm and leaves out a border of two
    voxels, and so hides folds and compresses the rest: its figures are not comparable.)

    Parameters
    ----------
    determinant : Tensor
        ``(batch, *spatial)``, from `jacobian_determinant`.
    mask : Tensor, optional
        ``(batch, *spatial)``, truth values: the voxels that count.

    Returns
    -------
    Tensor
        ``(batch,)``, of the whole population (divided by the count); NaN where the mask selects nothing.
    """
    chosen = _chosen(determinant, mask)
    logarithm = at_least_float32(determinant).clamp_min(SMALLEST_DETERMINANT).log().flatten(1)
    count = chosen.sum(1)
    mean = (logarithm * chosen).sum(1) / count
    return (((logarithm - mean[:, None]).square() * chosen).sum(1) / count).sqrt()


def _derivative(component: Tensor, *, axis: int) -> Tensor:
    if component.shape[1 + axis] == 1:
        return torch.zeros_like(component)
    found: Tensor = torch.gradient(component, dim=1 + axis)[0]
    return found


def _chosen(determinant: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.ones_like(determinant, dtype=torch.bool).flatten(1)
    if mask.shape != determinant.shape:
        msg = f"expected a mask of shape {tuple(determinant.shape)}, got {tuple(mask.shape)}"
        raise ValueError(msg)
    return mask.bool().flatten(1)
