"""URPC's equations, recomputed scale by scale."""

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.methods.supervised import supervised_loss
from fewscan.methods.urpc import rectified_consistency
from fewscan.networks.registry import NetworkSpec


@pytest.mark.parametrize("classes", [2, 4])
def test_rectified_consistency(classes):
    torch.manual_seed(0)
    scales = [torch.randn(2, classes, 3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    p = [torch.softmax(logits, dim=1) for logits in scales]
    q = (p[0] + p[1] + p[2]) / 3
    wanted = 0.0
    for p_s in p:
        divergence = (q * (q / p_s).log()).sum(1)
        certainty = (-divergence).exp()
        squared = ((q - p_s) ** 2).sum(1) / classes
        wanted += ((certainty * squared).mean() / certainty.mean() + divergence.mean()) / 3
    found = rectified_consistency(scales)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    # scales learn from their mean and move it
    for ours, theirs in zip(torch.autograd.grad(found, scales), torch.autograd.grad(wanted, scales), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-9)


def test_certain_and_contradicting_scales_stay_finite():
    sure = torch.tensor([200.0, -200.0]).view(1, 2, 1, 1).requires_grad_()
    loss = rectified_consistency([sure, -sure])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(sure.grad).all()


def test_every_scale_is_supervised_and_the_finest_predicts(method, batch):
    made = method("urpc", preset="paper").eval()
    given = batch()
    scales = made.scales(given.images)
    each = [supervised_loss(logits, given.labels, made.hyper).item() for logits in scales]
    assert len(each) == 2
    assert made(given, 0)["supervised"].item() == pytest.approx(sum(each) / 2, rel=1e-5)
    assert torch.equal(made.predictor()(given.images), scales[0])
    assert made.hyper.cross_entropy_weight == made.hyper.dice_weight == 0.5


def test_coarser_scales_can_weigh_less(method, batch):
    made = method("urpc", coarser_scale=0.25).eval()
    given = batch()
    finest, coarser = (supervised_loss(logits, given.labels, made.hyper).item() for logits in made.scales(given.images))
    assert made(given, 0)["supervised"].item() == pytest.approx(finest * 0.8 + coarser * 0.2, rel=1e-5)


def test_a_network_with_one_scale_is_refused(method):
    with pytest.raises(UsageError, match="this decoder has one"):
        method("urpc", network=NetworkSpec(options={"filters": [4, 8]}))
