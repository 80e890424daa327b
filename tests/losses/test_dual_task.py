"""The dual-task term, written out."""

import pytest
import torch

from fewscan.losses.dual_task import dual_task

SLOPE = 20.0


def random_pair(classes):
    torch.manual_seed(0)
    return torch.randn(2, classes, 4, 5), torch.tanh(torch.randn(2, classes - 1, 4, 5)) / 10


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_squared_dual_task_term(classes):
    logits, distances = random_pair(classes)
    p = torch.softmax(logits, dim=1)[:, 1:]
    wanted = ((1 / (1 + torch.exp(SLOPE * distances)) - p) ** 2).mean()
    assert dual_task("squared", logits, distances, slope=SLOPE).item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_relative_dual_task_term(classes):
    logits, distances = random_pair(classes)
    p, q = torch.softmax(logits, dim=1)[:, 1:], 1 / (1 + torch.exp(SLOPE * distances))
    wanted = (q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()).mean()
    assert dual_task("relative", logits, distances, slope=SLOPE).item() == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize("consistency", ["squared", "relative"])
def test_both_heads_learn_from_the_dual_task_term_and_saturation_stays_finite(consistency):
    logits, distances = random_pair(3)
    logits, distances = (100 * logits).requires_grad_(), (10 * distances).requires_grad_()
    dual_task(consistency, logits, distances, slope=1500.0).backward()
    assert all(torch.isfinite(x.grad).all() and x.grad.abs().max() > 0 for x in (logits, distances))
