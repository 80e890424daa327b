"""Networks by name, with options that are checked.

A network is a module whose ``forward`` turns images ``(batch, channels, *spatial)`` into logits
``(batch, classes, *spatial)`` and whose ``divisor`` says what every spatial size must be a multiple of.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field
from torch import nn

from fewscan.errors import UsageError
from fewscan.networks.residual_unet import ResidualUNet, ResidualUNetOptions
from fewscan.networks.unet import UNet, UNetOptions
from fewscan.networks.vnet import VNet, VNetOptions
from fewscan.settings import Settings, nearest_key

MONAI_PREFIX = "monai:"

_NETWORKS: dict[str, tuple[Callable[..., nn.Module], type[Settings]]] = {
    "unet": (UNet, UNetOptions),
    "residual_unet": (ResidualUNet, ResidualUNetOptions),
    "vnet": (VNet, VNetOptions),
}

_FITTED = ("unet", "residual_unet")
_ENOUGH_HALVINGS = 3


class NetworkSpec(Settings):
    """Which network to build.

    Attributes
    ----------
    name : str
        One of `network_names`, or ``monai:NAME`` for a class of ``monai.networks.nets``.
    options : mapping
        What differs from the network's defaults, see `UNetOptions`, `ResidualUNetOptions` and `VNetOptions`; for MONAI
        the arguments of the class.
    """

    name: str = "unet"
    options: dict[str, Any] = Field(default_factory=dict)


def network_names() -> tuple[str, ...]:
    """Return the names of the networks of this package."""
    return tuple(_NETWORKS)


def fit_levels(spec: NetworkSpec, patch_size: Sequence[int]) -> NetworkSpec:
    """Return ``spec`` with as many levels as the patch can be halved, where its options leave that open.

    A U-Net of five levels needs sides that are multiples of 16. Rather than padding a small patch of 40x56x40 up to
    48x64x48, at two thirds more work, its deepest level is left out. At least three voxels remain along each axis at
    the deepest level, and at least two levels. A thin axis (8 slices, which halve once) does not decide for the others:
    it is spared at the first levels, where thick slices are far apart. V-Net and MONAI networks stay as they are.
    """
    if spec.name not in _FITTED or spec.options.keys() & {"filters", "strides"}:
        return spec
    every = UNetOptions().filters
    halvings = [min(max(_halvings(side), 1), len(every) - 1) for side in patch_size]
    depth = min((count for count in halvings if count >= _ENOUGH_HALVINGS), default=max(halvings))
    options = {**spec.options, "filters": list(every[: depth + 1])}
    if min(halvings) < depth:
        options["strides"] = [[2 if level >= depth - count else 1 for count in halvings] for level in range(depth)]
    return NetworkSpec(name=spec.name, options=options)


def _halvings(side: int) -> int:
    count = 0
    while side % 2 == 0 and side >= 6:
        side //= 2
        count += 1
    return count


def build_network(spec: NetworkSpec, *, dimensions: int, channels: int, classes: int) -> nn.Module:
    """Build a network with freshly drawn weights.

    Parameters
    ----------
    spec : NetworkSpec
        Name and options.
    dimensions : 2 or 3
        Spatial axes.
    channels, classes : int
        Of the images and of the logits.

    Raises
    ------
    UsageError
        For an unknown name or option (naming the nearest valid one), or an option with a bad value.
    """
    if dimensions not in (2, 3):
        raise UsageError(f"network {spec.name!r}: networks are 2-D or 3-D, got {dimensions}")
    if spec.name.startswith(MONAI_PREFIX):
        # importing MONAI takes seconds, and most runs do without it
        from fewscan.networks.monai_adapter import MonaiNetwork

        name = spec.name.removeprefix(MONAI_PREFIX)
        return MonaiNetwork(name, dimensions=dimensions, channels=channels, classes=classes, options=spec.options)
    if spec.name not in _NETWORKS:
        hint = nearest_key(spec.name, list(_NETWORKS))
        raise UsageError(f"unknown network {spec.name!r}: {hint}", mend="MONAI's networks are called monai:NAME.")
    network, options = _NETWORKS[spec.name]
    parsed = options.parse(spec.options, source=f"options of network {spec.name!r}")
    return network(dimensions=dimensions, channels=channels, classes=classes, options=parsed)
