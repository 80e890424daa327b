import pytest
import torch

from fewscan.methods.perturbation import clipped_noise, strong_view


def test_noise_has_its_spread_and_its_limit():
    torch.manual_seed(0)
    noise = clipped_noise(torch.full((1, 1, 40, 40, 40), 3.0), std=0.1, clip=0.2) - 3.0
    assert noise.abs().max().item() == pytest.approx(0.2, abs=1e-6)
    assert noise.mean().item() == pytest.approx(0, abs=0.002)
    # variance of a normal clipped at two sigma: 0.9205 sigma^2
    assert noise.std().item() == pytest.approx(0.1 * 0.9205**0.5, rel=0.02)


def test_without_noise_the_image_comes_back():
    images = torch.randn(1, 1, 4, 4)
    assert clipped_noise(images, std=0.0, clip=0.2) is images


@pytest.mark.parametrize("perturb", [strong_view, lambda images: clipped_noise(images, std=0.1, clip=0.2)])
def test_keyed_by_the_global_seed_and_out_of_place(perturb):
    images = torch.randn(3, 2, 8, 8, 8)
    before = images.clone()
    torch.manual_seed(5)
    first = perturb(images)
    torch.manual_seed(5)
    again = perturb(images)
    assert torch.equal(first, again)
    assert not torch.equal(first, perturb(images))
    assert torch.equal(images, before)


def test_strong_view_leaves_every_voxel_in_its_place():
    """A bright corner stays the bright corner."""
    images = torch.zeros(16, 1, 16, 16)
    images[..., :8, :8] = 4.0
    torch.manual_seed(0)
    seen = strong_view(images)
    assert bool((seen[..., 1:7, 1:7].mean((1, 2, 3)) > seen[..., 9:, 9:].mean((1, 2, 3)) + 1).all())


def test_strong_view_of_no_images():
    assert strong_view(torch.zeros(0, 1, 8, 8)).shape == (0, 1, 8, 8)
