"""Predictor: a trained model, ready to segment prepared scans one after another.

Works on prepared arrays only and opens no image file, so it serves notebooks and validation as well as ``fewscan
predict``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fewscan.augment.views import View
from fewscan.augment.views import views as make_views
from fewscan.data.scan_meta import ScanMeta
from fewscan.errors import UsageError
from fewscan.inference.finite import require_finite
from fewscan.inference.model_file import ModelSpec, load_model
from fewscan.inference.restore import Restored, restore
from fewscan.inference.sliding_window import check_overlap, predict_probabilities
from fewscan.networks.layout import best_layout
from fewscan.networks.precision import resolve_precision
from fewscan.networks.registry import is_registration_network

BATCH_VOXELS = 2**19  # one 3-D window of ordinary size, or several slices, fill a device


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A network on its device, with everything that decides what it predicts.

    Attributes
    ----------
    network : nn.Module
        In evaluation mode. One whose attribute ``whole_scans`` is true is shown scans whole, padded to at least the
        patch, and told where they have data: ``network(images, inside=...)``, (B, 1, *axes), 0 in the padding.
    spec : ModelSpec
        What the network was trained for.
    device : torch.device
        Where it computes.
    dtype : torch.dtype
        In which precision, see `resolve_precision`.
    views : tuple of View
        Test-time views to average over; none for the image as it is.
    overlap : float
        Share of a window that neighbouring windows have in common.
    """

    network: nn.Module
    spec: ModelSpec
    device: torch.device
    dtype: torch.dtype = torch.float32
    views: tuple[View, ...] = ()
    overlap: float = 0.5

    @classmethod
    def load(
        cls, model: Path, *, device: torch.device, precision: str = "auto", views: int = 1, overlap: float = 0.5
    ) -> Self:
        """Read a model file or run folder and put its network on the device.

        Parameters
        ----------
        model : Path
            Model file, or run folder.
        device : torch.device
            Where to compute.
        precision : "auto", "fp32" or "bf16"
            See `resolve_precision`.
        views : int
            How many test-time views to average over; 1 is the image as it is. Where the model's ``details`` name the
            ``flip_axes`` of its training, only these are flipped.
        overlap : float
            Share of a window that neighbouring windows have in common, in [0, 1).

        Raises
        ------
        DataError
            If the model file is not intact.
        UsageError
            For an overlap, a precision or a number of views that does not exist, or a registration model.
        """
        check_overlap(overlap)
        network, spec = load_model(model)
        if is_registration_network(spec.network.name):
            raise UsageError(
                f"{model}: is a registration model, which lays one scan onto another and segments none",
                mend="Use fewscan register.",
            )
        chosen = make_views(spec.plan.dimensions, views, flip_axes=spec.details.get("flip_axes"))
        dtype = resolve_precision(precision, device)
        layout = best_layout(spec.plan.dimensions, device, dtype)
        return cls(
            network=network.to(device).to(memory_format=layout),  # type: ignore[call-overload]  # missing in torch
            spec=spec,
            device=device,
            dtype=dtype,
            views=tuple(chosen) if views > 1 else (),
            overlap=overlap,
        )

    @property
    def whole_scans(self) -> bool:
        """Whether the network is shown every scan whole, so that there are no windows that could overlap."""
        return bool(getattr(self.network, "whole_scans", False))

    def probabilities(self, image: npt.NDArray[np.float32], background: tuple[float, ...]) -> Tensor:
        """Return the probabilities (classes, *axes) of a prepared image (channels, *axes).

        Raises
        ------
        DataError
            If the network gives numbers that are not finite.
        """
        plan, window = self.spec.plan, self.spec.plan.patch_size
        layout = best_layout(plan.dimensions, self.device, self.dtype)
        network: Callable[[Tensor], Tensor] = self.network
        shown = torch.from_numpy(np.require(image, requirements=["C", "W"]))  # a copy of a read-only memory map
        if self.whole_scans:  # one window, centred on the scan as in training
            window = tuple(max(sides) for sides in zip(window, image.shape[1:], strict=True))
            network, shown, background = _told_padding(network, layout), _with_inside(shown), (*background, 0.0)
        found = predict_probabilities(
            network,
            shown,
            patch_size=window,
            overlap=self.overlap,
            batch_size=max(1, BATCH_VOXELS // math.prod(window)),
            background=background,
            slice_axis=plan.slice_axis,
            views=self.views,
            device=self.device,
            dtype=self.dtype,
            memory_format=layout,
        )
        return require_finite(found, "the network's output")

    def predict(
        self,
        image: npt.NDArray[np.float32],
        meta: ScanMeta,
        *,
        confidence: bool = False,
        largest_component: bool = False,
    ) -> Restored:
        """Segment one prepared scan; the result lies on the grid of the original scan.

        Parameters
        ----------
        image : float32 array (channels, *meta.prepared.size)
            As `prepare_image` returns it.
        meta : ScanMeta
            Its way back.
        confidence, largest_component : bool
            See `restore`.
        """
        return restore(
            self.probabilities(image, meta.background),
            meta,
            outputs=[item.output for item in self.spec.plan.classes],
            confidence=confidence,
            largest_component=largest_component,
        )


def _with_inside(image: Tensor) -> Tensor:
    """Return an image (C, *axes) with one more channel of ones, which the sliding window pads and turns with it."""
    return torch.cat([image, torch.ones_like(image[:1])])


def _told_padding(network: Callable[..., Tensor], layout: torch.memory_format) -> Callable[[Tensor], Tensor]:
    """Return a network of images and ``inside`` as one of windows of images made by `_with_inside`."""

    def call(windows: Tensor) -> Tensor:
        images, inside = windows[:, :-1].contiguous(memory_format=layout), windows[:, -1:]
        return network(images, inside=(inside > 0.5).float())  # views of other contrast round

    return call
