"""The sum of Dice and cross-entropy."""

import pytest
import torch

from fewscan.losses.cross_entropy import cross_entropy
from fewscan.losses.dice import soft_dice
from fewscan.losses.probabilities import one_hot
from fewscan.losses.segmentation import dice_and_cross_entropy, dice_cross_entropy

SPATIAL = [(6, 5), (4, 3, 5)]


def random_case(classes: int, spatial: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(2, classes, *spatial, generator=generator)
    return logits, torch.randint(0, classes, (2, *spatial), generator=generator)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("soft", [False, True])
def test_terms_are_those_of_the_separate_losses(classes, spatial, soft):
    logits, labels = random_case(classes, spatial)
    targets = one_hot(labels, classes) if soft else labels
    dice, entropy = dice_and_cross_entropy(logits, targets, squared=True, batch=False)
    torch.testing.assert_close(dice, soft_dice(torch.softmax(logits, 1), labels, squared=True, batch=False))
    torch.testing.assert_close(entropy, cross_entropy(logits, labels))


def test_weights():
    logits, labels = random_case(3, (6, 5))
    dice, entropy = dice_and_cross_entropy(logits, labels)
    torch.testing.assert_close(dice_cross_entropy(logits, labels), dice + entropy)
    weighted = dice_cross_entropy(logits, labels, dice_weight=0.25, cross_entropy_weight=2.0)
    torch.testing.assert_close(weighted, 0.25 * dice + 2 * entropy)


@pytest.mark.parametrize("background", [False, True])
def test_agrees_with_monai(background):
    from monai.losses import DiceCELoss

    logits, labels = random_case(3, (4, 3, 5))
    other = DiceCELoss(include_background=background, to_onehot_y=True, softmax=True, batch=True)
    ours = dice_cross_entropy(logits, labels, include_background=background)
    torch.testing.assert_close(ours, other(logits, labels[:, None]))


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("spatial", SPATIAL)
def test_value_and_gradient_are_finite_on_empty_and_full_patches(label, spatial):
    logits = (100 * torch.randn(2, 2, *spatial)).requires_grad_()
    loss = dice_cross_entropy(logits, torch.full((2, *spatial), label))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_channels_last_bfloat16_logits_train_as_contiguous_float32_ones():
    logits, labels = random_case(3, (4, 4, 4))
    plain = logits.bfloat16().float().requires_grad_()
    half = logits.bfloat16().contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = dice_cross_entropy(half, labels)
    loss.backward()
    reference = dice_cross_entropy(plain, labels)
    reference.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(half.grad.float(), plain.grad, atol=1e-4, rtol=1e-2)


def test_gradient_agrees_with_finite_differences():
    logits, labels = random_case(3, (2, 2))
    assert torch.autograd.gradcheck(lambda z: dice_cross_entropy(z, labels), (logits.double().requires_grad_(),))
