import pytest
import torch

from fewscan.data.batch import Batch
from fewscan.errors import UsageError
from fewscan.registration.pairing import draw_pairs, make_pairs


def drawn(labelled, unlabelled, *, times=60):
    return [draw_pairs(labelled, unlabelled) for _ in range(times)]


@pytest.mark.parametrize(("labelled", "unlabelled"), [(2, 2), (1, 1), (0, 2), (3, 0), (1, 4), (4, 1)])
def test_every_scan_is_fixed_once_and_never_its_own_partner(labelled, unlabelled):
    for moving, fixed in drawn(labelled, unlabelled):
        assert fixed.tolist() == list(range(labelled + unlabelled))
        assert not (moving == fixed).any()
        assert moving.min() >= 0
        assert moving.max() < labelled + unlabelled


def test_labelled_scans_are_paired_with_labelled_ones_at_every_step():
    for moving, _ in drawn(2, 3):
        assert moving[:2].tolist() == [1, 0]


def test_a_single_labelled_scan_finds_an_unlabelled_partner():
    assert {int(moving[0]) for moving, _ in drawn(1, 2)} == {1, 2}


def test_every_possible_partner_is_drawn():
    assert {int(moving[3]) for moving, _ in drawn(2, 2, times=100)} == {0, 1, 2}
    assert {int(moving[0]) for moving, _ in drawn(3, 2, times=100)} == {1, 2}


def test_pairs_follow_the_global_seed():
    torch.manual_seed(5)
    first = draw_pairs(3, 4)[0]
    torch.manual_seed(5)
    assert torch.equal(first, draw_pairs(3, 4)[0])


@pytest.mark.parametrize(("labelled", "unlabelled"), [(0, 0), (1, 0), (0, 1)])
def test_one_scan_makes_no_pair(labelled, unlabelled):
    with pytest.raises(UsageError, match="learns from pairs, but a batch holds"):
        draw_pairs(labelled, unlabelled)


def batch_of(values, *, labelled, inside=True):
    """Return scans that are constant, each with its own value; labels hold the class 1 at voxel k of scan k."""
    images = torch.tensor(values).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()
    labels = torch.zeros(labelled, 4, 4, dtype=torch.long)
    for k in range(labelled):
        labels[k, 0, k] = 1
    mask = (images > 0).float() if inside else None
    parts = (None, None) if mask is None else (mask[:labelled], mask[labelled:])
    names = tuple(map(str, values))
    return Batch(images[:labelled], labels, images[labelled:], names[:labelled], names[labelled:], *parts)


def test_images_masks_and_insides_belong_together():
    batch = batch_of([1.0, 2.0, 3.0, 0.0], labelled=2)
    pairs = make_pairs(batch, torch.tensor([1, 0, 3, 1]), torch.tensor([0, 1, 2, 3]), classes=3)
    assert pairs.moving[:, 0, 0, 0].tolist() == [2, 1, 0, 2]
    assert pairs.fixed[:, 0, 0, 0].tolist() == [1, 2, 3, 0]
    assert pairs.moving_inside[:, 0, 0, 0].tolist() == [1, 1, 0, 1]
    assert pairs.fixed_inside[:, 0, 0, 0].tolist() == [1, 1, 1, 0]
    assert pairs.labelled.tolist() == [0, 1]
    assert pairs.moving_masks.shape == (2, 3, 4, 4)
    assert pairs.moving_masks[:, 1].flatten(1).argmax(1).tolist() == [1, 0]
    assert pairs.fixed_masks[:, 1].flatten(1).argmax(1).tolist() == [0, 1]


def test_no_masks_where_one_side_lacks_labels():
    batch = batch_of([1.0, 2.0, 3.0], labelled=1, inside=False)
    pairs = make_pairs(batch, torch.tensor([1, 0, 0]), torch.tensor([0, 1, 2]), classes=2)
    assert pairs.moving_masks is None
    assert pairs.fixed_masks is None
    assert pairs.moving_inside is None


def test_with_soft_masks_every_pair_has_masks_true_ones_of_labelled_scans():
    images = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 2, 2)
    labels = torch.tensor([0, 1]).reshape(2, 1, 1).expand(2, 2, 2)
    soft = torch.tensor([[0.75, 0.25], [0.5, 0.5]]).reshape(2, 2, 1, 1).expand(2, 2, 2, 2)
    batch = Batch(images[:2], labels, images[2:], ("a", "b"), ("c", "d"), unlabelled_masks=soft)
    pairs = make_pairs(batch, torch.tensor([2, 0, 3, 1]), torch.arange(4), classes=2)
    assert pairs.labelled.tolist() == [0, 1, 2, 3]
    assert pairs.moving_masks[:, 1, 0, 0].tolist() == [0.25, 0.0, 0.5, 1.0]
    assert pairs.fixed_masks[:, 1, 0, 0].tolist() == [0.0, 1.0, 0.25, 0.5]
