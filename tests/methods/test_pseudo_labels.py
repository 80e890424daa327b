import math

import pytest
import torch

from fewscan.methods.pseudo_labels import PseudoLabelParameters, cross_supervision, pseudo_labels, pseudo_loss


def parameters(**values):
    return PseudoLabelParameters.parse(values, source="test")


# two voxels of three classes, (batch, class, voxel)
P = torch.tensor([[[0.5, 0.1], [0.3, 0.1], [0.2, 0.8]]])


def test_hard_soft_and_sharpened():
    assert pseudo_labels(P, parameters()).tolist() == [[[1, 0], [0, 0], [0, 1]]]
    assert torch.equal(pseudo_labels(P, parameters(pseudo_labels="soft")), P)
    # T = 1/2 squares: 0.25, 0.09, 0.04 of 0.38, and 0.01, 0.01, 0.64 of 0.66
    sharp = pseudo_labels(P, parameters(pseudo_labels="sharpened", temperature=0.5))
    expected = torch.tensor([[[25 / 38, 1 / 66], [9 / 38, 1 / 66], [4 / 38, 64 / 66]]])
    torch.testing.assert_close(sharp, expected)


@pytest.mark.parametrize("kind", ["hard", "soft", "sharpened"])
def test_they_have_no_graph(kind):
    assert not pseudo_labels(P.clone().requires_grad_(), parameters(pseudo_labels=kind)).requires_grad


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_only_the_largest_component_of_each_class_is_kept(kind):
    #        a lone voxel of class 1, background, two voxels of class 1, background, two of class 2
    labels = [1, 0, 1, 1, 0, 2, 2]
    p = torch.full((1, 3, 1, 7), 0.1)
    for voxel, label in enumerate(labels):
        p[0, label, 0, voxel] = 0.8
    found = pseudo_labels(p, parameters(pseudo_labels=kind, largest_component=True))
    assert found.argmax(dim=1).flatten().tolist() == [0, 0, 1, 1, 0, 2, 2]
    assert found[0, :, 0, 0].tolist() == [1, 0, 0]
    expected = 1.0 if kind == "hard" else 0.8
    assert found[0, 1, 0, 2].item() == pytest.approx(expected)


def test_loss_by_hand():
    logits, hard = P.log(), pseudo_labels(P, parameters())
    cross_entropy = -(math.log(0.5) + math.log(0.8)) / 2
    # foreground classes: class 1 has no target, p = 0.4; class 2 overlaps in 0.8 of 1.0 + 1
    dice = (1 + (1 - 1.6 / 2)) / 2
    assert pseudo_loss(logits, hard, parameters()).item() == pytest.approx(cross_entropy)
    both = parameters(pseudo_cross_entropy_weight=2.0, pseudo_dice_weight=3.0)
    assert pseudo_loss(logits, hard, both).item() == pytest.approx(2 * cross_entropy + 3 * dice, rel=1e-4)


def test_dice_of_hard_ones_is_squared_where_that_of_labels_is():
    hard = pseudo_labels(P, parameters())
    squared = parameters(pseudo_cross_entropy_weight=0.0, pseudo_dice_weight=1.0, squared_dice=True)
    # class 1: nothing of 0.3² + 0.1²; class 2: 0.8 of 0.2² + 0.8² + 1
    assert pseudo_loss(P.log(), hard, squared).item() == pytest.approx((1 + (1 - 1.6 / 1.68)) / 2, rel=1e-3)


def test_it_is_zero_where_soft_ones_agree_and_where_nothing_counts():
    soft = parameters(pseudo_labels="soft", pseudo_dice_weight=1.0)
    assert pseudo_loss(P.log(), P, soft).item() == pytest.approx(0, abs=1e-4)
    nothing = parameters(pseudo_cross_entropy_weight=0.0)
    assert pseudo_loss(P.log(), P, nothing).item() == 0


def test_each_network_learns_from_the_other_and_not_from_itself():
    first, second = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4, requires_grad=True)
    value = cross_supervision(first, second, parameters())
    labels = first.argmax(dim=1), second.argmax(dim=1)
    entropy = torch.nn.functional.cross_entropy
    expected = entropy(first, labels[1]) + entropy(second, labels[0])
    torch.testing.assert_close(value, expected)
    (gradient,) = torch.autograd.grad(value, first)
    (wanted,) = torch.autograd.grad(entropy(first, labels[1]), first)
    torch.testing.assert_close(gradient, wanted)
