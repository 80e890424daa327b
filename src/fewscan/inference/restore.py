"""From probabilities on the prepared grid back to labels on exactly the scan's own grid.

Preparation crops a scan, turns its axes to the plan's orientation and may resample the crop. Backwards, the
probabilities are interpolated linearly onto the turned grid of the crop, the most probable class is taken there,
classes become the values of the label files, and the crop is turned back and pasted into an array of the scan's own
size. Interpolating probabilities before the choice, rather than the chosen labels, keeps borders smooth.

Both grids have the same directions, so the index of a voxel of one grid on the other is affine in each axis on its own,
and linear interpolation is separable. Work goes class by class with a running maximum: no array with all classes exists
on the scan's grid. The resampled values stay between their neighbours and add up to one over the classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fewscan.data.components import keep_largest_components
from fewscan.data.geometry import Geometry
from fewscan.data.scan_meta import ScanMeta
from fewscan.errors import DataError

LABEL_TYPES = (np.uint8, np.uint16, np.int16, np.int32)  # what every image format can hold


@dataclass(frozen=True)
class Restored:
    """A prediction on the scan's own grid.

    Attributes
    ----------
    labels : integer array (*axes)
        Label values as in the label files, in the smallest type that holds all of them.
    confidence : float32 array (*axes) or None
        Probability of the label in each voxel; 1 outside the crop.
    """

    labels: npt.NDArray[Any]
    confidence: npt.NDArray[np.float32] | None = None


def restore(
    probabilities: Tensor,
    meta: ScanMeta,
    *,
    outputs: Sequence[int],
    confidence: bool = False,
    largest_component: bool = False,
) -> Restored:
    """Turn probabilities into a label map on the grid of the original scan.

    Parameters
    ----------
    probabilities : Tensor (classes, *axes), float32
        On the grid ``meta.prepared``, any device.
    meta : ScanMeta
        How the scan was prepared.
    outputs : sequence of int
        The label value of each class, the background's first.
    confidence : bool
        Also return the probability of the chosen label.
    largest_component : bool
        Keep only the largest connected component of every class.

    Raises
    ------
    ValueError
        If the probabilities do not fit the prepared grid or the number of classes.
    """
    if tuple(probabilities.shape) != (len(outputs), *meta.prepared.size):
        msg = f"expected probabilities of shape {(len(outputs), *meta.prepared.size)}, got {tuple(probabilities.shape)}"
        raise ValueError(msg)
    positions = grid_positions(meta.prepared, meta.turn.geometry(meta.cropped))
    chosen, highest = most_probable(probabilities, positions)
    index = chosen.cpu().numpy()
    if largest_component:
        cleaned = keep_largest_components(index)
        if confidence:
            removed = torch.from_numpy(cleaned != index).to(highest.device)
            highest = torch.where(removed, interpolate(probabilities[0], positions), highest)
        index = cleaned

    values = np.asarray(outputs, label_type(outputs))
    labels = _paste(values[index], meta, fill=values[0])
    sure = _paste(highest.cpu().numpy(), meta, fill=np.float32(1)) if confidence else None
    return Restored(labels, sure)


def most_probable(probabilities: Tensor, positions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the most probable class (the lowest of equals) and its probability at the given positions.

    Parameters
    ----------
    probabilities : Tensor (classes, *axes)
        Known at whole voxels.
    positions : sequence of Tensor
        Where to look along each axis, see `grid_positions`.

    Returns
    -------
    chosen : Tensor (*lengths), uint8 (int16 for more than 256 classes)
    highest : Tensor (*lengths), float32
    """
    highest = interpolate(probabilities[0], positions).clone()
    kind = torch.uint8 if len(probabilities) <= 256 else torch.int16
    chosen = torch.zeros(highest.shape, dtype=kind, device=highest.device)
    for number in range(1, len(probabilities)):
        current = interpolate(probabilities[number], positions)
        chosen[current > highest] = number
        torch.maximum(highest, current, out=highest)
    return chosen, highest


def grid_positions(source: Geometry, target: Geometry) -> tuple[Tensor, ...]:
    """Return where the voxels of ``target`` lie on ``source``, in voxels of ``source``, one float64 tensor per axis.

    Raises
    ------
    ValueError
        If the grids have different directions, so that an axis of one is no axis of the other.
    """
    n = source.dimensions
    index_map = np.linalg.solve(source.affine(), target.affine())
    scale, offset = np.diag(index_map)[:n], index_map[:n, n]
    skew = index_map[:n, :n] - np.diag(scale)
    # what a voxel at the far corner may be displaced by the neglected part, in voxels
    if np.abs(skew).dot(target.size).max() > 1e-2:
        msg = f"grids with different directions: {source.direction} and {target.direction}"
        raise ValueError(msg)
    return tuple(
        torch.arange(size, dtype=torch.float64) * float(step) + float(start)
        for size, step, start in zip(target.size, scale, offset, strict=True)
    )


def interpolate(volume: Tensor, positions: Sequence[Tensor]) -> Tensor:
    """Interpolate linearly at the given positions of each axis; beyond the border the border value continues.

    Parameters
    ----------
    volume : Tensor (*axes)
    positions : sequence of Tensor
        Positions along each axis in voxels, float64.

    Returns
    -------
    Tensor (*lengths)
        The volume itself where the positions are its own voxels.
    """
    # axes that shrink most go first, so that the others have less to do
    for axis in sorted(range(volume.ndim), key=lambda k: len(positions[k]) / volume.shape[k]):
        volume = _interpolate_axis(volume, positions[axis], axis)
    return volume


def label_type(values: Sequence[int]) -> type[np.integer[Any]]:
    """Return the smallest integer type of label files that holds all values; unsigned where none is negative.

    Raises
    ------
    DataError
        For values beyond 32 bits.
    """
    for kind in LABEL_TYPES:
        limits = np.iinfo(kind)
        if limits.min <= min(values) and max(values) <= limits.max:
            return kind
    raise DataError(
        f"label values beyond 32 bits cannot be written: {tuple(values)}",
        mend="Give the classes of the plan smaller output values.",
    )


def _interpolate_axis(volume: Tensor, positions: Tensor, axis: int) -> Tensor:
    last = volume.shape[axis] - 1
    if len(positions) == last + 1 and torch.allclose(positions, torch.arange(last + 1.0, dtype=positions.dtype)):
        return volume
    inside = positions.clamp(0, last)
    low = inside.floor().long()
    high = (low + 1).clamp(max=last)
    shape = [-1 if k == axis else 1 for k in range(volume.ndim)]
    share = (inside - low).to(volume.device, volume.dtype).reshape(shape)
    result = volume.index_select(axis, low.to(volume.device))
    return result.lerp_(volume.index_select(axis, high.to(volume.device)), share)


def _paste(crop: npt.NDArray[Any], meta: ScanMeta, *, fill: np.generic) -> npt.NDArray[Any]:
    """Turn the crop back and put it into an array of the scan's own size."""
    crop = meta.turn.back.array(crop)
    if crop.shape == tuple(meta.original.size):
        return crop
    whole = np.full(meta.original.size, fill, dtype=crop.dtype)
    whole[meta.crop_slices] = crop
    return whole
