"""Label maps on disk for the tests of pairing and evaluation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image

SPACING_MM = (1.0, 1.0, 5.0)

WriteLabel = Callable[..., Path]


@pytest.fixture
def write_label(tmp_path: Path) -> WriteLabel:
    """Write cuboids of given values to ``<tmp>/<folder>/<name>``: ``write_label("pred/a.nii.gz", (1, 0))``.

    Each class is a pair of value and shift: a cube of side 4 at (2 + shift, 2, 2); the third entry is the z start.
    """

    def write(name: str, *cubes: tuple[int, ...], geometry: Geometry | None = None, dtype: str = "uint8") -> Path:
        geometry = geometry or Geometry.identity((12, 8, 14), SPACING_MM)
        array = np.zeros(geometry.size, dtype)
        for value, shift, *z in cubes:
            start = z[0] if z else 2
            array[2 + shift : 6 + shift, 2:6, start : start + 4] = value
        path = tmp_path / name
        write_image(path, array, geometry)
        return path

    return write
