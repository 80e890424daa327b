"""The direction of a function whose gradient is known."""

import pytest
import torch

from fewscan.methods.virtual_adversarial import adversarial_direction


@pytest.mark.parametrize("dimensions", [2, 3])
def test_direction_of_a_quadratic_form(dimensions):
    """D(x + h) = 1/2 sum a h^2 has the gradient a h: one iteration multiplies the first direction by a."""
    size = [4] * dimensions
    images = torch.randn(2, 1, *size)
    factor = torch.zeros(1, 1, *size)
    factor.flatten()[5] = 1.0
    found = adversarial_direction(images, lambda x: (factor * (x - images) ** 2).sum() / 2, step=10.0, radius=7.0)
    assert not found.requires_grad
    # all of it in the one voxel that matters, with the given norm
    assert found.flatten(1).norm(dim=1).tolist() == pytest.approx([7, 7])
    assert found.flatten(1)[:, 5].abs().tolist() == pytest.approx([7, 7])


def test_it_finds_a_larger_change_than_chance():
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 2, 3)
    images = torch.randn(1, 1, 12, 12)
    with torch.no_grad():
        answer = network(images)

    def distance(x):
        return (network(x) - answer).square().mean()

    found = adversarial_direction(images, distance, step=1.0, radius=1.0)
    chance = [torch.nn.functional.normalize(torch.randn_like(images).flatten(), dim=0) for _ in range(20)]
    assert distance(images + found) > 2 * max(distance(images + other.view_as(images)) for other in chance)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_function_that_does_not_depend_on_the_image_gives_no_direction():
    images = torch.randn(2, 1, 4, 4)
    assert adversarial_direction(images, lambda x: (0 * x).sum(), step=1.0, radius=3.0).abs().max() == 0


def test_tiny_gradients_have_a_direction_too():
    images = torch.randn(1, 1, 4, 4)
    found = adversarial_direction(images, lambda x: (1e-30 * x).sum(), step=1.0, radius=4.0)
    assert found.flatten().tolist() == pytest.approx([1.0] * 16)
