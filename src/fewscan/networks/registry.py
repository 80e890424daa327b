"""Networks by name, with options that are checked.

A segmentation network is a module whose ``forward`` turns images ``(batch, channels, *spatial)`` into logits
``(batch, classes, *spatial)`` and whose ``divisors`` say what the sides of images must be multiples of. The ``forward``
of a registration network turns a moving and a fixed image of any one size into displacement fields, see `MrRegNet`.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from pydantic import Field
from torch import nn

from fewscan.errors import UsageError
from fewscan.networks.mrregnet import PUBLISHED_LEVELS, PUBLISHED_WIDTH, MrRegNet, MrRegNetOptions
from fewscan.networks.residual_unet import ResidualUNet, ResidualUNetOptions
from fewscan.networks.thin_convolution import make_safe
from fewscan.networks.unet import UNet, UNetOptions
from fewscan.networks.vnet import VNet, VNetOptions
from fewscan.settings import Settings, nearest_key

MONAI_PREFIX = "monai:"
MULTI_ATLAS = "multi_atlas"
COMBINED = "combined"
ENSEMBLE = "ensemble"
# built from other networks of this registry, so their modules import this one
_COMPOSED = {
    MULTI_ATLAS: "fewscan.registration.multi_atlas:build_multi_atlas",
    COMBINED: "fewscan.recipes.combined:build_combined",
    ENSEMBLE: "fewscan.networks.ensemble:build_ensemble",
}

_NETWORKS: dict[str, tuple[Callable[..., nn.Module], type[Settings]]] = {
    "unet": (UNet, UNetOptions),
    "residual_unet": (ResidualUNet, ResidualUNetOptions),
    "vnet": (VNet, VNetOptions),
}

_REGISTRATION_NETWORKS: dict[str, tuple[Callable[..., nn.Module], type[Settings]]] = {
    "mrregnet": (MrRegNet, MrRegNetOptions),
}

_FITTED = ("unet", "residual_unet")
_ENOUGH_HALVINGS = 3


class NetworkSpec(Settings):
    """Which network to build.

    Attributes
    ----------
    name : str
        One of `network_names`, or ``monai:NAME`` for a class of ``monai.networks.nets``; or one of
        `registration_network_names`; or ``multi_atlas``, ``combined`` or ``ensemble``, which methods leave in their
        model files.
    options : mapping
        What differs from the network's defaults, see `UNetOptions`, `ResidualUNetOptions`, `VNetOptions` and
        `MrRegNetOptions`; for MONAI the arguments of the class.
    """

    name: str = "unet"
    options: dict[str, Any] = Field(default_factory=dict)


def network_names() -> tuple[str, ...]:
    """Return the names of the segmentation networks of this package."""
    return tuple(_NETWORKS)


def registration_network_names() -> tuple[str, ...]:
    """Return the names of the registration networks."""
    return tuple(_REGISTRATION_NETWORKS)


def is_registration_network(name: str) -> bool:
    """Tell whether the network of that name registers images; any other one segments them, also an unknown one."""
    return name in _REGISTRATION_NETWORKS


def fit_levels(spec: NetworkSpec, patch_size: Sequence[int]) -> NetworkSpec:
    """Return ``spec`` with as many levels as the patch can be halved, where its options leave that open.

    A U-Net of five levels needs sides that are multiples of 16. Rather than padding a small patch of 40x56x40 up to
    48x64x48, at two thirds more work, its deepest level is left out. At least three voxels remain along each axis at
    the deepest level, and at least two levels. A thin axis (8 slices, which halve once) does not decide for the others:
    it is spared at the first levels, where thick slices are far apart. V-Net and MONAI networks stay as they are.
    """
    if spec.name not in _FITTED or spec.options.keys() & {"filters", "strides"}:
        return spec
    return _with_levels(spec, UNetOptions().filters, [_halvings(side) for side in patch_size])


def fit_registration_levels(spec: NetworkSpec, size: Sequence[int]) -> NetworkSpec:
    """Return the spec of a registration network with as many levels as images of ``size`` allow.

    At least four voxels remain along each axis at the coarsest level, and there are at least two levels and at most the
    published five (2-D) or four (3-D). Sides need not be even; a thin axis is spared as in `fit_levels`. A spec whose
    options choose the filters stays as it is.
    """
    if not is_registration_network(spec.name) or spec.options.keys() & {"filters", "strides"}:
        return spec
    every = (PUBLISHED_WIDTH,) * PUBLISHED_LEVELS[len(size)]
    return _with_levels(spec, every, [_rounded_halvings(side) for side in size])


def _with_levels(spec: NetworkSpec, every: Sequence[int], possible_halvings: Sequence[int]) -> NetworkSpec:
    """Return ``spec`` with the first of the filters ``every``, and strides where the axes differ."""
    halvings = [min(max(count, 1), len(every) - 1) for count in possible_halvings]
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


def _rounded_halvings(side: int) -> int:
    count = 0
    while side >= 7:
        side = (side + 1) // 2
        count += 1
    return count


def build_network(spec: NetworkSpec, *, dimensions: int, channels: int, classes: int | None = None) -> nn.Module:
    """Build a network with freshly drawn weights.

    Parameters
    ----------
    spec : NetworkSpec
        Name and options.
    dimensions : 2 or 3
        Spatial axes.
    channels : int
        Of the images; for a registration network, of each of the two.
    classes : int, optional
        Of the logits; none for a registration network.

    Raises
    ------
    UsageError
        For an unknown name or option (naming the nearest valid one), an option with a bad value, or a network of the
        wrong kind: one that registers where classes are wanted, or one that segments where none are.
    """
    if dimensions not in (2, 3):
        raise UsageError(f"network {spec.name!r}: networks are 2-D or 3-D, got {dimensions}")
    if is_registration_network(spec.name):
        return _build_registration_network(spec, dimensions=dimensions, channels=channels, classes=classes)
    monai = spec.name.startswith(MONAI_PREFIX)
    if spec.name not in (*_NETWORKS, *_COMPOSED) and not monai:
        hint = nearest_key(spec.name, [*(_REGISTRATION_NETWORKS if classes is None else _NETWORKS)])
        raise UsageError(f"unknown network {spec.name!r}: {hint}", mend="MONAI's networks are called monai:NAME.")
    if classes is None:
        raise UsageError(
            f"network {spec.name!r} does not register images", mend=f"Use {' or '.join(_REGISTRATION_NETWORKS)}."
        )
    if spec.name in _COMPOSED:
        module, function = _COMPOSED[spec.name].split(":")
        build: Callable[..., nn.Module] = getattr(import_module(module), function)
        return build(spec.options, dimensions=dimensions, channels=channels, classes=classes)
    if monai:
        # importing MONAI takes seconds, and most runs do without it
        from fewscan.networks.monai_adapter import MonaiNetwork

        name = spec.name.removeprefix(MONAI_PREFIX)
        given = MonaiNetwork(name, dimensions=dimensions, channels=channels, classes=classes, options=spec.options)
        return make_safe(given)
    network, options = _NETWORKS[spec.name]
    parsed = options.parse(spec.options, source=f"options of network {spec.name!r}")
    return network(dimensions=dimensions, channels=channels, classes=classes, options=parsed)


def _build_registration_network(spec: NetworkSpec, *, dimensions: int, channels: int, classes: int | None) -> nn.Module:
    if classes is not None:
        raise UsageError(
            f"network {spec.name!r} registers images and cannot segment them",
            mend=f"Use {', '.join(_NETWORKS)} or monai:NAME.",
        )
    network, options = _REGISTRATION_NETWORKS[spec.name]
    parsed = options.parse(spec.options, source=f"options of network {spec.name!r}")
    return network(dimensions=dimensions, channels=channels, options=parsed)
