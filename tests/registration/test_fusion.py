"""Known answers, worked out by hand on a handful of voxels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fewscan.registration.fusion import average, local_similarity, majority, similarity_weights

# three atlases, two classes, a row of two voxels: class 1 gets .9, .6, .2 at the first and 1, 0, 0 at the second
ONE = torch.tensor([[0.9, 1.0], [0.6, 0.0], [0.2, 0.0]]).reshape(3, 1, 1, 2)
WARPED = torch.cat([1 - ONE, ONE], dim=1)


def first_class(fused):
    return fused[1].flatten().tolist()


def test_majority_counts_votes_and_average_counts_probabilities():
    assert first_class(majority(WARPED)) == pytest.approx([2 / 3, 1 / 3])
    assert first_class(average(WARPED)) == pytest.approx([1.7 / 3, 1 / 3])


def test_a_tie_goes_to_the_first_class():
    half = torch.full((1, 3, 2, 2), 1 / 3)
    assert torch.equal(majority(half)[0], torch.ones(2, 2))


def test_an_atlas_counts_only_where_it_has_data():
    seen = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 0.0]]).reshape(3, 1, 2)
    assert first_class(majority(WARPED, seen=seen)) == pytest.approx([1 / 1.5, 1.0])
    assert first_class(average(WARPED, seen=seen)) == pytest.approx([(0.6 + 0.5 * 0.2) / 1.5, 1.0])


def test_where_no_atlas_has_data_all_count_equally():
    nothing = torch.zeros(3, 1, 2)
    assert torch.allclose(average(WARPED, seen=nothing), average(WARPED))
    images, target = torch.randn(3, 1, 1, 2), torch.randn(1, 1, 2)
    assert torch.allclose(local_similarity(WARPED, images, target, seen=nothing), average(WARPED))


def test_weights_are_powers_of_the_squared_difference():
    # differences 1, 2 and 3 everywhere: squares 1, 4 and 9
    target = torch.zeros(1, 4, 4)
    images = torch.tensor([1.0, -2.0, 3.0]).reshape(3, 1, 1, 1).expand(3, 1, 4, 4)
    found = similarity_weights(images, target, window=3, power=2)
    for atlas, square in enumerate((1.0, 4.0, 9.0)):
        expected = ((1 + 1e-3) / (square + 1e-3)) ** 2
        assert found[atlas].flatten().tolist() == pytest.approx([expected] * 16)


def test_the_difference_is_averaged_over_window_and_channels():
    # one voxel of one of two channels differs by 3; a window of 3 x 3 around the middle of 5 x 5 sees it in 9 voxels
    target, images = torch.zeros(2, 5, 5), torch.zeros(2, 2, 5, 5)
    images[0, 1, 2, 2] = 3.0
    images[1] += 1.0
    found = similarity_weights(images, target, window=3, power=1)
    mean = 9 / 2 / 9
    assert found[0, 2, 2].item() == pytest.approx(1)
    assert found[1, 2, 2].item() == pytest.approx((mean + 1e-3) / (1 + 1e-3))
    assert found[1, 0, 0].item() == pytest.approx(1e-3 / (1 + 1e-3))
    # at the border a window holds what lies inside: 3 x 2 voxels do not reach the middle, those one further in do
    assert found[0, 1, 0].item() == pytest.approx(1)
    assert found[1, 1, 0].item() == pytest.approx(1e-3 / (1 + 1e-3))


def test_what_an_atlas_does_not_show_has_no_part_in_its_difference():
    target = torch.zeros(1, 1, 5)
    images = torch.tensor([[1.0, 1.0, 1.0, 50.0, 50.0], [2.0] * 5]).reshape(2, 1, 1, 5)
    seen = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0], [1.0] * 5]).reshape(2, 1, 5)
    found = similarity_weights(images, target, window=3, power=1, seen=seen)
    assert found[0].flatten().tolist() == pytest.approx([1, 1, 1, 0, 0])
    share = 1.001 / 4.001
    assert found[1].flatten().tolist() == pytest.approx([share, share, share, 1, 1])


def test_the_similar_atlas_decides_where_it_is_similar():
    """Two atlases of opposite labels, each exact on one half of the target."""
    target = torch.linspace(-1, 1, 20).expand(1, 20, 20)
    images = target.repeat(2, 1, 1).reshape(2, 1, 20, 20).clone()
    images[0, :, 10:] += 2
    images[1, :, :10] += 2
    labels = torch.zeros(2, 2, 20, 20)
    labels[0, 0] = labels[1, 1] = 1
    fused = local_similarity(labels, images, target, window=3, power=2)
    assert fused[0, :9].min() > 0.99
    assert fused[1, 11:].min() > 0.99
    assert torch.allclose(local_similarity(labels, images, target, power=0), average(labels))


@given(atlases=st.integers(1, 4), classes=st.integers(2, 4), seed=st.integers(0, 100), masked=st.booleans())
def test_a_fusion_is_a_probability_and_agreement_stays(atlases, classes, seed, masked):
    generator = torch.Generator().manual_seed(seed)
    warped = torch.rand(atlases, classes, 3, 4, 5, generator=generator).softmax(1)
    images = torch.randn(atlases, 2, 3, 4, 5, generator=generator)
    seen = torch.rand(atlases, 3, 4, 5, generator=generator).round() if masked else None
    target = images[0] if seed % 2 else torch.zeros(2, 3, 4, 5)
    for fused in (
        majority(warped, seen=seen),
        average(warped, seen=seen),
        local_similarity(warped, images, target, seen=seen),
    ):
        assert torch.allclose(fused.sum(0), torch.ones(3, 4, 5))
        assert fused.min() >= 0
    same = warped[:1].expand_as(warped)
    assert torch.allclose(local_similarity(same, images, target, seen=seen), warped[0])


def test_reduced_precision_is_not_reduced_further():
    images = 100 + torch.randn(2, 1, 8, 8)
    rough = similarity_weights(images.bfloat16(), images[0].bfloat16(), window=3, power=2)
    assert rough.dtype == torch.float32
    assert rough[0].min() == 1


def test_padding_of_the_target_does_not_weigh():
    """The first atlas looks like the padding of the target, its last voxel; the second one like all else."""
    target = torch.tensor([[[0.0, 0.0, 9.0]]])
    images = torch.tensor([[[[0.0, 1.0, 9.0]]], [[[0.0, 0.0, 0.0]]]])
    options = {"window": 3, "power": 1.0}
    seeing = similarity_weights(images, target, **options)[:, 0, 1]
    # around the middle 1/3 against 27
    assert seeing.tolist() == pytest.approx([1, (1 / 3 + 1e-3) / (27 + 1e-3)], rel=1e-5)
    for seen in (None, torch.ones(2, 1, 3)):
        found = similarity_weights(images, target, seen=seen, inside=torch.tensor([[1.0, 1.0, 0.0]]), **options)
        # 1/2 against 0
        assert found[:, 0, 1].tolist() == pytest.approx([1e-3 / (0.5 + 1e-3), 1], rel=1e-5)
