"""Any segmentation network of ``monai.networks.nets`` by the name of its class.

MONAI is imported here only, when a network is built: it takes seconds. Its weights keep MONAI's own initialisation.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from fewscan.errors import UsageError
from fewscan.networks.encoder_decoder import check_images
from fewscan.settings import nearest_key

# What classes that insist on an architecture get unless told, in the widths of our own networks.
_FILTERS = (16, 32, 64, 128, 256)
_DEFAULTS: dict[str, dict[str, Any]] = {
    "UNet": {"channels": _FILTERS, "strides": (2, 2, 2, 2), "num_res_units": 2},
    "AttentionUnet": {"channels": _FILTERS, "strides": (2, 2, 2, 2)},
    "DynUNet": {
        "kernel_size": (3, 3, 3, 3, 3),
        "strides": (1, 2, 2, 2, 2),
        "upsample_kernel_size": (2, 2, 2, 2),
        "filters": _FILTERS,
    },
}
# Where neither strides nor blocks_down among the arguments tell the divisor. 32 is enough for five down-samplings.
_DIVISORS = {"UNETR": 16, "BasicUNet": 16, "BasicUNetPlusPlus": 16}
_DEFAULT_DIVISOR = 32


class MonaiNetwork(nn.Module):
    """A MONAI network that takes our images and gives logits.

    Parameters
    ----------
    name : str
        Class in ``monai.networks.nets``: "DynUNet", "SwinUNETR", "UNETR", "SegResNet", "BasicUNet", ...
    dimensions : 2 or 3
        Spatial axes.
    channels, classes : int
        Of the images and of the logits.
    options : mapping, optional
        Arguments of the class, and ``divisor``: what spatial sizes must be a multiple of, for classes whose divisor
        cannot be told from their arguments (32 unless given).

    Attributes
    ----------
    network : Module
        MONAI's network.
    divisors : tuple of int
        What the sides of images must be multiples of, one per spatial axis; of MONAI's networks the same for all.

    Raises
    ------
    UsageError
        For an unknown class or argument, a missing argument, or arguments that MONAI refuses.
    """

    def __init__(
        self,
        name: str,
        *,
        dimensions: int,
        channels: int,
        classes: int,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.name = f"monai:{name}"
        self.dimensions = dimensions
        self.channels = channels
        self.classes = classes
        maker = _find(name)
        chosen = dict(options or {})
        divisor = chosen.pop("divisor", None)
        arguments = _DEFAULTS.get(maker.__name__, {}) | chosen
        arguments = _checked(self.name, maker, arguments, dimensions=dimensions, channels=channels, classes=classes)
        try:
            self.network: nn.Module = maker(**arguments)
        except ImportError as error:
            # MONAI's own message is long and ends in a link
            raise UsageError(
                f"network {self.name!r} needs a package that is not installed: {str(error).splitlines()[0]}",
                mend="Install it with pip.",
            ) from error
        except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
            raise UsageError(f"network {self.name!r} cannot be built from these options: {error}") from error
        side = int(divisor) if divisor is not None else _divisor(maker, arguments)
        self.divisors = (side,) * dimensions

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(batch, classes, *spatial)``; the first result where MONAI gives several.

        Raises
        ------
        UsageError
            If the images do not fit the network, or the network does not segment.
        """
        check_images(images, name=self.name, channels=self.channels, divisors=self.divisors)
        try:
            result = self.network(images)
        except ValueError as error:
            if "spatial element" not in str(error):  # torch's words of instance normalisation
                raise
            size = "x".join(map(str, images.shape[2:]))
            raise UsageError(
                f"network {self.name!r}: an input of {size} leaves one voxel at the coarsest level, which cannot be "
                "normalised",
                mend="Use larger patches.",
            ) from None
        logits = result[0] if isinstance(result, tuple | list) else result
        expected = (images.shape[0], self.classes, *images.shape[2:])
        if not isinstance(logits, Tensor) or tuple(logits.shape) != expected:
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise UsageError(f"network {self.name!r} does not segment: expected logits {expected}, got {got}")
        return logits


def _find(name: str) -> Callable[..., nn.Module]:
    from monai.networks import nets

    known = {key: value for key, value in vars(nets).items() if inspect.isclass(value) and issubclass(value, nn.Module)}
    if name not in known:
        by_lower_case = {key.lower(): key for key in sorted(known)}
        nearest = difflib.get_close_matches(name.lower(), list(by_lower_case), n=1, cutoff=0.0)[0]
        raise UsageError(f"MONAI has no network {name!r}: did you mean 'monai:{by_lower_case[nearest]}'?")
    maker: Callable[..., nn.Module] = known[name]
    return maker


def _checked(
    name: str,
    maker: Callable[..., nn.Module],
    arguments: Mapping[str, Any],
    *,
    dimensions: int,
    channels: int,
    classes: int,
) -> dict[str, Any]:
    """Return all arguments for ``maker``, with those about the data under the names it gives them."""
    parameters = inspect.signature(maker).parameters
    ours = {
        "spatial_dims": dimensions,
        "in_channels": channels,
        "out_channels": classes,
        "num_classes": classes,
        "n_classes": classes,
    }
    from_data = {key: value for key, value in ours.items() if key in parameters}
    free = [
        key for key, item in parameters.items() if key not in ours and item.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    takes_any = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values())
    for key in arguments:
        if key in from_data:
            raise UsageError(f"options of network {name!r}: {key!r} follows from the data and cannot be set")
        if key not in free and not takes_any:
            hint = nearest_key(key, [*free, "divisor"])
            raise UsageError(f"options of network {name!r}: unknown key {key!r}: {hint}")
    missing = [key for key in free if parameters[key].default is inspect.Parameter.empty and key not in arguments]
    if missing:
        raise UsageError(f"network {name!r} needs the option(s) {', '.join(missing)}")
    return {**arguments, **from_data}


def _divisor(maker: Callable[..., nn.Module], arguments: Mapping[str, Any]) -> int:
    """Return the down-sampling of the whole network, as far as its arguments tell it."""
    bound = inspect.signature(maker).bind(**arguments)
    bound.apply_defaults()
    if "strides" in bound.arguments:
        steps = [
            math.lcm(*step) if isinstance(step, tuple | list) else int(step) for step in bound.arguments["strides"]
        ]
        return math.prod(steps)
    if "blocks_down" in bound.arguments:
        return int(2 ** (len(bound.arguments["blocks_down"]) - 1))
    return _DIVISORS.get(maker.__name__, _DEFAULT_DIVISOR)
