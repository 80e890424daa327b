"""From the fingerprint to the plan: rules that a person can check with a pencil, and override one by one.

Orientation: the commonest of the scans; all that follows counts its axes. Spacing: kept where all scans agree within
1 %, else the median spacing; slice-wise training never mixes slices, so the slice axis keeps its own. Patch: see
`choose_patch`. Intensities: paper 2's z-score over non-zero voxels, clipped at the 99.9th percentile; for CT (told by a
channel's name) both tails are clipped and all voxels count.
"""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from fewscan.data.case import Dataset
from fewscan.data.fingerprint import Fingerprint
from fewscan.data.geometry import Geometry
from fewscan.data.grids import target_grid
from fewscan.data.plan import LabelClass, Plan, Preparation
from fewscan.errors import DataError, UsageError

# 112 x 112 x 80, the patch of the left-atrium literature: what a processor trains on at a bearable pace.
MAX_PATCH_VOXELS = 112 * 112 * 80
MAX_SIDE_2D = 256
THIN_RATIO = 3.0
SAME_SPACING = 0.01

Spacing = Sequence[float | None]


def derive_plan(
    dataset: Dataset,
    fingerprint: Fingerprint,
    *,
    dimensions: Literal[2, 3] | None = None,
    spacing_mm: Spacing | Literal["own"] | None = None,
    slice_axis: int | None = None,
    join_labels: bool = False,
    classes: Sequence[LabelClass] | None = None,
    patch_size: Sequence[int] | None = None,
    normalisation: Literal["zscore", "minmax", "none"] | None = None,
    max_patch_voxels: int = MAX_PATCH_VOXELS,
    needs_labels: bool = True,
) -> Plan:
    """Derive the plan of a data set; every keyword overrides one rule, and counts the axes of the plan's orientation.

    Parameters
    ----------
    dataset : Dataset
        Gives name, channels and declared labels.
    fingerprint : Fingerprint
        Of its training images.
    dimensions : 2 or 3, optional
        Of the network; the images' own unless told. 2 on 3-D images trains slice by slice.
    spacing_mm : sequence of (float or None), or "own", optional
        Resample to this; "own" never resamples.
    slice_axis : int, optional
        The axis that counts slices; unless told the one of a single slice, else of the coarsest spacing (the last of
        equals).
    join_labels : bool
        Join all labels into one foreground class.
    classes : sequence of LabelClass, optional
        In place of the declared labels.
    patch_size : sequence of int, optional
        One entry per network dimension.
    normalisation : str, optional
        See `Preparation`.
    max_patch_voxels : int
        Upper limit of the product of a 3-D patch's sides.
    needs_labels : bool
        False accepts a data set of which no foreground label is known.

    Raises
    ------
    UsageError
        For overrides that contradict each other or the images.
    DataError
        When no foreground label is known, unless none is needed.
    """
    chosen = _dimensions(dataset, fingerprint, dimensions)
    axis = _slice_axis(fingerprint, slice_axis, dimensions=chosen)
    preparation = _preparation(
        dataset, fingerprint, spacing_mm=spacing_mm, slice_axis=axis, normalisation=normalisation
    )
    size, spacing = _prepared_grid(fingerprint, preparation)
    in_patch = [k for k in range(fingerprint.dimensions) if k != axis]
    patch = patch_size or choose_patch(
        [size[k] for k in in_patch], [spacing[k] for k in in_patch], max_voxels=max_patch_voxels
    )
    if classes is None:
        classes = _classes(dataset, fingerprint, join=join_labels, needs_labels=needs_labels)
    return Plan.parse(
        {
            "name": dataset.name,
            "dimensions": chosen,
            "image_dimensions": fingerprint.dimensions,
            "orientation": fingerprint.orientation,
            "slice_axis": axis,
            "channels": dataset.channel_names,
            "classes": tuple(classes),
            "preparation": preparation,
            "patch_size": tuple(patch),
            "case_count": fingerprint.case_count,
            "median_size": size,
            "median_spacing_mm": fingerprint.median_spacing_mm,
        },
        source="plan",
    )


