"""Distances between the surfaces of two masks: Hausdorff, its 95th percentile and average surface distance.

Definitions, which are those of MedPy because the tables of semi-supervised segmentation are computed with it:

- *Surface*: the voxels of a mask with at least one face neighbour (6 in 3-D, 4 in 2-D) outside the mask; beyond the
  border of the array counts as outside. Distances are taken between voxel centres.
- *Directed distances* P -> G: for each surface voxel of P the Euclidean distance to the nearest surface voxel of G.
- **HD** (Hausdorff distance): the largest directed distance of both directions.
- **HD95**: the 95th percentile (linear interpolation) of the directed distances of both directions POOLED, not the
  larger of two percentiles as in MONAI and DeepMind's surface-distance.
- **ASD** (average surface distance): the mean of the directed distances prediction -> truth only, as MedPy's `asd`;
  a missed part of the organ does not enter it.
- **ASSD** (average symmetric surface distance): the mean of the pooled distances of both directions (Heimann et al.,
  IEEE TMI 2009). MedPy's `assd` is the mean of the two directed means instead.

Empty masks: both empty gives NaN (absent), one empty gives infinity; neither is ever 0.

Arrays are (x, y, z) or (x, y) and ``spacing[k]`` belongs to axis k: in mm for distances in mm, ones for voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from fewscan.metrics.overlap import Mask

Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SurfaceDistances:
    """The directed distances between two surfaces, and what follows from them.

    Attributes
    ----------
    to_truth : float64 array (surface voxels of the prediction,)
        Distance of each to the surface of the truth.
    to_prediction : float64 array (surface voxels of the truth,)
        Distance of each to the surface of the prediction.
    """

    to_truth: Distances
    to_prediction: Distances

    def scaled(self, factor: float) -> "SurfaceDistances":
        """Return the distances in another unit, such as voxels of equal sides to mm."""
        return SurfaceDistances(self.to_truth * factor, self.to_prediction * factor)

    @property
    def pooled(self) -> Distances:
        """The distances of both directions."""
        return np.concatenate([self.to_truth, self.to_prediction])

    @property
    def hd(self) -> float:
        """Hausdorff distance."""
        return float(max(self.to_truth.max(), self.to_prediction.max()))

    @property
    def hd95(self) -> float:
        """95th percentile of the pooled distances."""
        # interpolation between two infinite distances would give NaN
        return float(np.percentile(self.pooled, 95)) if np.isfinite(self.hd) else self.hd

    @property
    def asd(self) -> float:
        """Average surface distance from the prediction to the truth."""
        return float(self.to_truth.mean())

    @property
    def assd(self) -> float:
        """Average symmetric surface distance."""
        return float(self.pooled.mean())


def surface_voxels(mask: Mask) -> Mask:
    """Return the voxels of ``mask`` with a face neighbour outside it; beyond the array is outside."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        # views with this axis first: writing to them writes to `inner`
        here, neighbours = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        here[1:] &= neighbours[:-1]
        here[:-1] &= neighbours[1:]
        here[:1] = here[-1:] = False
    surface: Mask = mask & ~inner
    return surface


def surface_distances(
    prediction: Mask, truth: Mask, *, spacing: float | Sequence[float] | None = None
) -> SurfaceDistances:
    """Return the distances between the surfaces of two masks of equal shape.

    Parameters
    ----------
    prediction, truth : bool array (*axes)
        Crop both to their joint bounding box first: it changes no distance and saves most of the time.
    spacing : float or sequence of float, optional
        Side of a voxel along each axis, in the unit of the result; 1 unless told.

    Raises
    ------
    ValueError
        If the shapes differ or the spacing does not fit them.
    """
    if prediction.shape != truth.shape:
        msg = f"masks of different shape: {prediction.shape} and {truth.shape}"
        raise ValueError(msg)
    side = np.broadcast_to(np.asarray(1.0 if spacing is None else spacing, dtype=np.float64), (truth.ndim,))
    from_prediction, from_truth = surface_voxels(prediction), surface_voxels(truth)
    if not from_prediction.any() or not from_truth.any():
        empty = np.array([inf if from_prediction.any() or from_truth.any() else nan])
        return SurfaceDistances(empty, empty)
    return SurfaceDistances(
        directed_distances(from_prediction, from_truth, side), directed_distances(from_truth, from_prediction, side)
    )


def directed_distances(source: Mask, target: Mask, spacing: Distances) -> Distances:
    """Return the distance of each voxel of ``source`` to the nearest voxel of ``target``, in array order.

    A k-d tree of the target is several times faster than a distance transform of the whole box when the two surfaces
    lie close, and several times slower when they lie far apart: a search looks at about as many voxels as the target
    has within the distance found, which grows with its square. The distances of some 256 source voxels decide.
    """
    points = np.argwhere(source)
    distances = np.zeros(len(points))
    apart = ~target[source]  # the two surfaces share many voxels where the prediction is good: their distance is 0
    if not apart.any():
        return distances
    positions = points[apart] * spacing
    tree = cKDTree(np.argwhere(target) * spacing, balanced_tree=False)
    sample, _ = tree.query(positions[:: max(1, len(positions) // 256)])
    mean_square_vox = float(np.mean(sample**2)) / float(np.prod(spacing)) ** (2 / source.ndim)
    if len(positions) * (1.0 + mean_square_vox) < source.size:
        distances[apart] = tree.query(positions)[0]
    else:
        distances = distance_transform_edt(~target, sampling=spacing)[source]
    return distances
