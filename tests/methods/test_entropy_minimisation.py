import math

import pytest
import torch

from fewscan.methods.supervised import supervised_loss

NAME = "entropy_minimisation"


def test_both_terms_of_eq_1(method, batch):
    made, given = method(NAME, preset="paper").eval(), batch(labelled=1, unlabelled=3)
    terms = made.loss(given, 0)
    with torch.no_grad():
        p = torch.softmax(made.network(torch.cat([given.images, given.unlabelled])), dim=1).double()
    # three classes: uniform predictions have the largest entropy, ln 3
    expected = torch.special.entr(p).sum(dim=1).mean() / math.log(3)
    assert terms["entropy"].item() == pytest.approx(expected.item(), rel=1e-5)
    supervised = supervised_loss(made.network(given.images), given.labels, made.hyper)
    torch.testing.assert_close(terms["supervised"], supervised)


@pytest.mark.parametrize("classes", [2, 5])
def test_undecided_predictions_cost_one_whatever_the_classes(classes, method, batch):
    made = method(NAME, classes=classes)
    torch.nn.init.zeros_(made.network.head.weight)
    assert made.loss(batch(classes=classes), 0)["entropy"].item() == pytest.approx(1)


def test_weight_follows_the_ramp(method):
    made = method(NAME, preset="paper", iterations=100)
    assert made.weights(50)["entropy"] == pytest.approx(0.1 * math.exp(-1.25))