def choose_patch(
    size: Sequence[int], spacing_mm: Sequence[float], *, max_voxels: int = MAX_PATCH_VOXELS
) -> tuple[int, ...]:
    """Choose a training patch: the whole median scan if it fits, else a box of equal reach in all directions.

    Sides are multiples of 16 (of 8 below 64, which suits networks of four levels and wastes less on small organs), at
    least 16. An axis whose voxels are more than three times coarser than the finest is thin: it takes the nearest
    multiple instead of the next, at least 8. While the patch has too many voxels, the side that reaches furthest in mm
    gives way; in 2-D, sides end at 256.

    Parameters
    ----------
    size : sequence of int
        Median prepared size in voxels, 2 or 3 entries.
    spacing_mm : sequence of float
        Prepared spacing.
    max_voxels : int
        Limit for 3-D patches.

    Examples
    --------
    >>> choose_patch((35, 50, 35), (1.0, 1.0, 1.0))
    (40, 56, 40)
    """
    finest = min(spacing_mm)
    thin = [spacing > THIN_RATIO * finest for spacing in spacing_mm]
    least = [8 if is_thin else 16 for is_thin in thin]
    sides = []
    for voxels, is_thin, low in zip(size, thin, least, strict=True):
        step = 8 if voxels < 64 else 16
        multiples = int(voxels / step + 0.5) if is_thin else -(-voxels // step)
        sides.append(max(low, multiples * step))
    if len(sides) == 2:
        return tuple(min(side, MAX_SIDE_2D) for side in sides)
    while np.prod(sides) > max_voxels:
        able = [k for k in range(len(sides)) if sides[k] > least[k]]
        if not able:
            break
        longest = max(able, key=lambda k: sides[k] * spacing_mm[k])
        sides[longest] -= 16 if sides[longest] > 64 else 8
    return tuple(sides)


def _dimensions(dataset: Dataset, fingerprint: Fingerprint, given: Literal[2, 3] | None) -> int:
    """Return the dimensions of the network: those asked for, if the images have them, else the images' own."""
    chosen = given or fingerprint.dimensions
    if chosen > fingerprint.dimensions:
        raise UsageError(f"dimensions 3 needs 3-D images; those of {dataset.name!r} are 2-D", mend="leave it out")
    if chosen == 3 and 1 in fingerprint.median_size:
        size = " x ".join(map(str, fingerprint.median_size))
        raise UsageError(
            f"the scans of {dataset.name!r} are single slices, {size} voxels: no 3-D network learns from them",
            mend="ask for dimensions 2 (prepare: --dimensions 2)",
        )
    return chosen


def _slice_axis(fingerprint: Fingerprint, given: int | None, *, dimensions: int) -> int | None:
    """Return the axis that counts the slices of slice-wise training; None for a network of the images' dimensions."""
    if (dimensions, fingerprint.dimensions) != (2, 3):
        if given is not None:
            raise UsageError(
                "slice_axis belongs to 2-D training on 3-D images", mend="leave it out, or ask for dimensions 2"
            )
        return None
    if given is None:
        size, spacing = fingerprint.median_size, fingerprint.median_spacing_mm
        return max(range(3), key=lambda k: (size[k] == 1, round(spacing[k] / min(spacing), 2), k))
    if not 0 <= given < 3:
        raise UsageError(f"slice axis {given} does not exist", mend="give 0, 1 or 2 (x, y, z of the image)")
    return given


def _preparation(
    dataset: Dataset,
    fingerprint: Fingerprint,
    *,
    spacing_mm: Spacing | Literal["own"] | None,
    slice_axis: int | None,
    normalisation: Literal["zscore", "minmax", "none"] | None,
) -> Preparation:
    spacing: tuple[float | None, ...] | None
    if spacing_mm == "own":
        spacing = None
    elif spacing_mm is not None:
        spacing = tuple(spacing_mm)
        if len(spacing) != fingerprint.dimensions:
            msg = f"spacing needs {fingerprint.dimensions} entries, got {len(spacing)}"
            raise UsageError(msg, mend="give one per image axis, in mm")
    else:
        spacing = _common_spacing(fingerprint, slice_axis)
    is_ct = any(re.search(r"(?<![a-z])ct(?![a-z])", name.lower()) for name in dataset.channel_names)
    kind = normalisation or "zscore"
    # Zero is water on CT: no voxel is empty, none is cropped, and metal has to be clipped away as much as air.
    rules = {"crop": "none", "clip_percentiles": (0.5, 99.5), "over": "all"} if is_ct else {}
    return Preparation.parse({"spacing_mm": spacing, "normalisation": kind, **rules}, source="preparation")


def _common_spacing(fingerprint: Fingerprint, slice_axis: int | None) -> tuple[float | None, ...] | None:
    spacings = np.asarray(fingerprint.spacings_mm)
    median = fingerprint.median_spacing_mm
    agree = np.all(np.abs(spacings / np.median(spacings, axis=0) - 1.0) <= SAME_SPACING, axis=0)
    in_plane = [k for k in range(fingerprint.dimensions) if k != slice_axis]
    if all(agree[k] for k in in_plane):
        return None
    return tuple(None if k == slice_axis else median[k] for k in range(fingerprint.dimensions))


def _prepared_grid(fingerprint: Fingerprint, preparation: Preparation) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return median size and spacing after cropping and resampling."""
    share = fingerprint.crop_share if preparation.crop == "nonzero" else (1.0,) * fingerprint.dimensions
    sizes, spacings = [], []
    for size, spacing in zip(fingerprint.sizes, fingerprint.spacings_mm, strict=True):
        cropped = tuple(max(1, round(n * part)) for n, part in zip(size, share, strict=True))
        grid = target_grid(Geometry.identity(cropped, spacing), preparation.spacing_mm)
        sizes.append(grid.size)
        spacings.append(grid.spacing_mm)
    return (
        tuple(round(float(v)) for v in np.median(sizes, axis=0)),
        tuple(float(v) for v in np.median(spacings, axis=0)),
    )


def _classes(dataset: Dataset, fingerprint: Fingerprint, *, join: bool, needs_labels: bool) -> tuple[LabelClass, ...]:
    declared = dict(dataset.labels) or {f"label {value}": value for value in fingerprint.label_values if value != 0}
    if any(name.lower() == "ignore" for name in declared):
        msg = f"data set {dataset.name!r} declares an ignore label, which training does not know"
        raise DataError(msg, mend="give its voxels a class, or leave these cases unlabelled")
    background = next((name for name, value in declared.items() if value == 0), "background")
    foreground = sorted((value, name) for name, value in declared.items() if value != 0)
    if not foreground and needs_labels:
        msg = f"data set {dataset.name!r} has no foreground label"
        raise DataError(msg, mend="declare its labels, or check that the label files are not empty")
    classes = [LabelClass(name=background, values=(0,), output=0)]
    if join and len(foreground) > 1:
        values = tuple(value for value, _ in foreground)
        return (*classes, LabelClass(name="foreground", values=values, output=1))
    return (*classes, *(LabelClass(name=name, values=(value,), output=value) for value, name in foreground))
