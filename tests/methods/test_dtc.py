"""DTC's equations, recomputed with plain sums."""

import math

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.losses.distance_maps import signed_distance_maps
from fewscan.losses.dual_task import dual_task
from fewscan.networks.registry import NetworkSpec


def test_terms_and_weights(method, batch):
    made = method("dtc", preset="paper", classes=2, iterations=100).eval()
    given = batch(classes=2)
    terms = made(given, 50)
    logits, distances = made.heads(torch.cat([given.images, given.unlabelled]))
    p = torch.softmax(logits[:2], dim=1)[:, 1]
    dice = 1 - 2 * (p * given.labels).sum() / (p.square().sum() + given.labels.sum())
    assert terms["supervised"].item() == pytest.approx(dice.item(), abs=1e-5)
    target = signed_distance_maps(given.labels, 2, kind="published")
    assert terms["supervised_distance"].item() == pytest.approx((distances[:2] - target).square().mean().item())
    # on labelled and unlabelled patches
    assert terms["dual_task"].item() == pytest.approx(dual_task("squared", logits, distances, slope=1500).item())
    assert made.weights(50) == {"supervised_distance": 0.3, "dual_task": pytest.approx(math.exp(-5 / 4))}
    assert list(made(batch(classes=2, unlabelled=0), 0)) == ["supervised", "supervised_distance"]


@pytest.mark.parametrize("name", ["dtc", "sassnet"])
@pytest.mark.parametrize("kind", ["published", "even"])
def test_the_kind_of_distance_map_is_that_asked_for(name, kind, method, batch):
    made, given = method(name, distance_maps=kind).eval(), batch()
    with torch.no_grad():
        distances, target = made.heads(given.images)[1], signed_distance_maps(given.labels, 3, kind=kind)
        loss = made(given, 0)["supervised_distance"]
    assert loss.item() == pytest.approx((distances - target).square().mean().item())


def test_networks_of_other_packages_are_refused(method):
    foreign = NetworkSpec(name="monai:UNet", options={"channels": [4, 8], "strides": [2]})
    with pytest.raises(UsageError, match="method dtc adds outputs"):
        method("dtc", network=foreign)
