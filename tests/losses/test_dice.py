"""Soft Dice against numbers worked out by hand, its properties, and MONAI's loss where the definitions agree."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.losses.dice import soft_dice
from fewscan.losses.probabilities import one_hot

SPATIAL = [(6, 5), (4, 3, 5)]


def random_case(classes: int, spatial: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p = torch.softmax(torch.randn(2, classes, *spatial, generator=generator), dim=1)
    return p, torch.randint(0, classes, (2, *spatial), generator=generator)


def foreground(values: list[float]) -> torch.Tensor:
    p = torch.tensor(values)
    return torch.stack([1 - p, p])[None]


def test_known_answer():
    # foreground p = (.8, .6, .1, 0), t = (1, 1, 0, 0): overlap 1.4, sizes 1.5 + 2, loss 1 - 2.8 / 3.5 = 0.2
    loss = soft_dice(foreground([0.8, 0.6, 0.1, 0.0]), torch.tensor([[1, 1, 0, 0]]))
    assert loss.item() == pytest.approx(0.2, abs=1e-5)


def test_known_answer_squared():
    # sum p^2 = .64 + .36 + .01 = 1.01: loss 1 - 2.8 / 3.01
    loss = soft_dice(foreground([0.8, 0.6, 0.1, 0.0]), torch.tensor([[1, 1, 0, 0]]), squared=True)
    assert loss.item() == pytest.approx(1 - 2.8 / 3.01, abs=1e-5)


def test_known_answer_with_background():
    # background p = (.2, .4, .9, 1), t = (0, 0, 1, 1): overlap 1.9, sizes 2.5 + 2, loss 1 - 3.8 / 4.5
    loss = soft_dice(foreground([0.8, 0.6, 0.1, 0.0]), torch.tensor([[1, 1, 0, 0]]), include_background=True)
    assert loss.item() == pytest.approx((0.2 + 1 - 3.8 / 4.5) / 2, abs=1e-5)


def test_known_answer_per_sample_and_per_batch():
    # sample 1: p = (1, 1), t = (1, 1), loss 0; sample 2: p = (1, 0), t = (0, 1), loss 1
    # per sample (0 + 1) / 2; per batch overlap 2, sizes 3 + 3, loss 1 - 4 / 6
    p = torch.cat([foreground([1, 1]), foreground([1, 0])])
    t = torch.tensor([[1, 1], [0, 1]])
    assert soft_dice(p, t, batch=False).item() == pytest.approx(1 / 2, abs=1e-4)
    assert soft_dice(p, t).item() == pytest.approx(1 / 3, abs=1e-4)


def test_known_answer_soft_target():
    # p = t = (.5, .5): overlap .5, sizes 1 + 1, loss 1/2; squared sizes .5 + .5, loss 0
    p = foreground([0.5, 0.5])
    assert soft_dice(p, p).item() == pytest.approx(0.5, abs=1e-4)
    assert soft_dice(p, p, squared=True).item() == pytest.approx(0.0, abs=1e-4)


def test_a_class_absent_from_both_costs_nothing_and_one_absent_from_the_target_costs_one():
    empty = torch.zeros(1, 4, dtype=torch.long)
    assert soft_dice(one_hot(empty, 2), empty).item() == 0
    assert soft_dice(foreground([0.5, 0.5, 0.5, 0.5]), empty).item() == pytest.approx(1, abs=1e-4)
    # class 1 found, class 2 absent from both
    full = torch.ones(1, 4, dtype=torch.long)
    assert soft_dice(one_hot(full, 3), full).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("squared", [False, True])
def test_value_and_gradient_are_finite_on_empty_and_full_patches(spatial, label, squared):
    p = torch.softmax(torch.randn(2, 2, *spatial), dim=1).requires_grad_()
    loss = soft_dice(p, torch.full((2, *spatial), label), squared=squared, batch=False)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(p.grad).all()


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("spatial", SPATIAL)
def test_hard_targets_equal_their_one_hot_form(classes, spatial):
    p, labels = random_case(classes, spatial)
    assert torch.equal(soft_dice(p, labels), soft_dice(p, one_hot(labels, classes)))


@settings(max_examples=25, deadline=None)
@given(classes=st.integers(2, 5), seed=st.integers(0, 1000), batch=st.booleans(), squared=st.booleans())
def test_hard_masks_are_symmetric_and_all_values_lie_between_0_and_1(classes, seed, batch, squared):
    p, labels = random_case(classes, (4, 3), seed)
    _, other = random_case(classes, (4, 3), seed + 1)
    options = {"batch": batch, "squared": squared}
    forth = soft_dice(one_hot(other, classes), labels, **options)
    back = soft_dice(one_hot(labels, classes), other, **options)
    torch.testing.assert_close(forth, back)
    assert 0 <= soft_dice(p, labels, **options).item() <= 1
    assert soft_dice(one_hot(labels, classes), labels, **options).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("spatial", SPATIAL)
def test_agrees_with_monai(squared, batch, background, spatial):
    from monai.losses import DiceLoss

    p, labels = random_case(3, spatial)
    other = DiceLoss(include_background=background, to_onehot_y=True, squared_pred=squared, batch=batch)
    torch.testing.assert_close(
        soft_dice(p, labels, squared=squared, batch=batch, include_background=background), other(p, labels[:, None])
    )


@pytest.mark.parametrize("squared", [False, True])
def test_gradient_agrees_with_finite_differences(squared):
    p, labels = random_case(3, (2, 3))
    p = p.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: soft_dice(x, labels, squared=squared, batch=False), (p,))


def test_bfloat16_is_summed_in_float32():
    # 100 000 voxels of 0.01 make 1 000; bfloat16 would stop counting at about 2
    p = foreground([0.01] * 100_000).bfloat16().requires_grad_()
    t = torch.ones(1, 100_000, dtype=torch.long)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = soft_dice(p, t)
    loss.backward()
    assert loss.dtype == torch.float32
    # 2 * 1000 / (1000 + 100 000) with 0.01 rounded to bfloat16 (0.010010)
    assert loss.item() == pytest.approx(1 - 2 / 101, abs=1e-4)
    assert p.grad.dtype == torch.bfloat16


def test_a_single_class_needs_the_background():
    with pytest.raises(ValueError, match="include_background=True"):
        soft_dice(torch.ones(1, 1, 2), torch.zeros(1, 2, dtype=torch.long))
