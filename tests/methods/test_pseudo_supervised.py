"""The terms of eq. 1: true labels and soft masks each meet their own prediction."""

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.losses.dice import soft_dice
from fewscan.methods.registry import method_class, method_names, trainable_class, trainable_names
from fewscan.methods.supervised import supervised_loss


def _soft(batch, classes=3, seed=3):
    shape = (len(batch.unlabelled), classes, *batch.unlabelled.shape[2:])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).softmax(1)


def test_terms_by_hand(method, batch):
    made, given = method("pseudo_supervised", pseudo_cross_entropy_weight=0.5, pseudo_weight=2.0).eval(), batch()
    masks = _soft(given)
    terms = made(given._replace(unlabelled_masks=masks), 0)
    p = made.network(given.unlabelled).softmax(1)
    assert terms["pseudo"].item() == pytest.approx(soft_dice(p, masks, squared=True).item(), rel=1e-5)
    assert terms["pseudo_cross_entropy"].item() == pytest.approx(-(masks * p.log()).sum(1).mean().item(), rel=1e-5)
    expected = supervised_loss(made.network(given.images), given.labels, made.hyper)
    assert terms["supervised"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert made.weights(0) == {"pseudo": 2.0, "pseudo_cross_entropy": 0.5}


def test_the_soft_target_itself_is_the_minimum(method, batch):
    given = batch()
    masks = _soft(given)
    assert soft_dice(masks, masks, squared=True).item() == pytest.approx(0, abs=1e-6)
    made = method("pseudo_supervised").eval()
    assert set(made(given._replace(unlabelled_masks=masks), 0)) == {"supervised", "pseudo"}


def test_without_masks_it_is_supervised(method, batch):
    made, plain, given = method("pseudo_supervised").eval(), method("supervised").eval(), batch()
    for without in (given, batch(unlabelled=0)._replace(unlabelled_masks=torch.zeros(0, 3, 16, 16, 16))):
        terms = made(without, 0)
        assert list(terms) == ["supervised"]
        assert torch.equal(terms["supervised"], plain(without, 0)["supervised"])


def test_a_stage_of_a_recipe_is_no_method_for_users():
    assert "pseudo_supervised" not in method_names()
    with pytest.raises(UsageError, match="unknown method 'pseudo_supervised'"):
        trainable_class("pseudo_supervised")
    assert method_class("pseudo_supervised").name == "pseudo_supervised"
    assert "joint" in trainable_names()
    with pytest.raises(UsageError, match="did you mean 'joint'"):
        trainable_class("join")
