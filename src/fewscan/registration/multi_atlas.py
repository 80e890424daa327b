"""Multi-atlas segmentation: annotated scans are registered to the target, and their warped labels are fused.

`MultiAtlas` is a segmentation network to everything around it: images in, logits out, one model file with weights and
atlases. Of many atlases it registers those most like the target before registration (Aljabar et al. 2009, NeuroImage).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from fewscan.errors import UsageError
from fewscan.losses.similarity import global_ncc
from fewscan.networks.registry import MULTI_ATLAS, NetworkSpec, build_network
from fewscan.registration.atlases import Atlases, Placed
from fewscan.registration.fusion import average, local_similarity, majority
from fewscan.registration.lay import Laid, lay_atlases
from fewscan.registration.objective import Pairs
from fewscan.registration.parameters import RegistrationParameters, odd_side
from fewscan.registration.refine import refine
from fewscan.settings import Settings

VOXELS_AT_ONCE = 2**19  # of all pairs that pass the network together; more would only take memory


class MultiAtlasParameters(RegistrationParameters):
    """How the registration is trained, and how atlases are used.

    Window and power were the best of 3 to 9 and of 1 to 8 on 20 validation scans of the hippocampus (4 atlases, 150
    steps): Dice .725 against .702 of the average and .694 of the majority.
    """

    fusion: Literal["majority", "average", "local_similarity"] = Field(
        "local_similarity",
        description="of the atlases' labels; Artaechevarria et al. 2009, majority: Heckemann et al. 2006",
    )
    fusion_window: int = Field(3, ge=1, description="side of the windows of local_similarity in voxels, odd; ours")
    fusion_power: float = Field(
        2.0, ge=0, description="of local_similarity, 0 is average, large is the best atlas alone; ours"
    )
    atlases: int = Field(10, ge=1, description="most similar labelled scans, registered to each target; Aljabar 2009")
    refine_steps: int = Field(0, ge=0, description="steps of optimisation on each pair after the network; ours")

    _odd_fusion_window = field_validator("fusion_window")(odd_side)


class MultiAtlasOptions(Settings):
    """What a model file needs to build a `MultiAtlas`.

    Attributes
    ----------
    atlases : int
        How many it holds.
    size : tuple of int
        Of their common grid.
    network : NetworkSpec
        That registers.
    hyper : MultiAtlasParameters
    """

    atlases: int = Field(ge=1)
    size: tuple[int, ...]
    network: NetworkSpec
    hyper: MultiAtlasParameters


class MultiAtlas(nn.Module):
    """A registration network and its atlases as one segmentation network.

    Parameters
    ----------
    network : Module
        With ``displacement(moving, fixed)``.
    atlases : Atlases
        Annotated scans.
    classes : int
        Background included.
    hyper : MultiAtlasParameters
        Fusion, refinement, atlases per target.

    Attributes
    ----------
    whole_scans : bool
        A target is to be given whole, centred on a grid that is at least as large as that of the atlases.
    """

    whole_scans = True

    def __init__(self, network: nn.Module, atlases: Atlases, *, classes: int, hyper: MultiAtlasParameters) -> None:
        super().__init__()
        self.network, self.atlases = network, atlases
        self.classes, self.hyper = classes, hyper

    def forward(self, images: Tensor, inside: Tensor | None = None) -> Tensor:
        """Return the logarithms of the fused probabilities, ``(batch, class, *size)`` in float32.

        Parameters
        ----------
        images : Tensor
            ``(batch, channels, *size)``: whole scans, centred.
        inside : Tensor, optional
            ``(batch, 1, *size)``: 1 where they have data, 0 in their padding, which has no part in anything that
            compares images; everywhere 1 unless told.

        Raises
        ------
        UsageError
            If the atlases do not fit onto the grid, or there are none.
        DataError
            If a displacement is not finite.
        """
        placed, inside = self._placed(images), _all_inside(images) if inside is None else inside
        fused = torch.stack([self._fuse(self._laid(placed, *one), *one) for one in zip(images, inside, strict=True)])
        return fused.clamp_min(torch.finfo(fused.dtype).tiny).log()

    def warped_labels(self, images: Tensor, inside: Tensor | None = None) -> Tensor:
        """Return the labels of the chosen atlases on every image, as probabilities ``(batch, atlas, class, *size)``.

        Arguments and errors as of `forward`.
        """
        placed, inside = self._placed(images), _all_inside(images) if inside is None else inside
        return torch.stack([self._laid(placed, *one).labels for one in zip(images, inside, strict=True)])

    def _placed(self, images: Tensor) -> Placed:
        if len(self.atlases) == 0:
            raise UsageError("multi-atlas segmentation without an atlas", mend="Label at least one scan.")
        return self.atlases.on(images.shape[2:])

    def _laid(self, placed: Placed, image: Tensor, inside: Tensor) -> Laid:
        """Register the atlases that are most like the image to it."""
        chosen = most_similar(placed, image, inside, count=self.hyper.atlases)
        return lay_atlases(
            self.network,
            placed,
            chosen,
            image.expand(len(chosen), *image.shape),
            classes=self.classes,
            voxels_at_once=VOXELS_AT_ONCE,
            with_images=True,
            correct=partial(self._refined, inside=inside) if self.hyper.refine_steps else None,
        )

    def _refined(self, fields: Tensor, pairs: Pairs, *, inside: Tensor) -> Tensor:
        """Return the fields after optimisation, each pair on its own; all have one fixed scan."""
        hyper = self.hyper
        pairs = pairs._replace(fixed_inside=inside.expand(len(fields), *inside.shape))
        refined = [
            refine(
                fields[k : k + 1],
                Pairs(*(None if part is None else part[k : k + 1] for part in pairs[:4])),  # type: ignore[arg-type]
                hyper.objective,
                steps=hyper.refine_steps,
                similarity_weight=hyper.similarity_weight,
                smoothness_weight=hyper.smoothness_weight,
            )
            for k in range(len(fields))
        ]
        return torch.cat(refined)

    def _fuse(self, laid: Laid, image: Tensor, inside: Tensor) -> Tensor:
        """Return the probabilities ``(class, *size)``."""
        hyper = self.hyper
        with torch.autocast(image.device.type, enabled=False):
            if hyper.fusion == "local_similarity":
                return local_similarity(
                    laid.labels,
                    laid.images,
                    image,
                    window=hyper.fusion_window,
                    power=hyper.fusion_power,
                    seen=laid.seen,
                    inside=inside.squeeze(0),
                )
            return (majority if hyper.fusion == "majority" else average)(laid.labels, seen=laid.seen)


def most_similar(placed: Placed, image: Tensor, inside: Tensor, *, count: int) -> Tensor:
    """Return the indices of the atlases that correlate most with an image (channels, *size), in their own order.

    What counts are the voxels where both have data: atlas and, by ``inside`` (1, *size), image.
    """
    if len(placed.images) <= count:
        return torch.arange(len(placed.images), device=image.device)
    found = [
        global_ncc(atlas[None], image[None], mask=there * inside)  # one at a time: correlations need little time
        for atlas, there in zip(placed.images, placed.inside, strict=True)
    ]
    return torch.cat(found).topk(count).indices.sort().values


def _all_inside(images: Tensor) -> Tensor:
    return torch.ones_like(images[:, :1])


def multi_atlas_spec(network: NetworkSpec, model: MultiAtlas) -> NetworkSpec:
    """Return what builds a model of the same shape, given the specification of its registration network."""
    options = MultiAtlasOptions(atlases=len(model.atlases), size=model.atlases.size, network=network, hyper=model.hyper)
    return NetworkSpec(name=MULTI_ATLAS, options=options.model_dump(mode="json"))


def build_multi_atlas(options: dict[str, Any], *, dimensions: int, channels: int, classes: int) -> MultiAtlas:
    """Build a model whose weights and atlases are still to be loaded; arguments as of `build_network`."""
    parsed = MultiAtlasOptions.parse(options, source=f"options of network {MULTI_ATLAS!r}")
    _check_size(parsed.size, dimensions)
    network = build_network(parsed.network, dimensions=dimensions, channels=channels)
    atlases = Atlases(parsed.atlases, channels=channels, size=parsed.size)
    return MultiAtlas(network, atlases, classes=classes, hyper=parsed.hyper)


def _check_size(size: Sequence[int], dimensions: int) -> None:
    if len(size) != dimensions:
        raise UsageError(f"options of network {MULTI_ATLAS!r}: size {tuple(size)} is not {dimensions}-D")
