"""Where a scan lies in space.

Array axes are the image's own axes (x, y, z as in its header), so ``array.shape == size`` and ``spacing_mm[k]`` belongs
to array axis ``k``. World coordinates are SimpleITK's (LPS, in mm).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Geometry:
    """Grid of a 2-D or 3-D scan.

    Attributes
    ----------
    size : tuple of int
        Voxels along each array axis.
    spacing_mm : tuple of float
        Distance of neighbouring voxel centres along each array axis.
    origin_mm : tuple of float
        World position of the centre of the first voxel.
    direction : tuple of float
        Direction cosines, row by row (SimpleITK's order): column k is the world direction of array axis k.
    """

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def identity(cls, size: tuple[int, ...], spacing_mm: tuple[float, ...] | None = None) -> "Geometry":
        """Return an axis-parallel grid at the origin; unit spacing unless told."""
        n = len(size)
        eye = tuple(float(v) for v in np.eye(n).ravel())
        return cls(tuple(size), spacing_mm or (1.0,) * n, (0.0,) * n, eye)

    @property
    def dimensions(self) -> int:
        """Number of axes, 2 or 3."""
        return len(self.size)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel; of a 2-D scan its area, in mm^2."""
        return float(np.prod(self.spacing_mm))

    def affine(self) -> npt.NDArray[np.float64]:
        """Return the (n+1, n+1) matrix from voxel index to world position in mm."""
        n = self.dimensions
        matrix = np.eye(n + 1)
        matrix[:n, :n] = np.asarray(self.direction).reshape(n, n) * np.asarray(self.spacing_mm)
        matrix[:n, n] = self.origin_mm
        return matrix

    def cropped(self, start: tuple[int, ...], size: tuple[int, ...]) -> "Geometry":
        """Return the grid of the box that starts at voxel ``start`` and has ``size`` voxels."""
        origin = self.affine() @ np.append(np.asarray(start, float), 1.0)
        return Geometry(tuple(size), self.spacing_mm, tuple(float(v) for v in origin[:-1]), self.direction)

    def resampled(self, spacing_mm: tuple[float, ...]) -> "Geometry":
        """Return the grid with another spacing over the same extent.

        The outer faces of the first and last voxels stay where they are to within one voxel, so that the centre of the
        field of view is kept; the size is rounded, at least one voxel.
        """
        old = np.asarray(self.spacing_mm)
        new = np.asarray(spacing_mm, float)
        size = np.maximum(np.round(np.asarray(self.size) * old / new), 1).astype(int)
        # centre of the new grid on the centre of the old one
        offset = ((np.asarray(self.size) - 1) * old - (size - 1) * new) / 2
        n = self.dimensions
        origin = np.asarray(self.origin_mm) + np.asarray(self.direction).reshape(n, n) @ offset
        return Geometry(
            tuple(int(v) for v in size), tuple(float(v) for v in new), tuple(float(v) for v in origin), self.direction
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain lists for a JSON file."""
        return {
            "size": list(self.size),
            "spacing_mm": list(self.spacing_mm),
            "origin_mm": list(self.origin_mm),
            "direction": list(self.direction),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Geometry":
        """Inverse of `to_json`."""
        return cls(
            tuple(int(v) for v in data["size"]),
            tuple(float(v) for v in data["spacing_mm"]),
            tuple(float(v) for v in data["origin_mm"]),
            tuple(float(v) for v in data["direction"]),
        )
