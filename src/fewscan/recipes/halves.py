"""The two halves of a soft pseudo-mask, for many scans at once (paper 1, section 2.2).

Segmentation half: mean class probabilities over test-time views, moved back before they are averaged. Registration
half: mean of the true masks of annotated scans, each laid onto the target. Scans are given whole, centred on one grid.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor, nn

from fewscan.inference.finite import require_finite
from fewscan.inference.sliding_window import View, average_over_views, axis_spans, window_weight
from fewscan.networks.layout import best_layout
from fewscan.recipes.content_box import Box, content_box
from fewscan.registration.atlases import Placed
from fewscan.registration.fusion import weighted_mean
from fewscan.registration.lay import lay_atlases

# What passes a network together: enough to fill a processor, little enough for its cache.
VOXELS_AT_ONCE = 2**17
OVERLAP = 0.5


@torch.no_grad()
def segmentation_half(
    network: nn.Module, images: Tensor, inside: Tensor, *, views: Sequence[View], patch_size: Sequence[int]
) -> Tensor:
    """Return the mean class probabilities over views, by sliding window over each scan without its padding.

    Parameters
    ----------
    network : Module
        From images to logits, in evaluation mode.
    images : Tensor, (batch, channels, *size)
        On the network's device; at least as large as the patch along every axis.
    inside : Tensor, (batch, 1, *size)
        1 where they have data, 0 in their padding, which is not shown to the network (see
        `fewscan.recipes.content_box`) and is background.
    views : sequence of View
        At least one.
    patch_size : sequence of int
        The window.

    Returns
    -------
    Tensor, (batch, classes, *size), float32
        Adds up to 1.

    Raises
    ------
    DataError
        If the network gives numbers that are not finite.
    """
    alike: dict[str, tuple[Box, list[int]]] = {}  # scans of one box pass the network together
    for number, there in enumerate(inside):
        box = content_box(there[0], least=patch_size)
        alike.setdefault(str(box), (box, []))[1].append(number)
    result: Tensor | None = None
    for box, numbers in alike.values():
        place = (slice(None), slice(None), *box)
        found = _by_window(network, images[numbers][place], views, patch_size)
        if result is None:
            result = torch.zeros((len(images), found.shape[1], *images.shape[2:]), device=images.device)
            result[:, 0] = 1
        for number, probabilities in zip(numbers, found, strict=True):
            result[number][place[1:]] = probabilities
    assert result is not None  # noqa: S101 - there is an image
    return require_finite(result, "the output of the segmentation network")


def _by_window(
    network: Callable[[Tensor], Tensor], images: Tensor, views: Sequence[View], patch_size: Sequence[int]
) -> Tensor:
    """Return the weighted mean over overlapping windows, for images of one size.

    As `predict_probabilities` for each of them, but for rounding: that multiplies and adds in one step.
    """
    sizes = zip(images.shape[2:], patch_size, strict=True)
    axes = [axis_spans(side, window, overlap=OVERLAP, device=images.device) for side, window in sizes]
    at_once = max(1, VOXELS_AT_ONCE // math.prod(patch_size))
    layout = best_layout(images.ndim - 2, images.device, torch.float32)

    def classify(windows: Tensor) -> Tensor:
        return network(windows.contiguous(memory_format=layout)).float().softmax(1)

    result: Tensor | None = None
    for spans in product(*axes):
        place = (slice(None), slice(None), *(span.image for span in spans))
        parts = torch.split(images[place], at_once)
        found = torch.cat([average_over_views(classify, part, views) for part in parts])
        if result is None:
            result = torch.zeros((len(images), found.shape[1], *images.shape[2:]), device=images.device)
        result[place] += found * window_weight(spans)
    assert result is not None  # noqa: S101 - an image has at least one window
    return result


@torch.no_grad()
def registration_half(network: nn.Module, atlases: Placed, images: Tensor, chosen: Tensor, *, classes: int) -> Tensor:
    """Return the mean of the masks of annotated scans, laid onto every image.

    Where an annotated scan has no data its mask does not count.

    Parameters
    ----------
    network : Module
        With ``displacement(moving, fixed)``, in evaluation mode.
    atlases : Placed
        The annotated scans, on the grid of the images.
    images : Tensor, (batch, channels, *size)
    chosen : Tensor, (batch, count), int64
        Which of the annotated scans are laid onto each image.
    classes : int
        Background included.

    Returns
    -------
    Tensor, (batch, classes, *size), float32
        Adds up to 1.

    Raises
    ------
    DataError
        If a displacement is not finite.
    """
    count, size = chosen.shape[1], images.shape[2:]
    targets = torch.arange(len(images), device=images.device)
    per_part = max(1, VOXELS_AT_ONCE // (count * math.prod(size)))
    return torch.cat(
        [
            _mean_of_masks(network, atlases, images[some], chosen[some], classes=classes)
            for some in torch.split(targets, per_part)
        ]
    )  # fmt: skip


def _mean_of_masks(network: nn.Module, atlases: Placed, images: Tensor, chosen: Tensor, *, classes: int) -> Tensor:
    targets = images.repeat_interleave(chosen.shape[1], dim=0)
    laid = lay_atlases(network, atlases, chosen.flatten(), targets, classes=classes, voxels_at_once=VOXELS_AT_ONCE)
    # the atlas leads, and the batch is one more axis of space
    votes = laid.labels.reshape(*chosen.shape, *laid.labels.shape[1:]).transpose(0, 1).transpose(1, 2)
    share = laid.seen.reshape(*chosen.shape, *laid.seen.shape[1:]).transpose(0, 1)
    return weighted_mean(votes, share).transpose(0, 1).contiguous()
