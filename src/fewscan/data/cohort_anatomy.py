"""The anatomy that all virtual patients are deformed from: the MNI152 template and its tissue maps.

Source: Fonov et al., "Unbiased average age-appropriate atlases for pediatric studies", NeuroImage 54 (2011), the
symmetric 2009a T1 average with its grey and white matter probabilities, as shipped inside nilearn's wheel. Nothing is
downloaded. The template is skull-stripped and has 1 mm voxels.

The two tissue maps are split by place into the classes of a segmentation task that intensity alone does not solve: grey
matter is cortex or deep grey matter, fluid is ventricle or the space around the brain. The places are ellipsoids in the
template's coordinates, drawn by hand; they make a well-defined task, not an atlas.

Conventions: array axes x, y, z point to the patient's left, back and head (LPS, as in SimpleITK) and coordinates are
the template's own in mm, so the front of the brain is at the top of a slice drawn with row 0 at the top.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import read_image
from fewscan.errors import UsageError

FloatArray = npt.NDArray[np.float32]

CLASS_NAMES = ("background", "cortex", "white matter", "deep grey matter", "ventricles")
TISSUES = ("outer fluid", *CLASS_NAMES[1:])
"""What a voxel can be made of, besides nothing; the outer fluid belongs to the background class."""

BRAIN_CENTRE_MM = (0.0, 17.0, 5.0)
EXTENT_MM = (184.0, 216.0, 192.0)
"""Field of view that holds the brain of every virtual patient, centred on the brain."""
SLICE_Z_MM = 8.0
"""The axial slice of 2-D patients: it cuts ventricles, caudate, putamen and thalamus."""

_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"

# Centre and radii in mm of the ellipsoids, for the left half; the right half mirrors it.
_VENTRICLES = (
    ((14, -14, 12), (16, 26, 18)),
    ((14, 14, 20), (18, 36, 14)),
    ((26, 38, 6), (12, 18, 20)),
    ((0, 14, 0), (6, 20, 16)),
)
_DEEP_GREY_MATTER = (
    ((12, 18, 7), (18, 20, 16)),
    ((22, -4, 4), (14, 26, 16)),
    ((13, -10, 14), (8, 26, 18)),
)


@dataclass(frozen=True)
class Anatomy:
    """Maps of the template, to be looked up at any position.

    Attributes
    ----------
    tissues : ndarray, shape (5, *axes), float32
        Share of each of `TISSUES` in each voxel, in [0, 1]; what is missing to 1 lies outside the head.
    detail : ndarray, shape (*axes), float32
        What the template shows beyond its mean intensity per tissue, as a fraction of its white matter intensity.
    origin_mm : tuple of float
        Position of the first voxel; voxels are 1 mm apart.
    """

    tissues: FloatArray
    detail: FloatArray
    origin_mm: tuple[float, ...]

    def sample(self, points_mm: npt.NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """Return ``tissues`` and ``detail`` at positions of shape (n, *grid), linearly interpolated, zero outside."""
        shape = (-1,) + (1,) * (points_mm.ndim - 1)
        index = points_mm - np.reshape(self.origin_mm, shape)
        maps = [
            ndimage.map_coordinates(channel, index, order=1, output=np.float32)
            for channel in (*self.tissues, self.detail)
        ]
        return np.stack(maps[:-1]), maps[-1]


def patient_grid(size: Sequence[int]) -> Geometry:
    """Return the grid with ``size`` voxels, 2-D or 3-D, that holds every virtual patient.

    The voxels are isotropic and as small as the field of view allows.
    """
    n = len(size)
    needed = max(extent / count for extent, count in zip(EXTENT_MM, size, strict=False))
    spacing = np.ceil(100 * needed) / 100
    origin = [centre - (count - 1) * spacing / 2 for centre, count in zip(BRAIN_CENTRE_MM, size, strict=False)]
    return Geometry(
        tuple(size), (float(spacing),) * n, tuple(float(v) for v in origin), Geometry.identity(tuple(size)).direction
    )


@lru_cache(maxsize=4)
def load_anatomy(dimensions: int, *, spacing_mm: float = 1.0) -> Anatomy:
    """Read the anatomy, smoothed for sampling every ``spacing_mm``.

    Parameters
    ----------
    dimensions : 2 or 3
        2 takes the axial slice `SLICE_Z_MM`.
    spacing_mm : float
        The patient's voxel size; finer structures than it can show are smoothed away first, as a scanner would.

    Raises
    ------
    UsageError
        nilearn, which brings the template, is not installed.
    """
    t1, grey, white, origin_mm = _read_template()
    if dimensions == 2:
        row = round(SLICE_Z_MM - origin_mm[2])
        t1, grey, white = (array[..., row : row + 1] for array in (t1, grey, white))
        origin_mm = (*origin_mm[:2], SLICE_Z_MM)
    tissues = _split_tissues(t1, grey, white, origin_mm)
    detail = t1 - _mean_image(t1, tissues)
    if dimensions == 2:
        tissues, detail, origin_mm = tissues[..., 0], detail[..., 0], origin_mm[:2]
    # the standard deviation of a box as wide as a voxel is 0.29 of its width; the template's own voxels count already
    sigma = 0.29 * np.sqrt(max(spacing_mm**2 - 1, 0))
    tissues = np.stack([ndimage.gaussian_filter(channel, sigma) for channel in tissues])
    return Anatomy(tissues, ndimage.gaussian_filter(detail, sigma), origin_mm)


def _template_folder() -> Path:
    # find_spec does not run nilearn, whose import takes seconds
    spec = importlib.util.find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            "the virtual cohort is made from the MNI152 template inside nilearn, which is not installed",
            mend="run: pip install 'fewscan[demo]'",
        )
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    if not (folder / _FILE.format("t1")).is_file():
        raise UsageError(
            f"{folder} holds no {_FILE.format('t1')}: this version of nilearn does not ship the MNI152 template",
            mend="run: pip install --upgrade 'fewscan[demo]'",
        )
    return folder


def _read_template() -> tuple[FloatArray, FloatArray, FloatArray, tuple[float, ...]]:
    """Return T1, grey and white matter in LPS order, cropped to the head, and the position of their first voxel."""
    folder = _template_folder()
    arrays = []
    for kind in ("t1", "gm", "wm"):
        image = read_image(folder / _FILE.format(kind))
        signs = np.diag(np.reshape(image.geometry.direction, (3, 3)))
        arrays.append(image.array[tuple(slice(None, None, int(sign)) for sign in signs)].astype(np.float32) / 255)
    corners = image.geometry.affine()[:3] @ np.array([[0, 0, 0, 1], np.append(np.array(image.geometry.size) - 1, 1)]).T
    margin = 4
    box = ndimage.find_objects((arrays[0] > 0).astype(np.uint8))[0]
    box = tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in box)
    origin = tuple(float(low) + part.start for low, part in zip(corners.min(axis=1), box, strict=True))
    t1, grey, white = (array[box] for array in arrays)
    return t1, grey, white, origin


def _split_tissues(t1: FloatArray, grey: FloatArray, white: FloatArray, origin_mm: tuple[float, ...]) -> FloatArray:
    """Return the (5, x, y, z) shares of `TISSUES` from the grey and white matter probabilities."""
    inside = t1 > 0
    grey, white = grey * inside, white * inside
    fluid = np.clip(inside - grey - white, 0, 1)
    ventricles = _inside_ellipsoids(t1.shape, origin_mm, _VENTRICLES)
    # the thin grey sheets between the ventricles (septum, fornix) count as deep
    deep = _inside_ellipsoids(t1.shape, origin_mm, _DEEP_GREY_MATTER) | ventricles
    return np.stack([fluid * ~ventricles, grey * ~deep, white, grey * deep, fluid * ventricles]).astype(np.float32)


def _inside_ellipsoids(
    size: Sequence[int], origin_mm: Sequence[float], ellipsoids: Sequence[tuple[Sequence[float], Sequence[float]]]
) -> npt.NDArray[np.bool_]:
    position_mm = np.ix_(*(np.arange(n) + first for n, first in zip(size, origin_mm, strict=True)))
    mirrored = (np.abs(position_mm[0]), *position_mm[1:])
    inside = np.zeros(size, bool)
    for centre, radii in ellipsoids:
        offsets = zip(mirrored, centre, radii, strict=True)
        inside |= sum(((place - middle) / radius) ** 2 for place, middle, radius in offsets) < 1
    return inside


def _mean_image(t1: FloatArray, tissues: FloatArray) -> FloatArray:
    """Return the least-squares fit of the template by one intensity per tissue."""
    shares = tissues.reshape(len(tissues), -1)
    means = np.linalg.solve(shares @ shares.T, shares @ t1.ravel())
    return np.asarray(np.einsum("t,t...->...", means, tissues), np.float32)
