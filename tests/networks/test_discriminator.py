"""The discriminator takes any patch and any batch; the small networks on single voxels."""

import pytest
import torch

from fewscan.networks.discriminator import Discriminator
from fewscan.networks.projection import ClassScorer, Projection


@pytest.mark.parametrize("size", [(16, 16), (40, 24), (8, 50), (16, 16, 16), (32, 20, 6)])
def test_any_patch_gives_two_logits_a_sample(size):
    made = Discriminator(dimensions=len(size), maps=3, channels=2, width=4)
    logits = made(torch.randn(3, 3, *size), torch.randn(3, 2, *size))
    assert logits.shape == (3, 2)
    logits.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in made.parameters())


def test_widths_as_published():
    made = Discriminator(dimensions=3, maps=2, channels=1)
    # 4^3 convolutions 3 -> 64 (map and image), 64 -> 128 -> 256 -> 512, and 512 -> 2; each with offsets
    weights = 64 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 512 * 2
    assert sum(p.numel() for p in made.parameters()) == weights + 2 * 64 + 128 + 256 + 512 + 2


def test_weights_begin_as_torch_draws_them():
    made = Discriminator(dimensions=3, maps=2, channels=1, width=8)
    for module in made.modules():
        if isinstance(module, torch.nn.Conv3d):
            largest = module.weight.detach().abs().max()
            bound = module.weight[0].numel() ** -0.5
            assert 0.9 * bound < largest <= bound


def test_it_sees_both_map_and_image():
    made = Discriminator(dimensions=2, maps=1, channels=1, width=4).eval()
    maps, images = torch.randn(1, 1, 16, 16), torch.randn(1, 1, 16, 16)
    assert not torch.equal(made(maps, images), made(maps + 1, images))
    assert not torch.equal(made(maps, images), made(maps, images + 1))


def test_every_class_has_a_scorer_of_its_own():
    scorer, embeddings = ClassScorer(4, 3), torch.randn(5, 4)
    before = [scorer(embeddings, torch.full((5,), index)) for index in range(3)]
    with torch.no_grad():
        scorer.hidden.weight[4:8] += 1  # the second one's hidden layer
    after = [scorer(embeddings, torch.full((5,), index)) for index in range(3)]
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert all(((scores > 0) & (scores < 1)).all() for scores in after)
    assert scorer(embeddings, torch.tensor([0, 1, 2, 0, 1]))[1] == after[1][1]


def test_projection_keeps_the_number_of_voxels():
    assert Projection(6, 4)(torch.randn(7, 6)).shape == (7, 4)
