"""The V-Net against published parameter counts, and its variants that can be averaged."""

import pytest
import torch

from fewscan.networks.vnet import Level, VNet, VNetOptions


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_as_published():
    network = VNet(dimensions=3, channels=1, classes=2)
    # 9.449 M in all; MC-Net's decoders with their heads
    assert count(network) == 9_448_866
    assert count(network.decoder) + count(network.head) == 2_071_970
    for upsampling in ("linear", "nearest"):
        variant = VNet(dimensions=3, channels=1, classes=2, options=VNetOptions(upsampling=upsampling))
        assert count(variant.decoder) + count(variant.head) == 2_898_850
        assert count(variant.encoder) == count(network.encoder)
    assert network.divisors == (16, 16, 16)


def test_students_of_the_co_learning_paper_have_parameters_of_equal_names_and_shapes():
    one = VNet(dimensions=3, channels=1, classes=2, options=VNetOptions(upsampling="linear"))
    two = VNet(dimensions=3, channels=1, classes=2, options=VNetOptions(upsampling="nearest", residual=True))
    shapes = [{name: tuple(value.shape) for name, value in net.state_dict().items()} for net in (one, two)]
    assert shapes[0] == shapes[1]
    two.load_state_dict(one.state_dict())
    images = torch.randn(1, 1, 32, 16, 16)
    assert not torch.allclose(one.eval()(images), two.eval()(images))


@pytest.mark.parametrize("channels", [1, 3])
def test_residual_level_adds_its_input_or_the_mean_of_the_images(channels):
    level = Level(channels, 3, convolutions=2, dimensions=2, norm="batch", residual=True)
    torch.nn.init.zeros_(level.blocks[-1].conv.weight)
    torch.nn.init.zeros_(level.blocks[-1].conv.bias)
    x = torch.randn(2, channels, 4, 4)
    torch.testing.assert_close(level(x), torch.relu(x).expand(2, 3, 4, 4))


def test_residual_level_of_other_width_adds_the_mean():
    level = Level(2, 3, convolutions=1, dimensions=2, norm="batch", residual=True)
    torch.nn.init.zeros_(level.blocks[-1].conv.weight)
    torch.nn.init.zeros_(level.blocks[-1].conv.bias)
    x = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    assert level(x).unique().tolist() == [2]


def test_skips_are_added():
    options = VNetOptions(filters=(4, 8), convolutions=(1, 1), dropout=0.0)
    network = VNet(dimensions=2, channels=1, classes=2, options=options).eval()
    skips = network.encode(torch.randn(1, 1, 8, 8))
    up = network.decoder.ups[0](skips[1])
    torch.testing.assert_close(network.decode(skips)[0], network.decoder.levels[0](up + skips[0]))


def test_dropout_drops_whole_channels_at_the_bottleneck_and_before_the_head():
    torch.manual_seed(0)
    network = VNet(dimensions=3, channels=1, classes=2)
    skips = network.encode(torch.randn(2, 1, 32, 32, 32))
    scales = network.decode(skips)
    for features in (skips[-1], scales[0]):
        empty = (features == 0).flatten(2).all(dim=2)
        assert 0.2 < empty.float().mean().item() < 0.8
    assert not (skips[0] == 0).flatten(2).all(dim=2).any()


def test_batch_norm_takes_a_single_voxel_when_it_need_not_learn_its_statistics():
    network = VNet(dimensions=2, channels=1, classes=2).eval()
    assert network(torch.randn(1, 1, 16, 16)).shape == (1, 2, 16, 16)
    # two samples are enough to train on
    assert network.train()(torch.randn(2, 1, 16, 16)).shape == (2, 2, 16, 16)
