"""The combined predictor is the average of its halves, worked out by hand on networks that say what they are told."""

import pytest
import torch
from torch import nn

from fewscan.data.whole_scan import WholeScan
from fewscan.errors import DataError, UsageError
from fewscan.networks.registry import NetworkSpec, build_network
from fewscan.recipes.combined import Combined, CombinedOptions, combined_spec
from fewscan.recipes.halves import registration_half, segmentation_half
from fewscan.recipes.mask_views import mask_views
from fewscan.registration.atlases import Atlases

SIZE = (8, 6)
OPTIONS = {
    "atlases": 2,
    "size": SIZE,
    "segmentation": NetworkSpec(name="unet", options={"filters": [2, 4]}),
    "registration": NetworkSpec(name="mrregnet", options={"filters": [2, 2]}),
    "patch_size": SIZE,
    "sources": 2,
    "views": 1,
}


class Brightness(nn.Module):
    """The brighter, the more probably foreground: p = sigmoid(x)."""

    def forward(self, x):
        return torch.cat([torch.zeros_like(x), x], 1)


class Shift(nn.Module):
    """Every voxel is read from one further along the first axis."""

    def displacement(self, moving, fixed):
        field = torch.zeros((len(moving), 2, *moving.shape[2:]))
        field[:, 0] = 1.0
        return field


def _atlases(count=2):
    scans = []
    for number in range(count):
        label = torch.zeros(SIZE, dtype=torch.uint8)
        label[2 + number : 4 + number, 2:4] = 1
        image = torch.rand((1, *SIZE), generator=torch.Generator().manual_seed(number))
        scans.append(WholeScan(str(number), image, label, torch.ones(SIZE, dtype=torch.uint8), torch.zeros(1)))
    return Atlases.of(scans)


def _combined(**changes):
    options = CombinedOptions.parse({**OPTIONS, **changes}, source="test")
    return Combined(Brightness(), Shift(), _atlases(options.atlases), classes=2, options=options).eval()


def test_average_of_both_halves_by_hand():
    images = torch.randn((2, 1, *SIZE), generator=torch.Generator().manual_seed(5))
    # registration: atlas n has rows 2 + n and 3 + n, read one further on: rows 1 + n and 2 + n
    expected = torch.zeros(SIZE)
    expected[1, 2:4] = expected[3, 2:4] = 0.5
    expected[2, 2:4] = 1.0
    foreground = (images[:, 0].sigmoid() + expected) / 2
    found = _combined()(images).softmax(1)
    inner = found[:, 1, :-1]  # the last row is read from outside the atlases
    assert torch.allclose(inner, foreground[:, :-1], atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(2, *SIZE), atol=1e-6)


def test_both_halves_weigh_the_same_with_one_source_and_three_views():
    images = torch.randn((1, 1, *SIZE), generator=torch.Generator().manual_seed(6))
    combined = _combined(atlases=1, sources=5, views=3, rotation_degrees=0.0)
    views = mask_views(2, 3, flip_axes=(), rotation_degrees=0)
    segmented = torch.stack([view.forward(images)[0, 0].sigmoid() for view in views]).mean(0)
    registered = torch.zeros(SIZE)
    registered[1:3, 2:4] = 1
    found = combined(images).softmax(1)[0, 1]
    assert torch.allclose(found[:-1], (segmented + registered)[:-1] / 2, atol=1e-6)


def test_the_share_of_the_halves():
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.5])
    assert torch.allclose(_combined(segmentation_share=0.75).together(first, second), torch.tensor([0.75, 0.125]))


def test_padding_of_a_scan_does_not_choose_its_sources():
    """In rows 6 and 7, its padding, the scan is the first annotated one; in all others it is the second."""
    combined = _combined(sources=1)
    first, second = combined.atlases.images
    inside = torch.ones(1, 1, *SIZE)
    inside[:, :, 6:] = 0
    image = torch.where(inside > 0, second, 20 * first)
    seeing, told = (combined(image, *given).softmax(1)[0, 1] for given in ((), (inside,)))
    # the second one has rows 3 and 4, read one further on; half of the mean is the other half's
    segmented = image[0, 0].sigmoid() / 2
    registered = torch.zeros(SIZE)
    registered[2:4, 2:4] = 0.5
    assert torch.allclose((told - segmented)[:6], registered[:6], atol=1e-6)
    assert not torch.allclose(told[:6], seeing[:6])


