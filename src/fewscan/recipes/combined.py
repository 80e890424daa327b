"""The "Combined" predictor of paper 1: the average of all 2N masks, as one segmentation network.

(1)  p(x) = 1/2 [ 1/N sum_n T_n^-1 S(T_n x) ] + 1/2 [ 1/N sum_n y_n(D_n(x)) ]

S is the segmentation network, T_n a test-time view, y_n the true mask of annotated scan n and D_n its registration to
x. Both halves weigh the same (unless ``segmentation_share`` says otherwise) also with fewer than N annotated scans.
Soft pseudo-masks are made by the same network during training. Of more than N annotated scans, prediction takes
those most like the target before registration (Aljabar et al. 2009), so that it does not depend on chance; training
draws them.

To everything around it this is a segmentation network: whole scans in, logits out, one model file with both networks
and the annotated scans.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.errors import UsageError
from fewscan.networks.registry import COMBINED, NetworkSpec, build_network
from fewscan.recipes.halves import registration_half, segmentation_half
from fewscan.recipes.mask_views import MaskView, mask_views
from fewscan.registration.atlases import Atlases, Placed
from fewscan.registration.multi_atlas import most_similar
from fewscan.settings import Settings


class CombinedOptions(Settings):
    """What a model file needs to build a `Combined`.

    Attributes
    ----------
    atlases : int
        How many annotated scans it holds.
    size : tuple of int
        Of their common grid, at least as large as ``patch_size``.
    segmentation, registration : NetworkSpec
        The two networks.
    patch_size : tuple of int
        Window of the segmentation network.
    sources : int
        Annotated scans laid onto each target, at most; N.
    views : int
        Test-time views, at most; N.
    segmentation_share : float
        How much the segmentation half weighs; the other half has the rest.
    flip_axes, turn_planes : tuple
        Axes that training mirrored, and planes that it turned.
    rotation_degrees : float
        Of the rotated views, in 2-D.
    spacing_mm : tuple of float, optional
        Of the scans.
    """

    atlases: int = Field(ge=1)
    size: tuple[int, ...]
    segmentation: NetworkSpec
    registration: NetworkSpec
    patch_size: tuple[int, ...]
    sources: int = Field(5, ge=1)
    views: int = Field(5, ge=1)
    segmentation_share: float = Field(0.5, ge=0, le=1)
    flip_axes: tuple[int, ...] = ()
    turn_planes: tuple[tuple[int, int], ...] = ()
    rotation_degrees: float = 10.0
    spacing_mm: tuple[float, ...] | None = None


class Combined(nn.Module):
    """Segmentation network, registration network and annotated scans.

    Parameters
    ----------
    segmentation, registration : Module
        Built as the options say.
    atlases : Atlases
        Annotated scans.
    classes : int
        Background included.
    options : CombinedOptions

    Attributes
    ----------
    whole_scans : bool
        A target is to be given whole, centred on a grid that is at least as large as that of the annotated scans.
    """

    whole_scans = True

    def __init__(
        self,
        segmentation: nn.Module,
        registration: nn.Module,
        atlases: Atlases,
        *,
        classes: int,
        options: CombinedOptions,
    ) -> None:
        super().__init__()
        self.segmentation, self.registration, self.atlases = segmentation, registration, atlases
        self.classes, self.options = classes, options
        self.views: list[MaskView] = mask_views(
            len(options.size),
            options.views,
            flip_axes=options.flip_axes,
            turn_planes=options.turn_planes,
            rotation_degrees=options.rotation_degrees,
            spacing_mm=options.spacing_mm,
        )

    def forward(self, images: Tensor, inside: Tensor | None = None) -> Tensor:
        """Return the logarithms of eq. 1, ``(batch, class, *size)`` in float32.

        Parameters
        ----------
        images : Tensor
            ``(batch, channels, *size)``: whole scans, centred.
        inside : Tensor, optional
            ``(batch, 1, *size)``: 1 where they have data, 0 in their padding, which the segmentation network
            is not shown, and which has no part in the choice of annotated scans; everywhere 1 unless told.

        Raises
        ------
        UsageError
            If the annotated scans do not fit onto the grid.
        DataError
            If the output of a network is not finite.
        """
        placed = self.atlases.on(images.shape[2:])
        inside = torch.ones_like(images[:, :1]) if inside is None else inside
        each = zip(images, inside, strict=True)
        chosen = torch.stack([most_similar(placed, *one, count=self.options.sources) for one in each])
        segmented, registered = self.halves(images, inside, placed, chosen)
        mean = self.together(segmented, registered)
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()

    def together(self, segmented: Tensor, registered: Tensor) -> Tensor:
        """Return eq. 1 of both halves, of any shape."""
        return torch.lerp(registered, segmented, self.options.segmentation_share)

    def halves(self, images: Tensor, inside: Tensor, placed: Placed, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return both halves of eq. 1, each ``(batch, class, *size)`` and adding up to 1.

        Parameters
        ----------
        images : Tensor, (batch, channels, *size)
        inside : Tensor, (batch, 1, *size)
            1 where they have data, 0 in their padding.
        placed : Placed
            The annotated scans on the grid of the images.
        chosen : Tensor, (batch, count), int64
            Which of them are laid onto each image.
        """
        segmented = segmentation_half(
            self.segmentation, images, inside, views=self.views, patch_size=self.options.patch_size
        )
        return segmented, registration_half(self.registration, placed, images, chosen, classes=self.classes)


def combined_spec(options: CombinedOptions) -> NetworkSpec:
    """Return what builds a model of the same shape."""
    return NetworkSpec(name=COMBINED, options=options.model_dump(mode="json"))


def build_combined(options: dict[str, Any], *, dimensions: int, channels: int, classes: int) -> Combined:
    """Build a model whose weights and annotated scans are still to be loaded; arguments as of `build_network`."""
    parsed = CombinedOptions.parse(options, source=f"options of network {COMBINED!r}")
    if len(parsed.size) != dimensions or len(parsed.patch_size) != dimensions:
        raise UsageError(f"options of network {COMBINED!r}: size {parsed.size} is not {dimensions}-D")
    return Combined(
        build_network(parsed.segmentation, dimensions=dimensions, channels=channels, classes=classes),
        build_network(parsed.registration, dimensions=dimensions, channels=channels),
        Atlases(parsed.atlases, channels=channels, size=parsed.size),
        classes=classes,
        options=parsed,
    )
