"""Samples, prototypes and their contrast on a handful of voxels."""

import math

import pytest
import torch

from fewscan.losses.prototypes import embeddings_at, prototype_contrast, sample_voxels, select_prototypes


def test_a_sample_holds_voxels_of_every_class_and_not_more_than_asked_for():
    labels = torch.zeros(2, 4, 5, dtype=torch.long)
    labels[1, 2, :3] = 2
    places = sample_voxels(labels, 4, per_class=5)
    found = labels.flatten()[places]
    assert found.tolist() == [0] * 5 + [2] * 3
    assert sorted(places[5:].tolist()) == [30, 31, 32]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_embeddings_are_taken_from_their_places(dimensions):
    features = torch.randn(2, 3, *[4] * dimensions)
    places = torch.tensor([0, 7, 4**dimensions + 2])
    rows = features.movedim(1, -1).reshape(-1, 3)
    assert torch.equal(embeddings_at(features, places), rows[places])


@pytest.mark.parametrize(("highest", "wanted"), [(True, {0, 1, 5}), (False, {2, 1, 5})])
def test_prototypes_have_extreme_scores_among_the_eligible(highest, wanted):
    scores = torch.tensor([0.9, 0.5, 0.1, 0.99, 0.3, 0.7])
    classes = torch.tensor([0, 0, 0, 0, 1, 1])
    eligible = torch.tensor([True, True, True, False, False, True])
    chosen = select_prototypes(scores, classes, eligible, count=2, highest=highest)
    assert set(chosen.tolist()) == wanted
    assert len(select_prototypes(scores, classes, ~eligible & False, count=2, highest=highest)) == 0


def test_contrast_by_hand():
    queries = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
    query_classes = torch.tensor([0, 0, 1])
    query_weights = torch.tensor([1.0, 3.0, 0.2])  # 0.5 and 1.5, and 1
    prototypes = torch.tensor([[5.0, 0.0], [1.0, 0.0], [7.0, 7.0]])
    prototype_classes = torch.tensor([0, 1, 2])
    weights = torch.tensor([0.3, 0.4, 0.5])  # one per class: 1
    found = prototype_contrast(queries, query_classes, query_weights, prototypes, prototype_classes, weights)
    # class 0: (0.5 * (1 - 1) + 1.5 * (1 - 0)) / 2; class 1: 1 - 3 / 5; class 2 has no query
    assert found.item() == pytest.approx((0.75 + 0.4) / 2)
    other = prototype_contrast(queries, query_classes, query_weights, prototypes, prototype_classes, 9 * weights)
    assert other.item() == pytest.approx(found.item())


def test_contrast_of_embeddings_that_point_the_same_way_is_zero():
    one = torch.tensor([[3.0, 4.0]])
    index, weight = torch.zeros(1, dtype=torch.long), torch.ones(1)
    assert prototype_contrast(one, index, weight, 2 * one, index, weight).item() == pytest.approx(0, abs=1e-6)
    turned = torch.tensor([[math.cos(1.0), math.sin(1.0)]])
    straight = torch.tensor([[1.0, 0.0]])
    assert prototype_contrast(turned, index, weight, straight, index, weight).item() == pytest.approx(1 - math.cos(1))


def test_without_prototypes_there_is_a_gradient_of_zero():
    queries = torch.randn(3, 4, requires_grad=True)
    weights = torch.rand(3, requires_grad=True)
    none, of = torch.zeros(0, dtype=torch.long), torch.zeros(3, dtype=torch.long)
    loss = prototype_contrast(queries, of, weights, torch.zeros(0, 4), none, torch.zeros(0))
    loss.backward()
    assert loss.item() == 0
    assert queries.grad.abs().max() == weights.grad.abs().max() == 0
