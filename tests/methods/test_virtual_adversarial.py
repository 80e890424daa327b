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
    # all of it in the one voxel that matters: 7 per voxel on the average of squares
    voxels = 4**dimensions
    assert found.square().flatten(1).mean(dim=1).sqrt().tolist() == pytest.approx([7, 7])
    assert found.flatten(1)[:, 5].abs().tolist() == pytest.approx([7 * voxels**0.5] * 2)


def test_it_finds_a_larger_change_than_chance():
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 2, 3)
    images = torch.randn(1, 1, 12, 12)
    with torch.no_grad():
        answer = network(images)

    def distance(x):
        return (network(x) - answer).square().mean()

    found = adversarial_direction(images, distance, step=0.1, radius=0.1)
    chance = [torch.randn_like(images) for _ in range(20)]

    others = [distance(images + 0.1 * other / other.square().mean().sqrt()) for other in chance]
    assert distance(images + found) > 2 * max(others)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_function_that_does_not_depend_on_the_image_gives_no_direction():
    images = torch.randn(2, 1, 4, 4)
    assert adversarial_direction(images, lambda x: (0 * x).sum(), step=1.0, radius=3.0).abs().max() == 0


def test_tiny_gradients_have_a_direction_too():
    images = torch.randn(1, 1, 4, 4)
    found = adversarial_direction(images, lambda x: (1e-30 * x).sum(), step=1.0, radius=4.0)
    assert found.flatten().tolist() == pytest.approx([4.0] * 16)
