from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.scan_meta import ScanMeta

OBLIQUE_3D = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, -1.0)
GRIDS = {
    "2-D": Geometry.identity((24, 28), (1.0, 1.5)),
    "2-D oblique": Geometry((22, 26), (1.2, 0.8), (7.5, -3.0), (0.8, 0.6, -0.6, 0.8)),
    "3-D": Geometry.identity((20, 22, 18)),
    "3-D oblique": Geometry((18, 22, 12), (1.0, 0.75, 2.0), (-40.5, 33.0, 12.25), OBLIQUE_3D),
}

Points = npt.NDArray[np.float64]


def world_points(geometry: Geometry) -> Points:
    """Return the world position of every voxel, (dimensions, *size)."""
    n = geometry.dimensions
    affine = geometry.affine()
    index = np.indices(geometry.size)
    return np.asarray(np.einsum("ij,j...->i...", affine[:n, :n], index) + affine[:n, n].reshape(-1, *[1] * n))


def scene(points: Points) -> npt.NDArray[np.float32]:
    """Return the brightness of an imaginary body around the origin: three blobs in tissue, never 0, not symmetric."""
    n = len(points)
    value = 0.3 + 0.1 * sum(np.sin((points[k] + 0.4 * points[k - 1]) / 2.6 + k) for k in range(n)) / n
    for centre, width, height in (((0, 0, 0), 5.0, 1.0), ((4, -2, 1), 2.0, 0.8), ((-3, -4, -2), 2.5, -0.6)):
        offset = points - np.asarray(centre[:n], float).reshape(-1, *[1] * n)
        value += height * np.exp(-np.square(offset).sum(axis=0) / (2 * width**2))
    return np.asarray(value, np.float32)


@pytest.fixture
def grids() -> dict[str, Geometry]:
    return GRIDS


@pytest.fixture
def points() -> Callable[[Geometry], Points]:
    return world_points


@pytest.fixture
def body() -> Callable[..., npt.NDArray[np.float32]]:
    """Return a function that images the body in the middle of a grid; ``moved`` maps world points to the body's own."""

    def image(geometry: Geometry, moved: Callable[[Points], Points] = lambda x: x) -> npt.NDArray[np.float32]:
        n = geometry.dimensions
        centre = world_points(geometry).reshape(n, -1).mean(axis=1).reshape(-1, *[1] * n)
        return scene(moved(world_points(geometry) - centre))

    return image


@pytest.fixture
def write_body(tmp_path: Path, body: Callable[..., npt.NDArray[np.float32]]) -> Callable[..., Path]:
    """Return a function that writes an image of the body, and beside it in ``labels/`` where its blobs are."""

    def write(name: str, geometry: Geometry, moved: Callable[[Points], Points] = lambda x: x) -> Path:
        image = body(geometry, moved)
        path = tmp_path / "scans" / f"{name}.nii.gz"
        write_image(path, image, geometry)
        labels = np.where(image > 0.9, 2, np.where(image > 0.5, 1, 0)).astype(np.uint8)
        write_image(tmp_path / "labels" / f"{name}.nii.gz", labels, geometry)
        return path

    return write


@pytest.fixture
def meta_of() -> Callable[..., ScanMeta]:
    """Return a function that makes the meta data of a scan which preparation left as it is."""

    def make(geometry: Geometry, channels: int = 1) -> ScanMeta:
        return ScanMeta("a", geometry, (0,) * geometry.dimensions, geometry, geometry, (0.0,) * channels, ("a",))

    return make
