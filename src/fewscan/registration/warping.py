"""Moving images and labels on the grid of the fixed scan, through a physical displacement field.

Images are interpolated linearly. Labels: every class is warped like an image (one-hot) and the largest share wins, the
higher value on a tie, as in `fewscan.data.resample`. This rule raises Dice against nearest neighbour, so it holds for
every registration method alike.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.itk import simpleitk
from fewscan.data.itk_image import from_itk, to_itk


class Warp:
    """A displacement field, ready to warp several arrays.

    Parameters
    ----------
    displacement_mm : (dimensions, *fixed.size) float32 array
        Moving point = fixed point + displacement; world axes (LPS).
    fixed, moving : Geometry
        Grid of the field and of the result; grid of the arrays to warp.
    """

    def __init__(self, displacement_mm: npt.NDArray[np.float32], *, fixed: Geometry, moving: Geometry) -> None:
        self.fixed, self.moving = fixed, moving
        self._field = to_itk(displacement_mm, fixed)

    def image(self, array: npt.NDArray[Any], *, outside: float | None = None) -> npt.NDArray[np.float32]:
        """Return ``array`` (*moving.size) on the fixed grid.

        Voxels that lie outside the moving scan get the value ``outside``; its lowest value unless told.
        """
        sitk = simpleitk()
        values = np.asarray(array, np.float32)
        filter_ = sitk.WarpImageFilter()
        filter_.SetInterpolator(sitk.sitkLinear)
        filter_.SetOutputSize(self.fixed.size)
        filter_.SetOutputSpacing(self.fixed.spacing_mm)
        filter_.SetOutputOrigin(self.fixed.origin_mm)
        filter_.SetOutputDirection(self.fixed.direction)
        filter_.SetEdgePaddingValue(float(values.min()) if outside is None else outside)
        return np.asarray(from_itk(filter_.Execute(to_itk(values, self.moving), self._field)), np.float32)

    def inside(self) -> npt.NDArray[np.bool_]:
        """Return which voxels of the fixed grid lie inside the moving scan."""
        return self.image(np.ones(self.moving.size, np.float32), outside=0.0) > 0.5

    def labels(self, labels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """Return label values (*moving.size) on the fixed grid, 0 outside the moving scan."""
        values = [0, *(int(v) for v in np.unique(labels) if v != 0)]
        winner = np.zeros(self.fixed.size, labels.dtype)
        best = self.image(labels == 0, outside=1.0)
        for value in values[1:]:
            share = self.image(labels == value, outside=0.0)
            winner[share > best - 1e-6] = value  # a margin, so that rounding does not decide between equal shares
            np.maximum(best, share, out=best)
        return winner
