"""What builds the networks of one run, for methods that want more than one.

    student = build()                                         # the run's own architecture
    other = build(counterpart(build.spec))                    # another structure, parameters of the same shapes
    spec = build.fitted(NetworkSpec(name="residual_unet"))    # another architecture, to be rebuilt from its file:
    second = build(spec)                                      # whoever predicts with it hands on this spec

All take the run's images and give its classes, and all have freshly drawn weights.
"""

from collections.abc import Sequence

from torch import nn

from fewscan.errors import UsageError
from fewscan.networks.divisors import divisors_of, fitting_size, rounded_up
from fewscan.networks.registry import NetworkSpec, build_network, fit_levels

# each is the other's partner: up-sampling without weights, followed by the same convolution
_PARTNERS = {"linear": "nearest", "nearest": "linear"}
_DEFAULT_UPSAMPLING = {"unet": "linear", "residual_unet": "transposed", "vnet": "transposed"}
_FREE_SHORTCUTS = ("unet", "vnet")  # those of a residual U-Net have projections


class NetworkBuilder:
    """Makes the networks of one run.

    Parameters
    ----------
    spec : NetworkSpec
        The run's own architecture, its levels fitted to the patch.
    patch_size : sequence of int
        Sides of the patches; as many entries as the images have axes.
    channels : int
        Of the images.
    classes : int, optional
        Of the logits; none for a registration network.
    """

    def __init__(
        self, spec: NetworkSpec, *, patch_size: Sequence[int], channels: int, classes: int | None = None
    ) -> None:
        self.spec, self.patch_size = spec, tuple(patch_size)
        self.channels, self.classes = channels, classes

    def __call__(self, spec: NetworkSpec | None = None) -> nn.Module:
        """Return a new network: of the run's architecture, or of ``spec`` as `fitted`.

        Raises
        ------
        UsageError
            If the network cannot be built, or is of another kind than the run's and cannot take the run's patch, which
            is rounded up for the run's own network only.
        """
        spec = self.spec if spec is None else self.fitted(spec)
        network = build_network(spec, dimensions=len(self.patch_size), channels=self.channels, classes=self.classes)
        if spec.name != self.spec.name:
            self._check_takes_patch(network, spec)
        return network

    def fitted(self, spec: NetworkSpec) -> NetworkSpec:
        """Return ``spec`` complete, so that it alone rebuilds the network.

        What it does not name is taken from the run's own spec if both are the same architecture; of another one the
        levels are fitted to the patch.
        """
        if spec.name == self.spec.name:
            return NetworkSpec(name=spec.name, options={**self.spec.options, **spec.options})
        return fit_levels(spec, self.patch_size)

    def _check_takes_patch(self, network: nn.Module, spec: NetworkSpec) -> None:
        fitting = fitting_size(network, self.patch_size, channels=self.channels)
        if fitting == self.patch_size:
            return
        divisors = divisors_of(network, len(self.patch_size))
        too_small = fitting != rounded_up(self.patch_size, divisors)
        raise UsageError(
            f"network {spec.name!r} cannot take patches of {'x'.join(map(str, self.patch_size))}: their sides "
            f"must be multiples of {'x'.join(map(str, divisors))}"
            + (", and larger along one axis at least" if too_small else ""),
            mend=f"The next larger size that fits is --set 'patch_size={list(fitting)}'.",
        )


def counterpart(spec: NetworkSpec, *, averageable: bool = False) -> NetworkSpec:
    """Return another structure whose parameters have the same names and shapes.

    Nearest-neighbour instead of linear up-sampling and, of a U-Net or V-Net, residual instead of plain levels; or the
    other way round. Transposed convolutions have no such partner, and networks of MONAI no counterpart but themselves.

    Parameters
    ----------
    spec : NetworkSpec
    averageable : bool
        Change the up-sampling alone. A plain and a residual network read the same weights differently, so that the
        average of two such networks is none.
    """
    if spec.name not in _DEFAULT_UPSAMPLING:
        return spec
    upsampling = spec.options.get("upsampling", _DEFAULT_UPSAMPLING[spec.name])
    other: dict[str, object] = {"upsampling": _PARTNERS.get(upsampling, upsampling)}
    if spec.name in _FREE_SHORTCUTS and not averageable:
        other["residual"] = not spec.options.get("residual", False)
    return NetworkSpec(name=spec.name, options={**spec.options, **other})