def test_segmentation_windows_blend_to_the_whole():
    """A network that works voxel by voxel gives the same through windows, in batches of any size."""
    images = torch.randn((3, 1, 13, 11), generator=torch.Generator().manual_seed(7))
    views = mask_views(2, 1, flip_axes=(), rotation_degrees=0)
    inside = torch.ones(3, 1, 13, 11)
    whole = segmentation_half(Brightness(), images, inside, views=views, patch_size=(13, 11))
    parts = segmentation_half(Brightness(), images, inside, views=views, patch_size=(8, 4))
    assert torch.allclose(whole, parts, atol=1e-5)
    assert torch.allclose(whole[:, 1], images[:, 0].sigmoid(), atol=1e-6)


class Share(nn.Module):
    """Answers by the share of bright voxels in all that it is shown, as a network that normalises does."""

    def forward(self, images):
        share = (images > 0).float().mean((1, 2, 3)).view(-1, 1, 1, 1).expand(-1, 1, *images.shape[2:])
        return torch.cat([1 - share, share], dim=1).log()


def test_the_segmentation_network_is_not_shown_padding():
    """Three of four voxels are bright in one scan, all in the other; the grid is four times as large.

    Those that are not bright, two sides of the scan, have the value of the padding and are no padding.
    """
    images = torch.full((2, 1, 8, 8), -1.0)
    inside = torch.zeros(2, 1, 8, 8)
    inside[0, 0, 2:6, 2:6] = inside[1, 0, 1:5, 3:7] = 1
    images[0, 0, 3:6, 2:6] = 1.0
    images[1, 0, 1:5, 3:7] = 2.0
    views = mask_views(2, 1, flip_axes=(), rotation_degrees=0)
    found = segmentation_half(Share(), images, inside, views=views, patch_size=(4, 4))
    expected = torch.zeros(2, 8, 8)
    expected[0, 2:6, 2:6], expected[1, 1:5, 3:7] = 0.75, 1.0
    assert torch.allclose(found[:, 1], expected)
    assert torch.allclose(found.sum(1), torch.ones(2, 8, 8))


def test_targets_do_not_mix_in_a_batch(monkeypatch):
    images = torch.randn((3, 1, *SIZE), generator=torch.Generator().manual_seed(8))
    network = build_network(OPTIONS["registration"], dimensions=2, channels=1).eval()
    for head in network.heads:
        nn.init.normal_(head.weight, std=0.3)
    placed, chosen = _atlases().on(SIZE), torch.tensor([[0, 1], [1, 0], [1, 1]])
    together = registration_half(network, placed, images, chosen, classes=2)
    monkeypatch.setattr("fewscan.recipes.halves.VOXELS_AT_ONCE", 1)
    one_by_one = registration_half(network, placed, images, chosen, classes=2)
    assert torch.allclose(together, one_by_one, atol=1e-5)
    alone = registration_half(network, placed, images[1:2], chosen[1:2], classes=2)
    assert torch.allclose(together[1:2], alone, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_the_model_is_rebuilt_from_its_specification():
    options = CombinedOptions.parse(OPTIONS, source="test")
    built = build_network(combined_spec(options), dimensions=2, channels=1, classes=2)
    assert isinstance(built, Combined)
    assert len(built.atlases) == 2
    assert built.whole_scans
    with pytest.raises(UsageError, match="is not 3-D"):
        build_network(combined_spec(options), dimensions=3, channels=1, classes=2)


def test_numbers_that_are_not_finite_are_told():
    with pytest.raises(DataError, match="segmentation network is not finite"):
        _combined()(torch.full((1, 1, *SIZE), torch.nan))
