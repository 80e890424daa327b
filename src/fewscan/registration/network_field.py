"""What a registration network answers to pairs of scans: a displacement, of finite numbers."""

from torch import Tensor, nn

from fewscan.inference.finite import require_finite


def network_field(network: nn.Module, moving: Tensor, fixed: Tensor) -> Tensor:
    """Return the displacements that lay moving images onto fixed ones, ``(pairs, dimensions, *size)`` in voxels.

    Parameters
    ----------
    network : Module
        With ``displacement(moving, fixed)``.
    moving, fixed : Tensor
        ``(pairs, channels, *size)``.

    Raises
    ------
    DataError
        If a displacement is not finite.
    """
    answer: Tensor = network.displacement(moving, fixed)  # type: ignore[operator]
    return require_finite(answer, "the registration network's displacement")
