import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.batch import Batch
from fewscan.losses.probabilities import one_hot
from fewscan.methods.base import Context
from fewscan.methods.copy_paste import (
    CopyPasteParameters,
    copy_paste,
    joined,
    mix_both_ways,
    mix_labelled,
    mixing_pairs,
)
from fewscan.methods.mixing import box_mask


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


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6))
def test_every_patch_may_be_in_both_mixes_with_another_partner_in_each(labelled, unlabelled):
    first, second = mixing_pairs(labelled, unlabelled, in_both=True)
    for mix in (first, second):
        assert set(mix.labelled) == set(range(labelled))
        assert set(mix.unlabelled) == set(range(unlabelled))
    if labelled >= unlabelled > 1:
        assert not set(zip(*first, strict=True)) & set(zip(*second, strict=True))


def test_a_labelled_patch_in_both_mixes_gives_every_voxel_once(batch):
    given, box = batch(labelled=2, unlabelled=2), box_mask((16, 16, 16), side=0.5)
    pseudo = torch.full((2, 3, 16, 16, 16), 1 / 3)
    first, second = copy_paste(given, pseudo, box, in_both=True)
    assert torch.equal(torch.where(first.true, first.images, second.images), given.images)


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


@pytest.mark.parametrize("in_both", [False, True])
@pytest.mark.parametrize("size", [(8, 6), (6, 5, 4)])
@pytest.mark.parametrize(("labelled", "unlabelled"), [(2, 2), (3, 2), (1, 3)])
def test_targets_of_whole_mixes_come_from_where_their_voxels_come_from(labelled, unlabelled, size, in_both):
    """The same through `copy_paste` and `joined`, which methods call; ``true`` tells the labelled voxels."""
    numbers = torch.arange((labelled + unlabelled) * math.prod(size)).reshape(-1, 1, *size).float()
    truth = (numbers.long() * 7919 % 5).squeeze(1)
    names = tuple(map(str, range(labelled + unlabelled)))
    given = Batch(numbers[:labelled], truth[:labelled], numbers[labelled:], names[:labelled], names[labelled:])
    mixes = copy_paste(given, one_hot(truth[labelled:], 5), box_mask(size, side=0.5), in_both=in_both)
    for mix in (*mixes, joined(mixes)):
        assert torch.equal(mix.target.argmax(dim=1), (mix.images.long() * 7919 % 5).squeeze(1))
        from_labelled = mix.images < labelled * math.prod(size)
        assert torch.equal(mix.true.expand_as(from_labelled), from_labelled)


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


def test_each_mix_says_where_its_target_is_a_true_label(batch):
    given, box = batch(labelled=3, unlabelled=2), box_mask((16, 16, 16), side=0.5)
    pseudo = torch.full((2, 3, 16, 16, 16), 1 / 3)
    for mix in copy_paste(given, pseudo, box):
        assert mix.images.shape == (2, 1, 16, 16, 16)
        assert torch.equal(mix.target.amax(dim=1) == 1, mix.true.expand(2, -1, -1, -1))
    first, second = copy_paste(given, pseudo, box)
    assert torch.equal(first.true, ~box)
    assert torch.equal(second.true, box)
    assert torch.equal(first.images[0], torch.where(box, given.unlabelled[0], given.images[0]))
    assert torch.equal(second.target[0], torch.where(box, one_hot(given.labels, 3)[2], pseudo[0]))


def test_the_ramp_begins_when_pretraining_is_over():
    hyper = CopyPasteParameters(pretrain=0.2, ramp="sigmoid", ramp_length=0.4)
    context = Context(classes=2, dimensions=3, iterations=100)
    assert [hyper.since_pretraining(step, context) for step in (0, 19, 20, 60)] == [-20, -1, 0, 40]
    expected = [math.exp(-5), math.exp(-5), math.exp(-1.25), 1.0]
    assert [hyper.ramped(step, context) for step in (0, 20, 40, 60)] == pytest.approx(expected)
