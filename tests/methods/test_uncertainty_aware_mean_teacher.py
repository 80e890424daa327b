"""Eqs. 1 to 4, and the same result as eight separate passes in plain float32."""

import math

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.methods.registry import method_class
from fewscan.networks.registry import NetworkSpec

NAME = "uncertainty_aware_mean_teacher"


def eight_separate_passes(method, predicted, images, step):
    """Return eq. 3 as one writes it down, in float32."""
    passes = []
    for _ in range(8):
        noise = torch.clamp(0.1 * torch.randn_like(images), -0.2, 0.2)
        with torch.no_grad():
            passes.append(torch.softmax(method.teacher.network(images + noise).float(), dim=1))
    q = torch.stack(passes).mean(dim=0)
    u = -(q * torch.log(q + 1e-6)).sum(dim=1)
    classes = q.shape[1]
    h = (0.75 + 0.25 * math.exp(-5 * (1 - step / method.context.iterations) ** 2)) * math.log(classes)
    mask = (u < h).float()
    squared = (predicted - q).square().sum(dim=1)
    return (mask * squared).sum() / (classes * mask.sum())


def test_uamt_is_an_alias():
    assert method_class("uamt") is method_class(NAME)
    assert method_class("uamt").name == NAME


def test_a_misspelt_alias_is_recognised():
    with pytest.raises(UsageError, match="did you mean 'uamt'"):
        method_class("ua-mt")


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("autocast", [False, True])
def test_equal_to_eight_separate_passes(method, batch, classes, autocast):
    made = method(NAME, preset="paper", classes=classes, network=NetworkSpec(options={"filters": [4, 8]}))
    made.eval()
    images = batch(classes=classes).unlabelled
    with torch.no_grad():
        for parameter in made.student.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        predicted = torch.softmax(made.student(images), dim=1)
    torch.manual_seed(7)
    expected = eight_separate_passes(made, predicted, images, 4)
    torch.manual_seed(7)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        got = made.consistency(predicted.log(), made.target(images), 4)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(expected.item(), rel=0.05 if autocast else 1e-4)


def test_threshold_by_hand(method):
    made = method(NAME, preset="paper", classes=4, iterations=100)
    # (0.75 + 0.25 exp(-5)) ln 4 at the start, ln 4 at the end
    assert made.threshold(0) == pytest.approx((0.75 + 0.25 * math.exp(-5)) * math.log(4))
    assert made.threshold(100) == pytest.approx(math.log(4))


def test_uncertain_voxels_do_not_count(method):
    made = method(NAME, preset="paper", classes=2)
    target = torch.full((2, 2, 16, 16, 16), 0.5)  # entropy ln 2, above any threshold before the last step
    target[:, :, :4] = torch.tensor([0.9, 0.1]).view(1, 2, 1, 1, 1)  # entropy 0.325
    logits = torch.zeros_like(target)
    logits[:, 0] = 50
    # in the certain quarter (0.1^2 + 0.1^2) / 2, and nothing from the rest
    assert made.consistency(logits, target, 0).item() == pytest.approx(0.01)


def test_where_nothing_is_certain_the_term_and_its_gradient_are_zero(method, batch):
    made = method(NAME, classes=2)
    made.target = lambda images: torch.full((2, 2, 16, 16, 16), 0.5)
    term = made.loss(batch(classes=2), 0)["consistency"]
    (10 * term).backward()
    assert term.item() == 0
    assert all(float(p.grad.abs().max()) == 0 for p in made.student.parameters() if p.grad is not None)


@pytest.mark.parametrize(("source", "runs"), [("input_noise", 4), ("dropout", 1)])
def test_the_encoder_runs_once_for_all_dropout_passes(method, batch, source, runs):
    made = method(NAME, preset="paper", monte_carlo=source, passes=4, passes_at_once=1)
    calls = []
    made.teacher.network.encoder.levels[0].register_forward_hook(lambda *_: calls.append(1))
    made.loss(batch(), 0)
    assert len(calls) == runs


def test_dropout_passes_need_dropout_and_say_so_at_once(method):
    bare = NetworkSpec(options={"filters": [4, 8], "dropout": 0.0})
    with pytest.raises(UsageError, match="needs a network of this package with dropout"):
        method(NAME, network=bare, monte_carlo="dropout")
    method(NAME, network=bare, monte_carlo="input_noise")
