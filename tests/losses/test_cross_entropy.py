"""Cross-entropy against hand-made numbers and against torch."""

import math

import pytest
import torch

from fewscan.losses.cross_entropy import cross_entropy
from fewscan.losses.probabilities import one_hot


def random_case(classes: int, spatial: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(2, classes, *spatial, generator=generator)
    return logits, torch.randint(0, classes, (2, *spatial), generator=generator)


def test_known_answer():
    # voxel 1: p = (1/4, 3/4), label 1; voxel 2: p = (1/2, 1/2), label 0: (ln 4/3 + ln 2) / 2
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), 0.0]]])
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert cross_entropy(logits, torch.tensor([[1, 0]])).item() == pytest.approx(expected)


def test_known_answer_soft_target():
    # p = (1/4, 3/4), t = (0.2, 0.8): 0.2 ln 4 + 0.8 ln 4/3
    logits = torch.tensor([[[0.0], [math.log(3)]]])
    target = torch.tensor([[[0.2], [0.8]]])
    assert cross_entropy(logits, target).item() == pytest.approx(0.2 * math.log(4) + 0.8 * math.log(4 / 3))


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("spatial", [(6, 5), (4, 3, 5)])
def test_agrees_with_torch_for_hard_and_soft_targets(classes, spatial):
    logits, labels = random_case(classes, spatial)
    soft = torch.softmax(logits.flip(2), dim=1)
    torch.testing.assert_close(cross_entropy(logits, labels), torch.nn.functional.cross_entropy(logits, labels))
    torch.testing.assert_close(cross_entropy(logits, soft), torch.nn.functional.cross_entropy(logits, soft))
    torch.testing.assert_close(cross_entropy(logits, labels), cross_entropy(logits, one_hot(labels, classes)))


def test_gradient_agrees_with_finite_differences():
    logits, labels = random_case(3, (2, 2))
    assert torch.autograd.gradcheck(lambda z: cross_entropy(z, labels), (logits.double().requires_grad_(),))


def test_extreme_logits_stay_finite_and_keep_their_gradient():
    logits = torch.tensor([[[1e4], [-1e4]]], requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([[1]]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert logits.grad.flatten().tolist() == [1, -1]


def test_bfloat16_logits_give_a_float32_loss():
    logits, labels = random_case(3, (8, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = cross_entropy(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, cross_entropy(logits.bfloat16().float(), labels))
