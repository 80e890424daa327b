import math

import pytest
import torch

from fewscan.losses.consistency import disagreement, relative_entropy, squared_difference


def voxels(*rows):
    """Return probabilities (1, class, voxel) from one row per voxel."""
    return torch.tensor(rows).T[None]


def test_by_hand():
    p = voxels([0.9, 0.1], [0.5, 0.5])
    q = voxels([0.6, 0.4], [0.5, 0.5])
    # (0.3^2 + 0.3^2 + 0 + 0) / (2 classes * 2 voxels) = 0.045
    assert squared_difference(p, q).item() == pytest.approx(0.045)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_divisor_is_the_number_of_classes(classes):
    p = torch.zeros(1, classes, 4)
    q = torch.zeros(1, classes, 4)
    p[:, 0] = q[:, 1] = 1
    # opposite one-hot: 1 + 1 over C, with and without mask
    assert squared_difference(p, q).item() == pytest.approx(2 / classes)
    assert squared_difference(p, q, mask=torch.tensor([[1, 0, 0, 1]])).item() == pytest.approx(2 / classes)


def test_only_selected_voxels_count():
    p = voxels([0.9, 0.1], [0.5, 0.5], [1.0, 0.0])
    q = voxels([0.6, 0.4], [0.5, 0.5], [0.0, 1.0])
    mask = torch.tensor([[True, True, False]])
    # the third voxel is left out: as in test_by_hand
    assert squared_difference(p, q, mask=mask).item() == pytest.approx(0.045)
    # weights: (1 * 0.09 + 0.5 * 1) / 1.5
    weights = torch.tensor([[1.0, 0.0, 0.5]])
    assert squared_difference(p, q, mask=weights).item() == pytest.approx((0.09 + 0.5) / 1.5)


def test_a_full_mask_changes_nothing_and_an_empty_one_gives_zero_and_a_finite_gradient():
    p = torch.softmax(torch.randn(2, 3, 4, 4), dim=1).requires_grad_()
    q = torch.softmax(torch.randn(2, 3, 4, 4), dim=1)
    torch.testing.assert_close(squared_difference(p, q, mask=torch.ones(2, 4, 4)), squared_difference(p, q))
    empty = squared_difference(p, q, mask=torch.zeros(2, 4, 4))
    (100 * empty).backward()
    assert empty.item() == 0
    assert p.grad.abs().max().item() == 0


def test_reduced_precision_is_computed_in_float32():
    p = torch.full((1, 2, 8), 0.5, dtype=torch.bfloat16)
    assert squared_difference(p, p).dtype == torch.float32


def test_shapes_are_checked():
    p = torch.zeros(1, 2, 4)
    with pytest.raises(ValueError, match=r"one shape, got \(1, 2, 4\) and \(1, 3, 4\)"):
        squared_difference(p, torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match=r"mask of shape \(1, 4\), got \(1, 5\)"):
        squared_difference(p, p, mask=torch.zeros(1, 5))
    with pytest.raises(ValueError, match=r"one shape, got \(1, 2, 4\) and \(1, 2, 5\)"):
        relative_entropy(p, torch.zeros(1, 2, 5))


def test_relative_entropy_by_hand():
    p = voxels([0.5, 0.5], [0.2, 0.8], [0.9, 0.1])
    q = voxels([1.0, 0.0], [0.2, 0.8], [0.5, 0.5])
    # ln(1 / 0.5); equal; 0.5 ln(0.5 / 0.9) + 0.5 ln(0.5 / 0.1)
    first, third = math.log(2), 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(5)
    assert relative_entropy(p.log(), q).item() == pytest.approx((first + third) / 3, rel=1e-5)
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    assert relative_entropy(p.log(), q, mask=mask).item() == pytest.approx(first / 2, rel=1e-5)


def test_relative_entropy_has_the_gradient_of_a_cross_entropy():
    logits = torch.randn(1, 3, 5, dtype=torch.float64, requires_grad=True)
    q = torch.softmax(torch.randn(1, 3, 5, dtype=torch.float64), dim=1)
    relative_entropy(logits, q).backward()
    # of the mean over 5 voxels: (p - q) / 5
    torch.testing.assert_close(logits.grad, (torch.softmax(logits.detach(), dim=1) - q) / 5)


def test_the_distances_by_name():
    logits, q = torch.randn(1, 3, 5), torch.softmax(torch.randn(1, 3, 5), dim=1)
    mask = torch.tensor([[1.0, 0, 0, 1, 1]])
    expected = squared_difference(torch.softmax(logits, dim=1), q, mask=mask)
    torch.testing.assert_close(disagreement("squared", logits, q, mask=mask), expected)
    torch.testing.assert_close(disagreement("relative", logits, q), relative_entropy(logits, q))
