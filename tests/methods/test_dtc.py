"""DTC's equations, recomputed with plain sums."""

import math

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.losses.distance_maps import signed_distance_maps
from fewscan.methods.dtc import distance_loss, dual_task
from fewscan.networks.registry import NetworkSpec

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


def test_distance_loss_is_zero_for_the_true_map():
    labels = torch.randint(3, (2, 6, 6), generator=torch.Generator().manual_seed(0))
    maps = signed_distance_maps(labels, 3)
    assert distance_loss(maps, labels).item() == 0
    assert distance_loss(maps + 0.5, labels).item() == pytest.approx(0.25)


def test_terms_and_weights(method, batch):
    made = method("dtc", preset="paper", classes=2, iterations=100).eval()
    given = batch(classes=2)
    terms = made(given, 50)
    logits, distances = made.heads(torch.cat([given.images, given.unlabelled]))
    p = torch.softmax(logits[:2], dim=1)[:, 1]
    dice = 1 - 2 * (p * given.labels).sum() / (p.square().sum() + given.labels.sum())
    assert terms["supervised"].item() == pytest.approx(dice.item(), abs=1e-5)
    target = signed_distance_maps(given.labels, 2)
    assert terms["supervised_distance"].item() == pytest.approx((distances[:2] - target).square().mean().item())
    # on labelled and unlabelled patches
    assert terms["dual_task"].item() == pytest.approx(dual_task("squared", logits, distances, slope=1500).item())
    assert made.weights(50) == {"supervised_distance": 0.3, "dual_task": pytest.approx(math.exp(-5 / 4))}
    assert list(made(batch(classes=2, unlabelled=0), 0)) == ["supervised", "supervised_distance"]


def test_networks_of_other_packages_are_refused(method):
    foreign = NetworkSpec(name="monai:UNet", options={"channels": [4, 8], "strides": [2]})
    with pytest.raises(UsageError, match="method dtc adds outputs"):
        method("dtc", network=foreign)
