from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.experiments.curve import Curve, save_curve, spread_apart


def test_far_apart_stays():
    assert spread_apart([30.0, 0.0, 60.0], gap=10) == [30.0, 0.0, 60.0]


def test_neighbours_part_evenly_and_keep_their_order():
    # 10 and 12 are 2 apart: centred on 11 they lie at 6 and 16
    assert spread_apart([12.0, 10.0], gap=10) == pytest.approx([16.0, 6.0])
    # the pair at 6 and 16 meets 20, so three are centred on (10 + 12 + 20) / 3 = 14
    assert spread_apart([12.0, 10.0, 20.0], gap=10) == pytest.approx([14.0, 4.0, 24.0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 100), max_size=8))
def test_always_a_gap_apart(positions):
    placed = spread_apart(positions, gap=10)
    ordered = sorted(placed)
    assert all(b - a >= 10 - 1e-6 for a, b in pairwise(ordered))
    assert sum(placed) == pytest.approx(sum(positions))


def test_pictures_of_whole_partial_and_empty_studies(tmp_path):
    whole = [
        Curve("supervised", [(2, [0.6, 0.62]), (18, [0.8, float("nan")])], is_baseline=True),
        Curve("other", [(2, [0.7]), (18, [])]),
    ]
    sizes = []
    for name, curves, bound in (("whole", whole, [0.88, 0.89]), ("bound", [], [0.9]), ("empty", [], [])):
        save_curve(tmp_path / f"{name}.png", curves, title="T", upper_bound=bound, upper_title="all")
        data = (tmp_path / f"{name}.png").read_bytes()
        assert data.startswith(b"\x89PNG")
        sizes.append(len(data))
    assert sizes[0] > sizes[2]
