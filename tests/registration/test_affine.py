from collections.abc import Callable

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.grids import centre_mm
from fewscan.data.prepare import PreparedScan
from fewscan.data.scan_meta import ScanMeta
from fewscan.errors import DataError, UsageError
from fewscan.registration.affine import METRICS, Effort, affine_alignment, pyramid

MetaOf = Callable[..., ScanMeta]


def scan(array: np.ndarray, geometry: Geometry, meta_of: MetaOf) -> PreparedScan:
    return PreparedScan(np.ascontiguousarray(array[None], np.float32), meta_of(geometry))


def test_what_cannot_be_registered_is_named(meta_of: MetaOf) -> None:
    grid = Geometry.identity((16, 16))
    flat = scan(np.ones(grid.size, np.float32), grid, meta_of)
    far = np.eye(3)
    far[:2, 2] = 500
    noise = scan(np.random.default_rng(0).normal(size=grid.size), grid, meta_of)
    for pair, start, text in (
        ((flat, noise), np.eye(3), "case a: its image is constant"),
        ((noise, flat), np.eye(3), "case a: its image is constant"),
        ((noise, noise), far, "a to a: the scans do not overlap"),
    ):
        with pytest.raises(DataError, match=text):
            affine_alignment(*pair, start=start, effort=Effort())


@pytest.mark.parametrize("metric", METRICS)
def test_equal_scans_are_left_as_they_are(metric: str, body: Callable[..., np.ndarray], meta_of: MetaOf) -> None:
    grid = Geometry.identity((32, 32))
    image = body(grid) + (0.05 * np.random.default_rng(0).normal(size=grid.size)).astype(np.float32)
    found = affine_alignment(*[scan(image, grid, meta_of)] * 2, start=np.eye(3), effort=Effort(metric))
    np.testing.assert_array_equal(found, np.eye(3))


def test_mutual_information_sees_through_contrast(body: Callable[..., np.ndarray], meta_of: MetaOf) -> None:
    grid = Geometry.identity((64, 64))
    fixed, moving = scan(body(grid), grid, meta_of), scan(np.abs(body(grid, lambda y: y - 2) - 0.6), grid, meta_of)
    found = affine_alignment(moving, fixed, start=np.eye(3), effort=Effort("mutual-information"))
    near = centre_mm(grid)
    np.testing.assert_allclose((found @ np.append(near, 1))[:2] - near, 2, atol=0.5)


def test_an_unknown_metric_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--metric ncc: unknown"):
        Effort("ncc")


@pytest.mark.parametrize(("size", "factors"), [((64, 64), [4, 2, 1]), ((31, 40, 33), [2, 1]), ((200, 9), [1])])
def test_thin_scans_are_not_shrunk(size: tuple[int, ...], factors: list[int]) -> None:
    assert pyramid(size) == factors
