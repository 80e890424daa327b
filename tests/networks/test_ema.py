import pytest
import torch
from torch import nn

from fewscan.networks.ema import EMA


def _linear(value):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def test_one_source_by_hand():
    source = _linear(1.0)
    ema = EMA([source], decay=0.9, warm_up=False)
    nn.init.constant_(source.weight, 2.0)
    ema.update([source], 0)
    # 0.9 * 1 + 0.1 * 2
    assert ema.network.weight.item() == pytest.approx(1.1)


def test_warm_up_copies_at_the_first_update():
    source = _linear(1.0)
    ema = EMA([source], decay=0.99)
    nn.init.constant_(source.weight, 5.0)
    ema.update([source], 0)
    assert ema.network.weight.item() == pytest.approx(5.0)
    nn.init.constant_(source.weight, 7.0)
    ema.update([source], 1)
    # keep = 1 - 1/2
    assert ema.network.weight.item() == pytest.approx(6.0)


def test_two_weighted_sources_by_hand():
    first, second = _linear(1.0), _linear(4.0)
    ema = EMA([first, second], decay=0.9, weights=[2, 1], warm_up=False)
    # start: 2/3 * 1 + 1/3 * 4 = 2
    assert ema.network.weight.item() == pytest.approx(2.0)
    nn.init.constant_(first.weight, 3.0)
    ema.update([first, second], 0)
    # 0.9 * 2 + 0.1 * (2/3 * 3 + 1/3 * 4) = 1.8 + 0.1 * 10/3
    assert ema.network.weight.item() == pytest.approx(1.8 + 1 / 3)


def test_running_statistics_are_averaged_and_counters_copied():
    source = nn.BatchNorm1d(1)
    ema = EMA([source], decay=0.5, warm_up=False)
    source.running_mean.fill_(4.0)
    source.num_batches_tracked.fill_(9)
    ema.update([source], 0)
    assert ema.network.running_mean.item() == pytest.approx(2.0)
    assert ema.network.num_batches_tracked.item() == 9


def test_own_statistics_begin_as_the_sources_and_are_left_alone():
    first, second = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    second.running_mean.fill_(4.0)
    ema = EMA([first, second], decay=0.5, warm_up=False, own_statistics=True)
    assert ema.network.running_mean.item() == pytest.approx(2.0)
    first.weight.data.fill_(3.0)
    first.running_mean.fill_(100.0)
    ema.update([first, second], 0)
    assert ema.network.running_mean.item() == pytest.approx(2.0)
    # 0.5 * 1 + 0.5 * (3 + 1) / 2
    assert ema.network.weight.item() == pytest.approx(1.5)


def test_teacher_gets_no_gradient_and_builds_no_graph():
    source = _linear(1.0)
    ema = EMA([source])
    assert not any(p.requires_grad for p in ema.parameters())
    assert not ema(torch.ones(1, 1)).requires_grad


def test_sources_are_not_registered_as_submodules():
    source = _linear(1.0)
    assert set(dict(EMA([source]).named_parameters())) == {"network.weight"}


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"bias is \(1,\) in one and \(2,\) in another"):
        EMA([nn.Linear(1, 1), nn.Linear(1, 2)])
