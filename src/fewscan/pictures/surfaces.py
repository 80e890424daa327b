"""Surfaces of masks as triangles, and shaded pictures of them.

Method: surface nets (S. F. F. Gibson, "Constrained elastic surface nets", MICCAI 1998), made for masks rather than for
grey values. One vertex lies in every cube of eight voxel centres that holds both inside and outside, one quadrilateral
crosses every pair of face neighbours of which one is inside. The vertices are then smoothed but never leave their cube:
no structure vanishes, however thin, and the surface stays within one voxel of the mask. Smoothing goes forth and back
(G. Taubin, SIGGRAPH 1995), so that volumes do not shrink.

Arrays are (x, y, z); a vertex at 0 mm is the centre of the first voxel. Pictures take axes that point to the patient's
left, back and head, as `fewscan.pictures.orientation.upright` gives them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import TriMesh
from matplotlib.colors import to_rgb
from matplotlib.tri import Triangulation
from scipy import ndimage, sparse

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
Faces = npt.NDArray[np.intp]

SMOOTHINGS, FORTH, BACK = 12, 0.5, -0.53
AZIMUTH, ELEVATION = 30.0, 20.0
"""Where pictures are taken from, in degrees from the front: towards the patient's left, and upwards."""
AMBIENT, DIFFUSE, SHINE = 0.42, 0.58, 0.16
LIGHT = (-0.45, 0.6, 0.66)
"""Direction to the light in the picture's axes: right, up, towards the viewer."""


@dataclass(frozen=True)
class Surface:
    """A triangle mesh with its colour.

    Attributes
    ----------
    vertices_mm : ndarray (n, 3)
        Along the patient's left, back and head.
    faces : ndarray (m, 3)
        Rows of ``vertices_mm``, counter-clockwise seen from outside.
    colour : str or ndarray (n, 3)
        One colour, or red, green and blue from 0 to 1 for each vertex.
    """

    vertices_mm: Points
    faces: Faces
    colour: Any


def surface(mask: Mask, spacing_mm: Sequence[float], *, smoothings: int = SMOOTHINGS) -> tuple[Points, Faces]:
    """Return the surface of a 3-D mask as triangles; what touches the array's border is closed there.

    Parameters
    ----------
    mask : bool array (x, y, z)
        Any number of components; empty gives no triangles.
    spacing_mm : sequence of float
        Side of a voxel along each axis.
    smoothings : int
        Passes of smoothing, each forth and back.

    Returns
    -------
    vertices_mm : ndarray (n, 3)
        Position along the array's axes.
    faces : ndarray (m, 3)
        Vertices of each triangle, counter-clockwise seen from outside. Every edge belongs to two triangles, or to four
        where two parts of the mask touch along an edge.

    Raises
    ------
    ValueError
        If the mask is not 3-D or the spacing does not fit.
    """
    if mask.ndim != 3 or len(spacing_mm) != 3:
        msg = f"a 3-D mask and three spacings are needed, not {mask.ndim} dimensions and {len(spacing_mm)} spacings"
        raise ValueError(msg)
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return np.zeros((0, 3)), np.zeros((0, 3), np.intp)
    padded = np.pad(mask[found[0]], 1)
    cells, positions = _net_vertices(padded)
    numbers = np.full([n - 1 for n in padded.shape], -1, np.intp)
    numbers[tuple(cells.T)] = np.arange(len(cells))
    quads = _net_quads(padded, numbers)
    positions = _smooth(positions, cells, quads, smoothings)
    start = np.array([part.start for part in found[0]]) - 1
    vertices_mm = (positions + start) * np.asarray(spacing_mm, float)
    return vertices_mm, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def vertex_normals(vertices_mm: Points, faces: Faces) -> Points:
    """Return the outward unit normal of each vertex, the mean over its triangles weighted by their area."""
    a, b, c = (vertices_mm[faces[:, k]] for k in range(3))
    of_face = np.cross(b - a, c - a)
    total = np.stack(
        [sum(np.bincount(faces[:, k], of_face[:, axis], len(vertices_mm)) for k in range(3)) for axis in range(3)], -1
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(total / np.where(length > 0, length, 1.0))


def draw_surfaces(
    axis: Axes,
    surfaces: Sequence[Surface],
    *,
    azimuth: float = AZIMUTH,
    elevation: float = ELEVATION,
    shaded: bool = True,
    zorder: float = 1.0,
) -> None:
    """Draw surfaces together into a plain axis, in parallel projection, lit from the upper left; units are mm.

    Parameters
    ----------
    axis : Axes
        Without a frame from here on, equal units on both sides. Limits are left to the caller; see `bounds_mm`.
    surfaces : sequence of Surface
        Opaque: nearer triangles hide farther ones, of all surfaces alike.
    azimuth, elevation : float
        Where from, in degrees off the front: towards the patient's left, and upwards.
    shaded : bool
        Otherwise in plain colours, as a silhouette.
    zorder : float
        Of the drawing in the axis.
    """
    axis.set_axis_off()
    axis.set_aspect("equal")
    view = view_axes(azimuth, elevation)
    parts = [part for part in surfaces if len(part.faces)]
    if not parts:
        return
    light = np.asarray(LIGHT) / np.linalg.norm(LIGHT)
    half = light + np.array([0.0, 0.0, 1.0])  # between the light and the viewer: where a gloss is seen
    half /= np.linalg.norm(half)
    places, faces, colours, offset = [], [], [], 0
    for part in parts:
        place = part.vertices_mm @ view.T
        colour = np.broadcast_to(to_rgb(part.colour) if isinstance(part.colour, str) else part.colour, place.shape)
        if shaded:
            normal = vertex_normals(part.vertices_mm, part.faces) @ view.T
            bright = AMBIENT + DIFFUSE * np.clip(normal @ light, 0, None)
            gloss = SHINE * np.clip(normal @ half, 0, None) ** 24
            colour = np.clip(colour * bright[:, None] + gloss[:, None], 0, 1)
        places.append(place)
        faces.append(part.faces + offset)
        colours.append(colour)
        offset += len(place)
    place, face = np.concatenate(places), np.concatenate(faces)
    edge, other = place[face[:, 1], :2] - place[face[:, 0], :2], place[face[:, 2], :2] - place[face[:, 0], :2]
    face = face[edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0] > 0]  # those behind are hidden by those in front
    face = face[np.argsort(place[face, 2].mean(axis=1), kind="stable")]
    mesh = TriMesh(Triangulation(place[:, 0], place[:, 1], face), zorder=zorder)
    mesh.set_facecolor(np.column_stack([np.concatenate(colours), np.ones(len(place))]))
    axis.add_collection(mesh, autolim=False)


