"""Where a padded scan lies on its grid, worked out by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fewscan.recipes.content_box import content_box


def inside(size, box):
    there = torch.zeros(size)
    there[box] = 1
    return there


@pytest.mark.parametrize(
    ("least", "wanted"),
    [
        ((1, 1), (slice(3, 7), slice(2, 4))),
        ((6, 2), (slice(2, 8), slice(2, 4))),  # two more, one at each end
        ((5, 5), (slice(3, 8), slice(1, 6))),  # one at the far end; three more: one before, two after
        ((10, 8), (slice(0, 10), slice(0, 8))),
    ],
)
def test_the_box_holds_the_scan_and_at_least_the_patch(least, wanted):
    assert content_box(inside((10, 8), (slice(3, 7), slice(2, 4))), least=least) == wanted


def test_it_does_not_grow_over_the_edge():
    assert content_box(inside((10, 8), (slice(8, 10), slice(0, 8))), least=(6, 8)) == (slice(4, 10), slice(0, 8))


def test_a_scan_without_padding_is_kept_whole():
    assert content_box(torch.ones(5, 6, 7), least=(1, 1, 1)) == (slice(0, 5), slice(0, 6), slice(0, 7))
    assert content_box(torch.zeros(4, 4), least=(2, 2)) == (slice(0, 4), slice(0, 4))


@given(st.data())
def test_the_box_is_on_the_grid_and_large_enough(data):
    size = [data.draw(st.integers(1, 9)) for _ in range(3)]
    least = [data.draw(st.integers(1, side)) for side in size]
    there = torch.tensor(data.draw(st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0]), min_size=729, max_size=729)))
    there = there.view(9, 9, 9)[: size[0], : size[1], : size[2]]
    box = content_box(there, least=least)
    for part, side, wanted in zip(box, size, least, strict=True):
        assert 0 <= part.start < part.stop <= side
        assert part.stop - part.start >= wanted
    outside = there.clone()
    outside[box] = 0
    assert (outside == 0).all()
