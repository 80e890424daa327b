from math import log

import pytest
import torch

from fewscan.losses.region import region_loss

OPTIONS = {"squared": False, "include_background": True}


def test_a_region_counts_as_if_there_were_nothing_else():
    torch.manual_seed(0)
    logits, labels, region = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5)), torch.rand(4, 5) < 0.4
    weights = {"cross_entropy_weight": 0.7, "dice_weight": 0.3}
    whole = torch.ones(int(region.sum()), dtype=torch.bool)
    alone = region_loss(logits[..., region], labels[..., region], whole, **weights, **OPTIONS)
    torch.testing.assert_close(region_loss(logits, labels, region, **weights, **OPTIONS), alone)


def test_worked_out_by_hand():
    # two voxels, the first inside: p = (1/4, 3/4), of class 1
    logits = torch.tensor([[[0.0, 5.0], [log(3), -5.0]]])
    labels, region = torch.tensor([[1, 0]]), torch.tensor([True, False])
    given = {"logits": logits, "target": labels, "region": region, **OPTIONS}
    # cross-entropy -ln 3/4; Dice of class 0: 1 - 0 / (1/4), of class 1: 1 - 2 x 3/4 / (3/4 + 1)
    assert region_loss(**given, cross_entropy_weight=1, dice_weight=0).item() == pytest.approx(log(4 / 3), abs=1e-4)
    assert region_loss(**given, cross_entropy_weight=0, dice_weight=1).item() == pytest.approx(
        (1 + 1 / 7) / 2, abs=1e-3
    )


def test_nothing_where_the_region_is_empty():
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    nothing = torch.zeros(4, 5, dtype=torch.bool)
    found = region_loss(logits, labels, nothing, cross_entropy_weight=0.5, dice_weight=0.5, **OPTIONS)
    assert found.item() == pytest.approx(0, abs=1e-6)
