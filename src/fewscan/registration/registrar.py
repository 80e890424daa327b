"""What every way of registering two scans has in common: its input, its result, and the protocol.

A registrar, learned or classical, gets two prepared scans and returns a `Match`: a displacement on the prepared grid of
the fixed scan, and the matrix that carries displaced indices into the world of the moving scan. An alignment that comes
before the displacement (of the centres, or affine) is part of that matrix, so it is composed exactly once, without
interpolation; `fewscan.registration.physical` turns the match into a field on the fixed scan's own grid.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fewscan.data.plan import Plan
from fewscan.data.prepare import PreparedScan

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """Which point of the moving scan belongs to each voxel p of the fixed scan's prepared grid.

    moving point in mm = ``to_moving`` applied to (p + displacement_vox(p)).

    Attributes
    ----------
    displacement_vox : (dimensions, *fixed.prepared.size) float32 array
        In voxels of the fixed scan's prepared grid, component k along its array axis k.
    to_moving : (dimensions + 1, dimensions + 1) array
        From index to world (LPS, mm) of the moving scan.
    start : (dimensions + 1, dimensions + 1) array
        From the fixed world to the moving world, both in mm: how the scans lay before anything was registered.
    """

    displacement_vox: npt.NDArray[np.float32]
    to_moving: Matrix
    start: Matrix


class Registrar(Protocol):
    """A way of registering two scans."""

    @property
    def plan(self) -> Plan:
        """How scans are to be prepared, and how many channels they have."""

    def match(self, moving: PreparedScan, fixed: PreparedScan) -> Match:
        """Register one pair; raises `DataError` where that fails."""