def view_axes(azimuth: float, elevation: float) -> Points:
    """Return the picture's axes in the patient's, as rows: right, up, towards the viewer."""
    turn, lift = np.radians([azimuth, elevation])
    right = np.array([np.cos(turn), np.sin(turn), 0.0])
    near = np.array([np.sin(turn) * np.cos(lift), -np.cos(turn) * np.cos(lift), np.sin(lift)])
    return np.stack([right, np.cross(near, right), near])


def bounds_mm(
    surfaces: Sequence[Surface], *, azimuth: float = AZIMUTH, elevation: float = ELEVATION
) -> tuple[Points, Points]:
    """Return the lower and upper bounds (right, up) of the picture of surfaces; zeros without any."""
    points = np.concatenate([np.zeros((0, 3)), *(part.vertices_mm for part in surfaces)])
    if not len(points):
        return np.zeros(2), np.zeros(2)
    place = points @ view_axes(azimuth, elevation)[:2].T
    return place.min(axis=0), place.max(axis=0)


def _net_vertices(padded: Mask) -> tuple[npt.NDArray[np.intp], Points]:
    """Return the cells that the surface passes through, and in each the mean of the middles of its crossed edges."""
    count = np.zeros([n - 1 for n in padded.shape])
    total = np.zeros([*count.shape, 3])
    for axis in range(3):
        crossed = np.diff(padded, axis=axis)
        others = [k for k in range(3) if k != axis]
        for first in (0, 1):
            for second in (0, 1):
                offset = np.full(3, 0.5)
                offset[others] = first, second
                part = [slice(None)] * 3
                for k, shift in zip(others, (first, second), strict=True):
                    part[k] = slice(shift, padded.shape[k] - 1 + shift)
                here = crossed[tuple(part)]
                count += here
                total += here[..., None] * offset
    cells = np.argwhere(count)
    index = tuple(cells.T)
    return cells, cells + total[index] / count[index][:, None]


def _net_quads(padded: Mask, numbers: Faces) -> Faces:
    """Return a quadrilateral for each crossed edge: the vertices of the four cells around it."""
    quads = []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        edges = np.argwhere(np.diff(padded, axis=axis))
        around = []
        for a, b in ((1, 1), (0, 1), (0, 0), (1, 0)):
            cell = edges.copy()
            cell[:, first] -= a
            cell[:, second] -= b
            around.append(numbers[tuple(cell.T)])
        corners = np.stack(around, axis=1)
        leaving = padded[tuple(edges.T)]  # inside on the lower side: the outside is up this axis
        quads.append(np.where(leaving[:, None], corners, corners[:, ::-1]))
    return np.concatenate(quads)


def _smooth(positions: Points, cells: npt.NDArray[np.intp], quads: Faces, passes: int) -> Points:
    """Move each vertex towards and away from the mean of its neighbours, within its cell."""
    n = len(positions)
    ends = np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)])
    links = sparse.coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n)).tocsr()
    links = ((links + links.T) > 0).astype(float)
    weight = 1.0 / links.sum(axis=1)[:, None]
    for _ in range(passes):
        for step in (FORTH, BACK):
            positions = positions + step * (weight * (links @ positions) - positions)
            positions = np.clip(positions, cells, cells + 1)
    return positions
