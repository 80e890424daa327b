"""SS-Net's terms, computed again by other means; for the contrast see test_class_separation.py."""

import math

import pytest
import torch

from fewscan.networks.registry import NetworkSpec

VNET = NetworkSpec(name="vnet", options={"filters": [4, 8, 8], "convolutions": [1, 1, 1], "dropout": 0.0})


def test_smoothness_leaves_the_statistics_alone(method, batch):
    made = method("ss_net", network=VNET)
    given = batch()
    images = torch.cat([given.images, given.unlabelled])
    before = {name: value.clone() for name, value in made.network.named_buffers()}
    logits = made.network.head(made.network.features(images))
    after = {name: value.clone() for name, value in made.network.named_buffers()}
    assert any(not torch.equal(value, before[name]) for name, value in after.items())
    made.smoothness(images, logits).backward()
    assert all(torch.equal(value, after[name]) for name, value in made.network.named_buffers())


@pytest.mark.parametrize("preset", ["paper", "recommended"])
def test_smoothness_is_the_distance_between_the_answers(preset, method, batch, monkeypatch):
    made, images = method("ss_net", preset=preset).eval(), batch().images
    r = 100 * torch.randn_like(images)
    monkeypatch.setattr("fewscan.methods.ss_net.adversarial_direction", lambda *_, **options: r * options["radius"])
    p, q = (torch.softmax(made.network(x), 1) for x in (images, images + made.hyper.virtual_radius * r))
    wanted = {
        "paper": 1 - 2 * (p * q).sum() / (p.sum() + q.sum()),
        "recommended": (p * (p / q).log()).sum(1).mean(),
    }[preset]
    assert made.smoothness(images, made.network(images)).item() == pytest.approx(wanted.item(), rel=1e-3)


@pytest.mark.parametrize("preset", ["paper", "recommended"])
def test_smoothness_moves_the_answer_to_the_changed_image_alone(preset, method, batch):
    made, images = method("ss_net", preset=preset), batch().images
    logits = made.network(images).detach().requires_grad_()
    term = made.smoothness(images, logits)
    into_answer, *into_network = torch.autograd.grad(term, [logits, *made.network.parameters()], allow_unused=True)
    assert into_answer is None
    assert any(gradient is not None and gradient.any() for gradient in into_network)


def test_weights_and_terms(method, batch):
    made = method("ss_net", preset="paper", iterations=15000)
    assert made.weights(3000) == pytest.approx({"smoothness": math.exp(-5 / 4), "contrast": 0.1 * math.exp(-5 / 4)})
    assert list(made(batch(unlabelled=0), 0)) == ["supervised"]


def test_the_published_ramp_is_as_long_in_a_shorter_run(method):
    """6 000 of 15 000 steps are 320 of 800; 6 000 steps themselves would leave the weight at a fiftieth to the end."""
    made = method("ss_net", preset="paper", iterations=800)
    assert [made.weights(step)["smoothness"] for step in (160, 320, 799)] == pytest.approx([math.exp(-5 / 4), 1, 1])
