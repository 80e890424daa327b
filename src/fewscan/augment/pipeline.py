"""The augmentation of one training batch, on the device where the batch is.

Order: flips and turns; rotation, scaling and elastic deformation in one interpolation; then noise, blur, brightness,
contrast, low resolution and gamma (the order of nnU-Net). Each sample is chosen for each effect by itself.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from fewscan.augment.draws import check_generator, draw
from fewscan.augment.filters import blur, lower_resolution
from fewscan.augment.intensity import add_noise, apply_gamma, scale_contrast, shift_brightness
from fewscan.augment.settings import Augmentation, Effect
from fewscan.augment.spatial import draw_spatial_transform

_FULLY = 1 - 1e-4  # interpolation weights sum to 1 but for rounding


@torch.no_grad()
def augment(
    images: Tensor,
    labels: Tensor | None,
    *,
    settings: Augmentation,
    generator: torch.Generator,
    background: Tensor,
    spacing_mm: Sequence[float] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Augment a batch; the tensors given are left as they are.

    Parameters
    ----------
    images : Tensor (B, C, *spatial), float
        2-D or 3-D, any number of channels.
    labels : Tensor or None
        Hard (B, *spatial) of an integer type, or soft (B, classes, *spatial) of a float type.
    settings : Augmentation
        Probabilities and ranges.
    generator : torch.Generator
        On the CPU; the same state gives the same result on every device.
    background : Tensor (B, C)
        Value of an empty voxel, which fills what comes from outside the patch.
    spacing_mm : sequence of float, optional
        Of the patches, so that a rotation turns the anatomy without shearing it; equal spacing where not given.

    Returns
    -------
    images, labels
        New tensors of the same shapes and types.

    Raises
    ------
    UsageError
        If the settings name an axis that the patches lack or a plane whose sides differ.
    """
    images, labels, _ = augment_whole(
        images,
        labels,
        None,
        settings=settings,
        generator=generator,
        background=background,
        spacing_mm=spacing_mm,
    )
    return images, labels


@torch.no_grad()
def augment_whole(
    images: Tensor,
    labels: Tensor | None,
    inside: Tensor | None,
    *,
    settings: Augmentation,
    generator: torch.Generator,
    background: Tensor,
    spacing_mm: Sequence[float] | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Augment a batch of whole, padded scans; as `augment`, with the mask of where each scan has data.

    The mask moves with its image. A voxel stays inside if everything that it is interpolated from was, and what lies
    outside afterwards is plain background: just as a scan is padded when the network predicts.

    Parameters
    ----------
    inside : Tensor (B, 1, *spatial), float, or None
        1 where the scan has data, 0 in the padding.
    images, labels, settings, generator, background, spacing_mm
        See `augment`.

    Returns
    -------
    images, labels, inside
        New tensors of the same shapes and types.
    """
    _check_shapes(images, labels, background)
    transform = draw_spatial_transform(
        settings,
        batch=len(images),
        size=images.shape[2:],
        generator=generator,
        device=images.device,
        spacing_mm=spacing_mm,
    )
    moved = transform.apply_image(images, background=background)
    if labels is not None:
        labels = transform.apply_label(labels, interpolation=settings.label_interpolation)
    if inside is not None:
        reached = transform.apply_image(inside, background=inside.new_zeros(len(inside), 1))
        inside = (reached > _FULLY).to(inside.dtype)
    moved = augment_intensities(moved, inside, settings=settings, generator=generator)
    if inside is not None:
        moved = torch.where(inside > 0, moved, background.to(moved).reshape(*background.shape, *[1] * (moved.ndim - 2)))
    return moved, labels, inside


@torch.no_grad()
def augment_intensities(
    images: Tensor, inside: Tensor | None = None, *, settings: Augmentation, generator: torch.Generator
) -> Tensor:
    """Apply the intensity transforms alone to images (B, C, *spatial); returns a new tensor.

    Where ``inside`` (B, 1, *spatial) is given, only what lies inside counts, and the rest may come out as anything.
    """
    check_generator(generator)
    effects: list[tuple[Effect, Callable[[Tensor, Tensor, Tensor | None], Tensor], bool]] = [
        (settings.noise, partial(add_noise, generator=generator), False),
        (settings.blur, blur, False),
        (settings.brightness, shift_brightness, False),
        (settings.contrast, scale_contrast, False),
        (settings.low_resolution, lower_resolution, False),
        (settings.gamma, apply_gamma, True),
    ]
    result = images.clone()
    for effect, apply, logarithmic in effects:
        chosen, strength = draw(effect, tuple(images.shape[:2]), generator=generator, logarithmic=logarithmic)
        if len(chosen):
            rows = chosen.to(images.device)
            result[rows] = apply(result[rows], strength[chosen], None if inside is None else inside[rows])
    return result


def _check_shapes(images: Tensor, labels: Tensor | None, background: Tensor) -> None:
    batch, channels, *size = images.shape
    if len(size) not in (2, 3) or not images.is_floating_point():
        msg = f"images must be floats of shape (B, C, *spatial) in 2-D or 3-D, got {images.dtype} {tuple(images.shape)}"
        raise ValueError(msg)
    if background.shape != (batch, channels):
        msg = f"background must be (B, C) = {(batch, channels)}, got {tuple(background.shape)}"
        raise ValueError(msg)
    if labels is not None:
        spatial = labels.shape[2:] if labels.is_floating_point() else labels.shape[1:]
        if len(labels) != batch or list(spatial) != size:
            msg = f"labels {tuple(labels.shape)} do not fit images {tuple(images.shape)}"
            raise ValueError(msg)
