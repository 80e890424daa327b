from collections.abc import Callable

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.prepare import PreparedScan
from fewscan.data.scan_meta import ScanMeta
from fewscan.errors import DataError, UsageError
from fewscan.registration.align import Effort
from fewscan.registration.classical import CLASSICAL, ClassicalRegistrar, classical_plan
from fewscan.registration.physical import physical_displacement

MetaOf = Callable[..., ScanMeta]
EXACT = Effort("correlation")


def scan(array: np.ndarray, geometry: Geometry, meta_of: MetaOf) -> PreparedScan:
    return PreparedScan(np.ascontiguousarray(array[None], np.float32), meta_of(geometry))


FLAT = Geometry((60, 72), (1.0, 0.8), (7.5, -3.0), (0.8, 0.6, -0.6, 0.8))
SOLID = Geometry((24, 26, 20), (1.0, 0.9, 1.2), (-40.5, 33.0, 12.25), (0.8, 0.6, 0, -0.6, 0.8, 0, 0, 0, -1.0))


@pytest.mark.parametrize(("method", "grid"), [*[(m, FLAT) for m in CLASSICAL], ("affine", SOLID), ("demons", SOLID)])
def test_a_known_shift_is_found(method: str, grid: Geometry, body: Callable[..., np.ndarray], meta_of: MetaOf) -> None:
    n = grid.dimensions
    shift = np.array([2.0, -1.5, 1.0])[:n].reshape(-1, *[1] * n)
    pair = scan(body(grid, lambda y: y - shift), grid, meta_of), scan(body(grid), grid, meta_of)
    registrar = ClassicalRegistrar(method, classical_plan(dimensions=n, channels=1), effort=EXACT)
    match = registrar.match(*pair)
    field = physical_displacement(match, pair[1].meta)
    inner = (slice(None), *(slice(k // 4, -(k // 4)) for k in grid.size))
    assert np.abs(field[inner] - shift).mean() < 0.15
    again = registrar.match(*pair)
    np.testing.assert_array_equal(again.displacement_vox, match.displacement_vox)
    np.testing.assert_array_equal(again.to_moving, match.to_moving)


@pytest.mark.parametrize("method", CLASSICAL)
def test_equal_scans_are_left_as_they_are(method: str, body: Callable[..., np.ndarray], meta_of: MetaOf) -> None:
    pair = [scan(body(FLAT), FLAT, meta_of)] * 2
    match = ClassicalRegistrar(method, classical_plan(dimensions=2, channels=1), effort=EXACT).match(*pair)
    assert not physical_displacement(match, pair[0].meta).any()


@pytest.mark.parametrize("method", ["bspline", "demons"])
def test_a_bend_that_no_affine_map_follows(method: str, body: Callable[..., np.ndarray], meta_of: MetaOf) -> None:
    grid = Geometry.identity((64, 64))

    def bend(y: np.ndarray) -> np.ndarray:
        return y + np.stack([2.0 * np.sin(y[1] / 6), np.zeros(grid.size)])

    fixed, moving = scan(body(grid), grid, meta_of), scan(body(grid, bend), grid, meta_of)
    plan = classical_plan(dimensions=2, channels=1)

    def error(how: str) -> float:
        field = physical_displacement(ClassicalRegistrar(how, plan, effort=EXACT).match(moving, fixed), fixed.meta)
        index = np.indices(grid.size) + field
        # where the moving scan shows what the fixed scan shows: x = y + bend(y)
        found = np.stack([index[0] - 31.5 + 2.0 * np.sin((index[1] - 31.5) / 6), index[1] - 31.5])
        wanted = np.indices(grid.size) - 31.5
        return float(np.abs(found - wanted)[:, 16:-16, 16:-16].mean())

    assert error(method) < 0.6 * error("affine")


def test_scans_elsewhere_in_space_start_centre_on_centre(body: Callable[..., np.ndarray], meta_of: MetaOf) -> None:
    fixed, moving = Geometry.identity((24, 24)), Geometry((24, 24), (1.0, 1.0), (900.0, -300.0), (1.0, 0.0, 0.0, 1.0))
    pair = scan(body(moving), moving, meta_of), scan(body(fixed), fixed, meta_of)
    plan = classical_plan(dimensions=2, channels=1)
    match = ClassicalRegistrar("affine", plan, effort=EXACT).match(*pair)
    field = physical_displacement(match, pair[1].meta)
    assert np.abs(field - np.array([900.0, -300.0]).reshape(2, 1, 1)).mean() < 0.1
    with pytest.raises(DataError, match="do not overlap"):
        ClassicalRegistrar("affine", plan, align="none").match(*pair)


def test_the_plan_and_an_unknown_method() -> None:
    plan = classical_plan(dimensions=3, channels=2)
    assert len(plan.channels) == 2
    assert plan.image_dimensions == 3
    with pytest.raises(UsageError, match="--classical syn: unknown"):
        ClassicalRegistrar("syn", plan)
