"""Pictures of one registration: before and after, differences, the warped grid, and the Jacobian determinant.

All lies on the grid of the fixed scan. "Before" is how the scans lay before anything was registered, as it was
measured: as they are, or centre on centre. The warped grid is a regular grid on the moving scan, warped along with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.colors import to_rgb

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import read_image
from fewscan.data.orientation import world_axes
from fewscan.data.plan import Plan
from fewscan.data.prepare import prepare_channels, read_channels
from fewscan.errors import DataError, FewscanError
from fewscan.metrics.case_scores import bounding_box
from fewscan.pictures.orientation import planes, upright
from fewscan.pictures.overlay import CLASS_COLOURS, paint_labels
from fewscan.registration.align import start_matrix
from fewscan.registration.classical import classical_plan
from fewscan.registration.jacobian import jacobian_determinant
from fewscan.registration.physical import affine_displacement_mm, displacement_in_voxels
from fewscan.registration.transform_file import read_displacement
from fewscan.registration.warping import Warp
from fewscan.report.document.content import Panels, Picture
from fewscan.report.document.embed import png_pixels
from fewscan.report.document.words import number
from fewscan.report.panels.cases import PLANE_NAMES, blend, picture_size, resized

Array = npt.NDArray[Any]

GRID_LINES = 16
"""Lines of the warped grid along the longer side of a plane."""
JACOBIAN_COLOURS = "RdBu_r"
FOLD = "#00B140"
MARGIN_VOX = 2


@dataclass(frozen=True)
class PicturedPair:
    """One registration, on the fixed scan's grid.

    Attributes
    ----------
    fixed, before, after : (*size) array
        The fixed scan, the moving scan as it lay, and warped.
    labels : (*size) array or None
        Warped labels.
    moved_mm : (dimensions, *size) array
        Displacement from where a voxel lay before, along world axes.
    determinant : (*size) array
        Of the Jacobian of the whole map.
    geometry : Geometry
        The grid.
    """

    fixed: Array
    before: Array
    after: Array
    labels: Array | None
    moved_mm: Array
    determinant: Array
    geometry: Geometry


def read_pair(folder: Path, pair: Mapping[str, Any], *, align: str, plan: Plan | None) -> PicturedPair:
    """Read the files of a pair and lay the moving scan as it lay before.

    Parameters
    ----------
    folder : Path
        Of the registrations.
    pair : mapping
        What ``registration.json`` says of it.
    align : str
        Setting of the registration.
    plan : Plan or None
        By which the scans were prepared, which decides what their centre is; that of classical methods unless told.

    Raises
    ------
    DataError
        If a file is missing or cannot be read.
    """
    name = str(pair["id"])
    if Path(name).name != name:
        raise DataError(f"pair {name}: is no name of a file", mend="register the pair again")
    sides = {side: [Path(path) for path in pair[side]["images"]] for side in ("moving", "fixed")}
    scans = {side: read_channels(paths, case_id=str(pair[side]["id"])) for side, paths in sides.items()}
    prepared = {}
    for side, (channels, geometry) in scans.items():
        used = plan or classical_plan(dimensions=geometry.dimensions, channels=len(channels))
        prepared[side] = prepare_channels(channels, geometry, used, paths=sides[side], case_id=str(pair[side]["id"]))
    (moving, source), (fixed, target) = scans["moving"], scans["fixed"]
    start = start_matrix(prepared["moving"].meta.prepared, prepared["fixed"].meta.prepared, align=align)
    start_mm = affine_displacement_mm(start, target)
    field = read_displacement(folder / f"{name}_field.nii.gz")
    warp = Warp(field.array, fixed=target, moving=source)
    labels = folder / f"{name}_labels.nii.gz"
    voxels = torch.from_numpy(displacement_in_voxels(field.array, target))[None]
    return PicturedPair(
        fixed=fixed[0],
        before=Warp(start_mm, fixed=target, moving=source).image(moving[0]),
        after=warp.image(moving[0]),
        labels=read_image(labels).array if labels.is_file() else None,
        moved_mm=field.array - start_mm,
        determinant=jacobian_determinant(voxels)[0].numpy(),
        geometry=target,
    )


def model_plan(model: str | None) -> Plan | None:
    """Return the plan of the run that a model lies in; None where it is not there any more."""
    if model is None:
        return None
    place = Path(model)
    path = (place if place.is_dir() else place.parent) / "plan.yaml"
    try:
        return Plan.read(path) if path.is_file() else None
    except FewscanError:
        return None


def label_names(plan: Plan | None) -> dict[int, str]:
    """Return the names of label values as files hold them; several that make one class keep their number."""
    classes = [] if plan is None else plan.classes[1:]
    several = {item.output for item in classes if len(item.values) > 1}
    return {
        value: f"{item.name} (label {value})" if item.output in several else item.name
        for item in classes
        for value in item.values
        if not item.name.isdigit()
    }


def pair_panels(
    pair: PicturedPair, *, pair_id: str, title: str, facts: str, names: Mapping[int, str] | None = None
) -> Panels:
    """Return the pictures of a pair, a row per plane; ``names`` are those of label values, where they are known."""
    cut = _planes(pair)
    rows = []
    for k, plane in enumerate(cut):
        name = PLANE_NAMES[k] if len(cut) > 1 else ""
        rows.append((name, tuple(_row(plane, f"{name} plane of {pair_id}" if name else pair_id))))
    values = [] if pair.labels is None else [int(v) for v in np.unique(pair.labels) if v]
    called = {v: (names or {}).get(v, f"label {v}") for v in values}
    legend = [(f"warped {called[v]}", CLASS_COLOURS[k % len(CLASS_COLOURS)]) for k, v in enumerate(values)]
    ends = mpl.colormaps[JACOBIAN_COLOURS]
    legend += [
        (text, mpl.colors.to_hex(ends(at)))
        for text, at in (("Jacobian ½ and less", 0.02), ("Jacobian 2 and more", 0.98))
    ]
    return Panels(title, facts, tuple(rows), (*legend, ("folded", FOLD)))


@dataclass(frozen=True)
class _PairPlane:
    """What is drawn of one plane, row 0 at the top; ``places`` are positions in mm along columns and rows."""

    fixed: Array
    before: Array
    after: Array
    labels: Array | None
    places: tuple[Array, Array]
    determinant: Array
    aspect: float
    spacing_mm: tuple[float, float]
    values: tuple[int, ...]


def _planes(pair: PicturedPair) -> list[_PairPlane]:
    """Cut the pair through the middle of its labels, or of the fixed scan."""
    geometry = pair.geometry
    order, signs = world_axes(geometry)
    voxels = displacement_in_voxels(pair.moved_mm.astype(np.float32), geometry)
    fixed, spacing_mm = upright(pair.fixed, geometry)
    box = _with_margin(bounding_box(fixed != fixed.min()), fixed.shape)

    def cut(array: Array) -> list[tuple[Array, float]]:
        return planes(upright(array, geometry)[0][box], spacing_mm, centre)

    middle = upright(pair.labels, geometry)[0][box] if pair.labels is not None else None
    shape = tuple(part.stop - part.start for part in box)
    centre = tuple(n // 2 for n in shape)
    if middle is not None and middle.any():
        centre = tuple(int(v) for v in np.round(np.argwhere(middle).mean(axis=0)))
    positions = []
    for axis, (source, sign) in enumerate(zip(order, signs, strict=True)):
        line = np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        moved = sign * upright(voxels[source], geometry)[0][box]
        positions.append(planes((line + moved) * spacing_mm[axis], spacing_mm, centre))
    # which world axes run along columns and rows of each plane
    axes = [(0, 1)] if len(shape) == 2 else [(0, 1), (0, 2), (1, 2)]
    cuts = [cut(array) for array in (pair.fixed, pair.before, pair.after, pair.determinant)]
    labels = cut(pair.labels) if pair.labels is not None else None
    values = tuple(int(v) for v in np.unique(pair.labels) if v) if pair.labels is not None else ()
    return [
        _PairPlane(
            fixed=cuts[0][k][0],
            before=cuts[1][k][0],
            after=cuts[2][k][0],
            labels=None if labels is None else labels[k][0],
            places=(positions[across][k][0], positions[down][k][0]),
            determinant=cuts[3][k][0],
            aspect=cuts[0][k][1],
            spacing_mm=(spacing_mm[across], spacing_mm[down]),
            values=values,
        )
        for k, (across, down) in enumerate(axes)
    ]


def _with_margin(box: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    if any(part.start == part.stop for part in box):
        return tuple(slice(0, n) for n in shape)
    parts = zip(box, shape, strict=True)
    return tuple(slice(max(p.start - MARGIN_VOX, 0), min(p.stop + MARGIN_VOX, n)) for p, n in parts)


def _row(plane: _PairPlane, where: str) -> Sequence[Picture]:
    size = picture_size(plane.fixed.shape, plane.aspect)
    greys = [normalised(array) for array in (plane.fixed, plane.before, plane.after)]
    fixed, before, after = (np.clip(resized(grey, size, order=3), 0, 1) for grey in greys)
    apart = [float(np.abs(greys[0] - other).mean()) for other in greys[1:]]
    shown = [
        ("fixed", _grey(fixed), "the fixed scan"),
        ("moving, before", _grey(before), "the moving scan as it lay before"),
    ]
    shown.append(("moving, warped", _grey(after), "the moving scan, warped onto the fixed one"))
    if plane.labels is not None:
        colours = {value: CLASS_COLOURS[k % len(CLASS_COLOURS)] for k, value in enumerate(plane.values)}
        painted = blend(fixed, paint_labels(plane.labels, colours), size)
        shown.append(("fixed, warped labels", painted, "the warped labels in colour over the fixed scan"))
    shown.append(
        ("difference before", _grey(np.abs(fixed - before)), f"difference before, mean {number(apart[0])} of the range")
    )
    shown.append(
        ("difference after", _grey(np.abs(fixed - after)), f"difference after, mean {number(apart[1])} of the range")
    )
    shown.append(("warped grid", _grey(grid_picture(plane, size)), "a regular grid, warped like the moving scan"))
    low, high = float(plane.determinant.min()), float(plane.determinant.max())
    text = f"Jacobian determinant, from {number(low, 2)} to {number(high, 2)} in this plane; 1 keeps volume"
    shown.append(("Jacobian", resized(paint_determinant(plane.determinant), size, order=0), text))
    return [png_pixels(pixels, alt=f"{where}: {text}.", caption=caption) for caption, pixels, text in shown]


def grid_picture(plane: _PairPlane, size: tuple[int, int]) -> Array:
    """Return (rows, columns) from 0 to 1: bright lines where a regular grid comes to lie."""
    extent = max(n * side for n, side in zip(plane.fixed.shape[::-1], plane.spacing_mm, strict=True))
    step = extent / GRID_LINES
    width = 1.1 * extent / max(size)
    bright = np.zeros(size, np.float32)
    for places in plane.places:
        position = resized(places, size, order=1)
        distance = np.abs((position + step / 2) % step - step / 2)
        np.maximum(bright, np.clip(2 - distance / width, 0, 1), out=bright)
    return 0.12 + 0.88 * bright


def paint_determinant(determinant: Array) -> Array:
    """Return (rows, columns, 3): white where 1, red above, blue below, green where space folds."""
    logarithm = np.log2(np.clip(determinant, 0.5, 2.0))
    painted = mpl.colormaps[JACOBIAN_COLOURS]((logarithm + 1) / 2)[..., :3]
    painted[determinant <= 0] = to_rgb(FOLD)
    return np.asarray(painted)


def normalised(image: Array) -> Array:
    """Return grey values with the 0.5 and 99.5 percentiles of what is not background at 0 and 1."""
    image = np.asarray(image, np.float32)
    seen = image[image != image.min()]
    low, high = np.percentile(seen, (0.5, 99.5)) if seen.size else (0.0, 1.0)
    low = min(low, float(image.min())) if image.min() >= 0 else low
    return np.asarray(np.clip((image - low) / max(float(high - low), 1e-6), 0, 1))


def _grey(values: Array) -> Array:
    return np.repeat(np.asarray(values)[..., None], 3, axis=2)
