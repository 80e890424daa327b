"""Sliding-window prediction: overlapping windows of the patch size, blended with Gaussian weights.

The Gaussian has a standard deviation of one eighth of the window along each axis, as in nnU-Net (Isensee et al. 2021)
and MONAI. Windows lie on a regular grid of starts, so the sum of their weights is a product of one sum per axis. Each
axis can therefore be normalised beforehand,

    w_k(i) = g(i - s_k) / sum_j g(i - s_j),    s_k the start of window k on that axis,

and the weights of all windows add up to one at every voxel. That leaves one array to accumulate into: no map of counts
and no division at the end.

An axis shorter than the window gets one window that hangs over both borders; what hangs over is filled with the
background and its prediction is dropped, so neither the image nor the result is ever padded as a whole.

Arrays are ``(channel, *axes)`` in, ``(class, *axes)`` out.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Protocol

import torch
from torch import Tensor

from fewscan.errors import UsageError

SIGMA = 1 / 8  # of the window, along each axis


class View(Protocol):
    """An invertible transform of a batch, for averaging over test-time views."""

    def forward(self, x: Tensor, /) -> Tensor:
        """Transform images (B, C, *axes)."""

    def inverse(self, p: Tensor, /) -> Tensor:
        """Transform predictions (B, classes, *axes) back."""


@dataclass(frozen=True)
class Span:
    """One window along one axis.

    Attributes
    ----------
    image : slice
        The voxels of the image that the window covers.
    window : slice
        Where these voxels lie inside the window; all of it unless the axis is shorter than the window.
    weight : Tensor
        Blending weight of each covered voxel, float32.
    """

    image: slice
    window: slice
    weight: Tensor


def axis_spans(size: int, window: int, *, overlap: float, device: torch.device | None = None) -> tuple[Span, ...]:
    """Return the least windows that cover one axis with at least the given overlap, evenly spread.

    Parameters
    ----------
    size : int
        Voxels of the image along the axis.
    window : int
        Voxels of the window.
    overlap : float
        Smallest share of a window that its neighbour covers too, in [0, 1).
    device : torch.device, optional
        Where the weights are kept; the CPU by default.

    Returns
    -------
    tuple of Span
        The first starts at voxel 0, the last ends with the image; the weights add up to 1 at every voxel.
    """
    if size <= window:
        before = (window - size) // 2
        return (Span(slice(0, size), slice(before, before + size), torch.ones(size, device=device)),)
    step = max(1, math.floor(window * (1 - overlap) + 1e-6))  # 10 * (1 - 0.9) is a little less than 1
    count = math.ceil((size - window) / step) + 1
    starts = [index * (size - window) // (count - 1) for index in range(count)]

    offset = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    bell = torch.exp(-0.5 * (offset / (SIGMA * window)) ** 2)
    total = torch.zeros(size, dtype=torch.float64)
    for start in starts:
        total[start : start + window] += bell
    weights = [(bell / total[start : start + window]).float().to(device) for start in starts]
    return tuple(
        Span(slice(start, start + window), slice(0, window), weight)
        for start, weight in zip(starts, weights, strict=True)
    )


def window_weight(spans: Sequence[Span]) -> Tensor:
    """Return the blending weights of the voxels that a window covers, given its span along every axis."""
    weight = torch.ones((), device=spans[0].weight.device)
    for span in spans:
        weight = weight[..., None] * span.weight
    return weight


def average_over_views(classify: Callable[[Tensor], Tensor], batch: Tensor, views: Sequence[View]) -> Tensor:
    """Return the mean of what ``classify`` gives for each view of a batch, moved back; without views, for the batch.

    Parameters
    ----------
    classify : callable
        From images (B, C, *axes) to probabilities (B, classes, *axes).
    batch : Tensor (B, C, *axes)
    views : sequence of View
    """
    if not views:
        return classify(batch)
    found = torch.zeros(())
    for index, view in enumerate(views):
        probabilities = view.inverse(classify(view.forward(batch)))
        found = probabilities if index == 0 else found + probabilities
    return found / len(views)


def check_overlap(overlap: float) -> None:
    """Raise `UsageError` for an overlap outside [0, 1)."""
    if not 0 <= overlap < 1:
        raise UsageError(f"overlap must be at least 0 and less than 1, got {overlap}")


@torch.no_grad()
def predict_probabilities(
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    *,
    patch_size: Sequence[int],
    overlap: float = 0.5,
    batch_size: int = 1,
    background: Sequence[float] | None = None,
    slice_axis: int | None = None,
    views: Sequence[View] = (),
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """Return the class probabilities of a whole image.

    Parameters
    ----------
    network : callable
        From images (B, C, *patch) to logits (B, classes, *patch). A module must be in evaluation mode.
    image : Tensor (C, *axes)
        The prepared image, float32, on any device.
    patch_size : sequence of int
        The window, one entry per network dimension.
    overlap : float
        Share of a window that neighbouring windows have in common, in [0, 1).
    batch_size : int
        Windows (or slices) that pass the network together.
    background : sequence of float, optional
        Value of an empty voxel in each channel, for windows that hang over the border; zeros by default.
    slice_axis : int, optional
        Predict a 3-D image slice by slice along this axis with a 2-D network.
    views : sequence of View, optional
        Average the probabilities over these views of every window; without any, over the image as it is.
    device : torch.device, optional
        Where the network is; the image's device by default.
    dtype : torch.dtype
        float32, or the lower precision of automatic casting (bfloat16, float16).
    memory_format : torch.memory_format
        Of what the network is given, see `fewscan.networks.layout.best_layout`.

    Returns
    -------
    Tensor (classes, *axes), float32
        Adds up to 1 over the classes. On the network's device where it fits there, else in main memory.

    Raises
    ------
    UsageError
        For an overlap outside [0, 1), or a patch that does not match the image's axes.
    """
    window = _window_size(image, patch_size, slice_axis)
    check_overlap(overlap)
    device = device or image.device
    sizes = zip(image.shape[1:], window, strict=True)
    axes = [axis_spans(size, length, overlap=overlap, device=device) for size, length in sizes]
    fill = torch.zeros(image.shape[0]) if background is None else torch.tensor(background, dtype=torch.float32)
    empty = fill.to(device).reshape(-1, *(1,) * len(window)).expand(-1, *window)

    def classify(windows: Tensor) -> Tensor:
        return network(windows.contiguous(memory_format=memory_format)).float().softmax(dim=1)

    result: Tensor | None = None
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        for spans in _batches(product(*axes), batch_size):
            batch = torch.stack([_cut(image, chosen, empty) for chosen in spans])
            found = _predict_windows(classify, batch, views, slice_axis)
            if result is None:
                shape = (found.shape[1], *image.shape[1:])
                result = torch.zeros(shape, device=_accumulation_device(shape, device))
            for probabilities, chosen in zip(found, spans, strict=True):
                _blend(result, probabilities, chosen)
    assert result is not None  # noqa: S101 - an image has at least one window
    return result


def _window_size(image: Tensor, patch_size: Sequence[int], slice_axis: int | None) -> tuple[int, ...]:
    """Return the window along every axis of the image: a slice is a window of one voxel along the slice axis."""
    window = list(patch_size)
    if slice_axis is not None:
        window.insert(slice_axis, 1)
    if len(window) != image.ndim - 1:
        raise UsageError(
            f"a patch of {tuple(patch_size)} does not match an image with {image.ndim - 1} axes",
            mend="Slice-wise prediction of 3-D images needs the axis of the slices.",
        )
    return tuple(window)


def _batches(items: Iterator[tuple[Span, ...]], size: int) -> Iterator[list[tuple[Span, ...]]]:
    while batch := list(islice(items, size)):
        yield batch


def _cut(image: Tensor, spans: tuple[Span, ...], empty: Tensor) -> Tensor:
    """Return one window (C, *window) of the image, filled with the background where it hangs over."""
    piece = image[(slice(None), *(span.image for span in spans))].to(empty.device, torch.float32)
    if piece.shape == empty.shape:
        return piece
    window = empty.clone(memory_format=torch.contiguous_format)
    window[(slice(None), *(span.window for span in spans))] = piece
    return window


def _predict_windows(
    classify: Callable[[Tensor], Tensor], batch: Tensor, views: Sequence[View], slice_axis: int | None
) -> Tensor:
    """Return float32 probabilities (B, classes, *window) of a batch of windows."""
    if slice_axis is None:
        return average_over_views(classify, batch, views)
    return average_over_views(classify, batch.squeeze(slice_axis + 2), views).unsqueeze(slice_axis + 2)


def _accumulation_device(shape: Sequence[int], device: torch.device) -> torch.device:
    """Return the network's device where the result takes at most half of its free memory, else the CPU."""
    if device.type != "cuda":
        return device
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return device if math.prod(shape) * 4 * 2 <= free_bytes else torch.device("cpu")


def _blend(result: Tensor, probabilities: Tensor, spans: tuple[Span, ...]) -> None:
    """Add one window's weighted probabilities (classes, *window) to the result, in place."""
    weight = window_weight(spans)
    inside = probabilities[(slice(None), *(span.window for span in spans))]
    target = result[(slice(None), *(span.image for span in spans))]
    if target.device == inside.device:
        target.addcmul_(inside, weight)
    else:
        target.add_((inside * weight).to(target.device))
