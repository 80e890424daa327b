"""DAN and SASSNet: what fools, what tells apart, and what each of them trains."""

import math

import pytest
import torch

from fewscan.methods.discrimination import fooling, telling_apart
from fewscan.networks.discriminator import ANNOTATED, Discriminator

BOTH = pytest.mark.parametrize("name", ["adversarial", "sassnet"])


@pytest.fixture
def discriminator():
    torch.manual_seed(0)
    return Discriminator(dimensions=2, maps=2, channels=1, width=4)


def test_fooling_is_the_cross_entropy_towards_annotated_and_trains_the_maps_alone(discriminator):
    maps, images = torch.randn(3, 2, 16, 16, requires_grad=True), torch.randn(3, 1, 16, 16)
    loss = fooling(discriminator, maps, images)
    loss.backward()
    assert discriminator.training
    assert maps.grad.abs().max() > 0
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())
    wanted = -torch.log_softmax(discriminator.eval()(maps, images), 1)[:, ANNOTATED].mean()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize("labelled", [1, 2, 3])
def test_the_truth_about_a_batch_follows_from_its_composition(labelled, discriminator):
    discriminator.eval()
    maps, images = torch.randn(4, 2, 16, 16), torch.randn(4, 1, 16, 16)
    log_p = torch.log_softmax(discriminator(maps, images), 1)
    wanted = -(log_p[:labelled, ANNOTATED].sum() + log_p[labelled:, 1 - ANNOTATED].sum()) / 4
    assert telling_apart(discriminator, maps, images, labelled=labelled).item() == pytest.approx(
        wanted.item(), rel=1e-5
    )


def test_a_discriminator_that_cannot_tell_costs_ln_2(discriminator):
    torch.nn.init.zeros_(discriminator.verdict.weight)
    torch.nn.init.zeros_(discriminator.verdict.bias)
    maps, images = torch.randn(4, 2, 16, 16), torch.randn(4, 1, 16, 16)
    assert telling_apart(discriminator, maps, images, labelled=2).item() == pytest.approx(math.log(2))


@BOTH
def test_each_is_in_evaluation_mode_while_the_other_learns(name, method, batch):
    made, given, seen = method(name, dimensions=2).train(), batch(dimensions=2), []
    for part, module in (("network", made.predictor().encoder), ("discriminator", made.discriminator)):
        module.register_forward_pre_hook(lambda module, _, part=part: seen.append((part, module.training)))
    made.loss(given, 0)
    assert set(seen) == {("network", True), ("discriminator", False)}
    seen.clear()
    made.adversary_loss(given, 0)
    assert set(seen) == {("network", False), ("discriminator", True)}


@BOTH
def test_the_discriminator_learns_to_tell_in_a_few_second_steps(name, method, batch):
    made = method(name, preset="paper", dimensions=2)
    given = batch(dimensions=2)
    given = given._replace(unlabelled=given.unlabelled + 5)  # plainly of another kind
    adversary = made.adversary()
    assert (adversary.network, adversary.learning_rate, adversary.betas) == (made.discriminator, 1e-4, (0.9, 0.99))
    for module in made.discriminator.modules():
        if isinstance(module, torch.nn.Dropout2d):
            module.p = 0.0
    optimiser = torch.optim.Adam(adversary.network.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = made.adversary_loss(given, 0)["discriminator"]
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@BOTH
def test_the_adversarial_term_needs_unlabelled_patches_and_its_weight_grows(name, method, batch):
    made = method(name, preset="paper", iterations=100)
    weight = {"adversarial": 0.1, "sassnet": 0.01}[name]
    assert made.weights(100)["adversarial"] == weight
    assert made.weights(50)["adversarial"] == pytest.approx(weight * math.exp(-5 / 4))
    assert "adversarial" in made(batch(), 0)
    assert "adversarial" not in made(batch(unlabelled=0), 0)


def test_what_each_discriminator_sees(method, batch):
    """DAN the class probabilities, SASSNet a distance map per foreground class."""
    seen = {}
    for name in ("adversarial", "sassnet"):
        made = method(name, classes=4)
        hook = made.discriminator.register_forward_pre_hook(lambda _, args, name=name: seen.setdefault(name, args))
        made(batch(classes=4), 0)
        hook.remove()
    maps, images = seen["adversarial"]
    torch.testing.assert_close(maps.sum(1), torch.ones(2, 16, 16, 16))
    assert seen["sassnet"][0].shape[1] == 3
    assert seen["sassnet"][0].abs().max() <= 1
    assert torch.equal(images, batch(classes=4).unlabelled)
