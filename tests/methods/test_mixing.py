import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.methods.mixing import box_mask, mix


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=3), st.floats(0.05, 1))
def test_one_box_of_the_wanted_sides_inside_the_patch(size, side):
    mask = box_mask(size, side=side)
    assert mask.shape == tuple(size)
    for axis in range(len(size)):
        hit = mask.any(dim=[k for k in range(len(size)) if k != axis]).nonzero().flatten()
        assert len(hit) == max(1, round(side * size[axis]))
        assert hit[-1] - hit[0] + 1 == len(hit)  # in one piece
    assert mask.sum() == torch.tensor([max(1, round(side * length)) for length in size]).prod()


def test_every_place_occurs():
    torch.manual_seed(0)
    starts = {tuple(box_mask((4, 3), side=0.5).nonzero()[0].tolist()) for _ in range(200)}
    # boxes of 2 x 2 (half of 3 rounds to 2): first voxel 0, 1, 2 along one axis, 0, 1 along the other
    assert starts == {(a, b) for a in range(3) for b in range(2)}


@pytest.mark.parametrize("side", [0.0, 1.1, -0.5])
def test_the_side_is_a_share(side):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        box_mask((4, 4), side=side)


def test_mix_takes_the_first_inside_and_the_second_outside():
    mask = torch.tensor([[True, False], [False, False]])
    inside, outside = torch.full((2, 3, 2, 2), 7.0), torch.zeros(2, 3, 2, 2)
    mixed = mix(inside, outside, mask)
    assert mixed[..., 0, 0].eq(7).all()
    assert mixed.sum() == 7 * 2 * 3
    labels = mix(torch.ones(2, 2, 2, dtype=torch.long), torch.zeros(2, 2, 2, dtype=torch.long), mask)
    assert labels.tolist() == [[[1, 0], [0, 0]]] * 2
