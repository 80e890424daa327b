"""Every block leaves the network as it found it."""

import pytest
import torch
from torch import nn

from fewscan.networks.modes import evaluation_mode, frozen, predicting, untouched_statistics


def network():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    made[2].eval()
    made[0].bias.requires_grad_(False)
    return made


def test_evaluation_mode_ends_where_it_began():
    made, images = network(), torch.randn(2, 1, 4, 4)
    made[2].train()
    made[1].eval()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with evaluation_mode(made):
        assert torch.equal(made(images), made(images))
    assert [module.training for module in made] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


def test_predicting_in_the_midst_of_a_step_cuts_no_gradient():
    made, images = network(), torch.randn(2, 1, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        with predicting(made):
            assert not made(images).requires_grad
            assert torch.equal(made(images), made(images))
        loss = made(images).float().square().sum()
    loss.backward()
    assert made[0].weight.grad.abs().max() > 0
    assert [module.training for module in made] == [True, True, False]


def test_frozen_lets_gradients_through_and_none_in():
    made, images = network(), torch.randn(2, 1, 4, 4, requires_grad=True)
    with frozen(made):
        loss = made(images).square().sum()
    loss.backward()
    assert images.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in made.parameters())
    assert [p.requires_grad for p in made.parameters()] == [True, False, True, True]


def test_statistics_are_left_alone_and_the_output_is_that_of_training():
    made, images = network(), torch.randn(2, 1, 4, 4)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with untouched_statistics(made):
        found = made(images)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert torch.equal(found, made(images))
    assert not torch.equal(made[1].running_mean, before["1.running_mean"])


@pytest.mark.parametrize("block", [evaluation_mode, frozen, untouched_statistics])
def test_an_error_inside_changes_nothing(block):
    made = network()
    state = [(m.training, getattr(m, "track_running_stats", None)) for m in made.modules()]
    with pytest.raises(ZeroDivisionError), block(made):
        1 / 0  # noqa: B018
    assert state == [(m.training, getattr(m, "track_running_stats", None)) for m in made.modules()]
    assert made[0].weight.requires_grad
