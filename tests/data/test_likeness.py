import numpy as np
import pytest

from fewscan.data.likeness import COARSE_SIDE, coarse_likeness

RAMP = np.arange(32 * 32, dtype=np.float32).reshape(32, 32)


def test_a_scan_is_like_itself_in_any_unit_and_size():
    larger = np.kron(RAMP, np.ones((2, 2)))
    assert coarse_likeness([RAMP, 3 * RAMP - 500, larger]) == pytest.approx(1)


def test_opposite_scans():
    assert coarse_likeness([RAMP, -RAMP]) == pytest.approx(-1)


def test_median_of_the_pairs():
    # of the three pairs two are opposite and one is equal: correlations 1, -1, -1
    assert coarse_likeness([RAMP, RAMP, -RAMP]) == pytest.approx(-1)


def test_known_correlation():
    # two checkerboards of whole coarse cells, the second with a quarter of its cells turned: (12 - 4) / 16
    cells = np.indices((COARSE_SIDE, COARSE_SIDE)).sum(0) % 2 * 2.0 - 1
    turned = cells.copy()
    turned[: COARSE_SIDE // 4] *= -1
    assert coarse_likeness([np.kron(cells, np.ones((3, 3))), turned]) == pytest.approx(0.5)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4])
def test_constant_scans_are_like_nothing(value):
    assert coarse_likeness([np.full((20, 18, 16), value), np.random.default_rng(0).normal(size=(9, 9, 9))]) == 0


def test_a_flat_scan_is_like_no_volume():
    assert coarse_likeness([RAMP, np.arange(8 * 8 * 8.0).reshape(8, 8, 8)]) == 0


def test_one_scan_has_no_pair():
    assert coarse_likeness([RAMP]) == 0


def test_scans_may_come_one_after_the_other():
    assert coarse_likeness(scan for scan in (RAMP, RAMP, -RAMP)) == pytest.approx(-1)
