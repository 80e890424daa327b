"""Turning scans upright for pictures, whatever the order and direction of their array axes.

Conventions of the pictures: world axes are LPS. Axial and coronal planes have the patient's left on the right-hand side
(the radiological habit), the sagittal plane has the front on the left-hand side; head and front are at the top. A 2-D
scan is shown as an image viewer would, its first axis to the right and its second down, after undoing any flip.
"""

from typing import Any

import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.orientation import world_axes

Array = npt.NDArray[Any]


def upright(array: Array, geometry: Geometry) -> tuple[Array, tuple[float, ...]]:
    """Return ``array`` (*size) with its axes along the world axes, and the spacing in mm along them.

    Axes are swapped and flipped, never interpolated; an oblique scan stays oblique.
    """
    order, signs = world_axes(geometry)
    turned = array.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    return turned, tuple(geometry.spacing_mm[axis] for axis in order)


def planes(array: Array, spacing_mm: tuple[float, ...], centre: tuple[int, ...]) -> list[tuple[Array, float]]:
    """Cut an upright array into pictures: itself in 2-D; in 3-D the axial, coronal and sagittal plane at ``centre``.

    Returns
    -------
    list of (ndarray (rows, columns), float)
        Each picture with row 0 at the top, and the height of its pixels over their width.
    """
    if array.ndim == 2:
        return [(array.T, spacing_mm[1] / spacing_mm[0])]
    left, back, head = spacing_mm
    x, y, z = centre
    return [
        (array[:, :, z].T, back / left),
        (array[:, y, ::-1].T, head / left),
        (array[x, :, ::-1].T, head / back),
    ]
