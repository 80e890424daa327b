import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.losses.probabilities import one_hot
from fewscan.methods.mixing import box_mask, mix, mix_both_ways, mix_labelled, mixing_pairs


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


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6))
def test_two_mixes_use_every_patch_and_share_none_where_there_are_enough(labelled, unlabelled):
    first, second = mixing_pairs(labelled, unlabelled)
    assert len(first.labelled) == len(first.unlabelled) == len(second.labelled) == len(second.unlabelled)
    assert set(first.labelled) | set(second.labelled) == set(range(labelled))
    assert set(first.unlabelled) | set(second.unlabelled) == set(range(unlabelled))
    if labelled == unlabelled and labelled % 2 == 0:
        assert not set(first.labelled) & set(second.labelled)
        assert not set(first.unlabelled) & set(second.unlabelled)


@pytest.mark.parametrize(("labelled", "unlabelled"), [(2, 2), (4, 4), (1, 3), (3, 1), (1, 1)])
def test_true_labels_pasted_as_pseudo_labels_are_those_of_the_voxels_own_patch(labelled, unlabelled):
    """Eqs. 13 and 14: a target must come from where its voxel comes from, which eq. 13 as printed does not."""
    size = (6, 5, 4)
    # every voxel of every patch has a number of its own, and its label is a function of that number
    numbers = torch.arange((labelled + unlabelled) * 120).reshape(-1, 1, *size)
    truth = (numbers * 7919 % 5).squeeze(1)
    box, pairs = box_mask(size, side=0.5), mixing_pairs(labelled, unlabelled)
    mixed = mix_both_ways(numbers[:labelled], numbers[labelled:], box, pairs)
    one_hot_truth = one_hot(truth, 5)
    targets = mix_both_ways(one_hot_truth[:labelled], one_hot_truth[labelled:], box, pairs)
    for image, target in zip(mixed, targets, strict=True):
        assert torch.equal(target.argmax(dim=1), (image * 7919 % 5).squeeze(1))
    from_labelled = [(image < labelled * 120)[:, 0] for image in mixed]
    assert (from_labelled[0] == ~box).all()
    assert (from_labelled[1] == box).all()


def test_labelled_patches_get_a_box_of_the_one_before_them():
    images, labels = (
        torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 4, 4),
        torch.arange(3).view(3, 1, 1).expand(3, 4, 4),
    )
    box = torch.zeros(4, 4, dtype=torch.bool)
    box[:2, :2] = True
    mixed, targets = mix_labelled(images, labels, box)
    assert torch.equal(mixed[:, 0], targets.float())
    assert targets[1, 0, 0] == 0
    assert targets[0, 0, 0] == 2
    assert targets[1, 3, 3] == 1
