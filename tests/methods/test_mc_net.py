"""MC-Net's equations, recomputed decoder by decoder."""

import math

import pytest
import torch

from fewscan.methods.supervised import supervised_loss


def sharp(p, temperature):
    powers = p.double() ** (1 / temperature)
    return powers / powers.sum(1, keepdim=True)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("decoders", [2, 3])
def test_published_terms(decoders, classes, method, batch):
    made = method("mc_net", preset="paper", classes=classes, decoders=decoders).eval()
    given = batch(classes=classes)
    terms = made(given, 0)
    every = made.decoders(torch.cat([given.images, given.unlabelled]))
    assert len(every) == decoders
    supervised = sum(supervised_loss(logits[:2], given.labels, made.hyper).item() for logits in every)
    assert terms["supervised"].item() == pytest.approx(supervised, rel=1e-5)
    p = [torch.softmax(logits, dim=1) for logits in every]
    pairs = [(i, j) for i in range(decoders) for j in range(decoders) if i != j]
    mutual = sum(((p[i] - sharp(p[j], 0.1)) ** 2).mean().item() for i, j in pairs)
    assert terms["mutual"].item() == pytest.approx(mutual, rel=1e-4)


def test_recommended_target_is_fixed_and_the_distance_a_relative_entropy(method, batch):
    made, given = method("mc_net").eval(), batch()
    first, second = made.decoders(torch.cat([given.images, given.unlabelled]))
    p, q = torch.softmax(first, 1).double(), torch.softmax(second, 1).double()
    wanted = sum(
        (target * (target.clamp_min(1e-30) / own).log()).sum(1).mean().item()
        for own, target in ((p, sharp(q, 0.5)), (q, sharp(p, 0.5)))
    )
    assert made(given, 0)["mutual"].item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("detach", [True, False])
def test_gradient_into_the_target_only_where_asked_for(detach, method):
    made = method("mc_net", detach=detach, consistency="squared", temperature=0.1)
    mine = torch.zeros(1, 3, 2, 2, 2)
    mine[:, 1] = 0.3
    mine.requires_grad_()
    theirs = (2 * torch.randn(1, 3, 2, 2, 2)).requires_grad_()
    made.mutual([mine, theirs]).backward()
    # d/dx of mean (softmax(x) - target)^2 alone
    x = mine.detach().clone().requires_grad_()
    target = sharp(torch.softmax(theirs.detach(), 1), 0.1).float()
    ((torch.softmax(x, 1) - target) ** 2).mean().backward()
    assert torch.allclose(mine.grad, x.grad, atol=1e-6) == detach


def test_weights_and_predictor(method, batch):
    made = method("mc_net", preset="paper", iterations=15000).eval()
    assert made.weights(3000) == {"mutual": pytest.approx(math.exp(-5 / 4))}  # half of 6 000
    images = batch().images
    assert torch.equal(made.predictor()(images), made.decoders(images)[0])
    assert list(made(batch(unlabelled=0), 0)) == ["supervised"]


def test_the_published_ramp_is_as_long_in_a_shorter_run(method):
    """6 000 of 15 000 steps are 320 of 800; 6 000 steps themselves would leave the weight at a fiftieth to the end."""
    made = method("mc_net", preset="paper", iterations=800)
    assert [made.weights(step)["mutual"] for step in (160, 320, 799)] == pytest.approx([math.exp(-5 / 4), 1, 1])
