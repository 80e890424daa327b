import pytest
import torch
from torch import nn

from fewscan.training.optimisers import build_optimiser, optimiser_tensors, restore_optimiser, set_learning_rate
from fewscan.training.settings import OptimiserSettings


def _steps(layer, optimiser, inputs):
    for value in inputs:
        optimiser.zero_grad()
        layer(torch.full((1, 2), float(value))).sum().backward()
        optimiser.step()


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_restored_state_continues_bit_for_bit(name):
    settings = OptimiserSettings(name=name, learning_rate=0.1)
    whole, halves = nn.Linear(2, 1), nn.Linear(2, 1)
    halves.load_state_dict(whole.state_dict())
    _steps(whole, build_optimiser(whole.parameters(), settings), [1, 2, 3, 4])

    first = build_optimiser(halves.parameters(), settings)
    _steps(halves, first, [1, 2])
    second = build_optimiser(halves.parameters(), settings)
    restore_optimiser(second, {key: value.clone() for key, value in optimiser_tensors(first).items()})
    _steps(halves, second, [3, 4])
    assert torch.equal(whole.weight, halves.weight)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_restored_state_has_the_layout_of_the_weights(name):
    layer = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
    settings = OptimiserSettings(name=name)
    first = build_optimiser(layer.parameters(), settings)
    layer(torch.randn(1, 4, 5, 5).to(memory_format=torch.channels_last)).sum().backward()
    first.step()
    second = build_optimiser(layer.parameters(), settings)
    restore_optimiser(second, {key: value.contiguous() for key, value in optimiser_tensors(first).items()})
    for before, after in zip(first.state[layer.weight].values(), second.state[layer.weight].values(), strict=True):
        assert torch.equal(before, after)
        assert before.stride() == after.stride()


def test_untrained_parameters_are_left_out():
    layer = nn.Linear(2, 1)
    layer.bias.requires_grad_(False)
    optimiser = build_optimiser(layer.parameters(), OptimiserSettings())
    assert [len(group["params"]) for group in optimiser.param_groups] == [1]


@pytest.mark.parametrize(
    ("name", "moved"),
    # a gradient of 1 twice; velocity 1, then 1.5: plain momentum steps by it, Nesterov's by 1 + 0.5 times it
    [("sgd", 1 + 1.5), ("nesterov", 1.5 + 1.75)],
)
def test_momentum_by_hand(name, moved):
    layer = nn.Linear(2, 1, bias=False)
    start = layer.weight.detach().clone()
    settings = OptimiserSettings(name=name, learning_rate=0.1, momentum=0.5, weight_decay=0.0)
    _steps(layer, build_optimiser(layer.parameters(), settings), [1, 1])
    torch.testing.assert_close(start - layer.weight.detach(), torch.full_like(start, 0.1 * moved))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_some_parameters_have_a_rate_of_their_own(name):
    settings = OptimiserSettings(name=name, learning_rate=0.1, schedule="constant")
    fast, slow = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    slow.load_state_dict(fast.state_dict())
    start = fast.weight.detach().clone()
    optimiser = build_optimiser([slow.weight, fast.weight], settings, factors={slow.weight: 0.25})
    set_learning_rate(optimiser, settings, 0, 10)
    (fast(torch.ones(1, 2)) + slow(torch.ones(1, 2))).sum().backward()
    optimiser.step()
    assert torch.allclose(slow.weight - start, 0.25 * (fast.weight - start), atol=1e-6)


def test_rate_follows_the_schedule():
    settings = OptimiserSettings(name="sgd", learning_rate=0.01, schedule="step")
    optimiser = build_optimiser(nn.Linear(1, 1).parameters(), settings)
    assert set_learning_rate(optimiser, settings, 2500, 6000) == pytest.approx(0.001)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.001)
