"""one_hot, entropy and sharpen against numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.losses.probabilities import (
    as_soft_targets,
    entropy,
    likeliest_class,
    log_probabilities,
    one_hot,
    one_versus_rest,
    sharpen,
)


def distribution(classes: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(scale * torch.randn(2, classes, 3, 4, generator=generator), dim=1)


def test_the_likeliest_class_is_the_first_of_equal_ones():
    scores = torch.tensor([[0.2, 0.4, 0.1], [0.5, 0.4, 0.1], [0.3, 0.2, 0.8]]).unsqueeze(0)
    assert likeliest_class(scores).tolist() == [[1, 0, 2]]
    assert likeliest_class(scores.unsqueeze(3).unsqueeze(4)).shape == (1, 3, 1, 1)


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, 1), (1, 2, 1, 1)])
def test_one_hot_puts_a_one_in_the_channel_of_the_label(shape):
    result = one_hot(torch.tensor([2, 0]).view(shape), 3)
    assert result.shape == (1, 3, *shape[1:])
    assert result.flatten(2).tolist() == [[[0, 1], [0, 0], [1, 0]]]


def test_one_hot_takes_the_labels_of_the_store_and_leaves_foreign_labels_out():
    result = one_hot(torch.tensor([[1, 255]], dtype=torch.uint8), 2)
    assert result.tolist() == [[[0, 0], [1, 0]]]


def test_entropy_of_known_distributions():
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]]).view(3, 2, 1, 1)
    # 0; ln 2; -(0.25 ln 0.25 + 0.75 ln 0.75) = 0.346574 + 0.215762
    expected = [0.0, math.log(2), 0.562335]
    assert entropy(p).flatten().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_entropy_of_an_even_distribution_is_the_logarithm_of_the_number_of_classes(classes):
    assert entropy(torch.full((1, classes, 2), 1 / classes)).tolist()[0] == pytest.approx([math.log(classes)] * 2)


def test_sharpen_by_hand():
    # T = 1/2 squares: (0.04, 0.09, 0.25) / 0.38
    p = torch.tensor([0.2, 0.3, 0.5]).view(1, 3, 1)
    assert sharpen(p, 0.5).flatten().tolist() == pytest.approx([0.04 / 0.38, 0.09 / 0.38, 0.25 / 0.38])


@settings(max_examples=25, deadline=None)
@given(classes=st.integers(2, 6), temperature=st.floats(0.01, 1.0), seed=st.integers(0, 1000))
def test_sharpen_sums_to_one_keeps_the_order_and_lowers_the_entropy(classes, temperature, seed):
    p = distribution(classes, seed)
    q = sharpen(p, temperature)
    torch.testing.assert_close(q.sum(dim=1), torch.ones(2, 3, 4))
    assert torch.equal(q.argmax(dim=1), p.argmax(dim=1))
    assert bool((entropy(q) <= entropy(p) + 1e-5).all())


def test_sharpen_at_temperature_one_changes_nothing():
    torch.testing.assert_close(sharpen(distribution(4), 1.0), distribution(4))


def test_sharpen_of_many_even_classes_does_not_underflow():
    # 0.1^100 is below the smallest float32
    torch.testing.assert_close(sharpen(torch.full((1, 10, 1), 0.1), 0.01), torch.full((1, 10, 1), 0.1))


def test_sharpen_refuses_a_temperature_of_zero():
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        sharpen(distribution(2), 0)


@pytest.mark.parametrize("function", [entropy, lambda p: sharpen(p, 0.1).square()])
def test_gradients_are_finite_at_zero(function):
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).view(2, 2, 1).requires_grad_()
    function(p).sum().backward()
    assert torch.isfinite(p.grad).all()


@pytest.mark.parametrize("function", [entropy, lambda p: sharpen(p, 0.5)])
def test_gradients_agree_with_finite_differences(function):
    p = distribution(3)[:1, :, :1, :2].double().requires_grad_()
    assert torch.autograd.gradcheck(function, (p,))


def test_results_are_float32_for_bfloat16():
    p = distribution(3).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = entropy(p), sharpen(p, 0.5), log_probabilities(p)
    assert {result.dtype for result in results} == {torch.float32}


def test_log_probabilities_of_extreme_logits_are_finite():
    log_p = log_probabilities(torch.tensor([[1e4, -1e4]]))
    assert log_p.tolist() == [[0.0, -2e4]]


def test_targets_of_the_wrong_shape_are_refused():
    like = distribution(3)
    with pytest.raises(ValueError, match=r"expected label maps of shape \(2, 3, 4\), got \(2, 3, 5\)"):
        as_soft_targets(torch.zeros(2, 3, 5, dtype=torch.long), like)
    with pytest.raises(ValueError, match=r"expected soft targets of shape \(2, 3, 3, 4\), got \(2, 3, 4\)"):
        as_soft_targets(torch.zeros(2, 3, 4), like)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_one_class_against_the_rest(classes):
    logits = torch.randn(2, classes, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(torch.sigmoid(one_versus_rest(logits)), torch.softmax(logits, dim=1))


def test_one_class_against_the_rest_keeps_its_digits():
    # of two classes it is the difference of their logits, however sure
    logits = torch.tensor([-60.0, 60.0]).view(1, 2, 1)
    assert one_versus_rest(logits).flatten().tolist() == [-120, 120]
