"""Outputs beside a network's own, and what of them a model file needs: nothing."""

import pytest
import torch
from torch import nn

from fewscan.errors import UsageError
from fewscan.networks.heads import MultiDecoder, MultiHead, MultiScale, open_network
from fewscan.networks.registry import NetworkSpec, build_network, network_names

OPTIONS = {"filters": [4, 8, 8], "dropout": 0.0}


def small(name="unet", dimensions=2, classes=3, **options):
    torch.manual_seed(0)
    levels = {"convolutions": [1, 2, 2]} if name == "vnet" else {}
    spec = NetworkSpec(name=name, options={**OPTIONS, **levels, **options})
    return build_network(spec, dimensions=dimensions, channels=1, classes=classes)


every_network = pytest.mark.parametrize("name", network_names())
every_dimension = pytest.mark.parametrize("dimensions", [2, 3])


@every_network
@every_dimension
def test_two_heads_on_one_feature_map(name, dimensions):
    heads = MultiHead(small(name, dimensions, classes=4)).eval()
    images = torch.randn(2, 1, *[16] * dimensions)
    logits, distances = heads(images)
    assert torch.equal(logits, heads.network(images))
    assert distances.shape == (2, 3, *images.shape[2:])
    wanted = torch.tanh(heads.distance(heads.network.features(images)))
    assert torch.equal(distances, wanted)


@every_network
@every_dimension
def test_scales_have_the_size_of_the_images_and_the_network_answers_first(name, dimensions):
    scales = MultiScale(small(name, dimensions), dropout=(0.1, 0.2, 0.3, 0.5))
    images = torch.randn(2, 1, *[16] * dimensions)
    every = scales(images)
    assert [logits.shape for logits in every] == [(2, 3, *images.shape[2:])] * 2
    torch.stack(every).sum().backward()
    assert all(parameter.grad is not None for parameter in scales.parameters())
    scales.eval()
    assert torch.equal(scales(images)[0], scales.network(images))
    coarse = scales.network.decode(scales.network.encode(images))[1]
    mode = "bilinear" if dimensions == 2 else "trilinear"
    wanted = nn.functional.interpolate(scales.heads[0].head(coarse), scale_factor=2, mode=mode)
    torch.testing.assert_close(scales(images)[1], wanted)


@every_network
@pytest.mark.parametrize(("dropped", "changed"), [(0, [True, False]), (1, [True, True])])
def test_what_a_scale_drops_is_missing_from_all_finer_ones(name, dropped, changed):
    """As in the code of URPC's authors: its dropout is in the decoder, not before the heads."""
    scales = MultiScale(small(name), dropout=(0.9, 0.9)).eval()
    images = torch.randn(1, 1, 16, 16)
    before = scales(images)
    scales.dropouts[dropped].train()
    assert [not torch.equal(a, b) for a, b in zip(before, scales(images), strict=True)] == changed
    assert torch.equal(scales.network(images), before[0])


def test_scales_of_a_network_that_spares_an_axis():
    network = small(dimensions=3, strides=[[2, 2, 1], [2, 2, 2]], filters=[4, 4, 4])
    scales = MultiScale(network, dropout=(0.0, 0.0))
    assert [logits.shape[2:] for logits in scales(torch.randn(1, 1, 8, 8, 6))] == [(8, 8, 6)] * 2


def test_fewer_scales_on_request():
    network = small(filters=[4, 4, 4, 4])
    assert len(MultiScale(network, dropout=(0.0, 0.0))(torch.randn(2, 1, 16, 16))) == 2
    assert len(MultiScale(network, dropout=(0.0,) * 4)(torch.randn(2, 1, 16, 16))) == 3


@every_network
@pytest.mark.parametrize("decoders", [2, 3])
def test_decoders_differ_in_up_sampling_alone(name, decoders):
    every = MultiDecoder(small(name), decoders=decoders)
    images = torch.randn(2, 1, 16, 16)
    answers = every(images)
    assert len(answers) == decoders
    torch.stack(answers).sum().backward()
    assert all(parameter.grad is not None for parameter in every.parameters())
    ways = {every.network.options.upsampling} | {
        variant for variant in ("transposed", "linear", "nearest") if variant != every.network.options.upsampling
    }
    assert len(ways) == 3
    shapes = {
        way: {key: value.shape for key, value in small(name, upsampling=way).decoder.state_dict().items()}
        for way in ways
    }
    for branch in every.branches:
        found = {key: value.shape for key, value in branch.decoder.state_dict().items()}
        assert any(found == wanted for way, wanted in shapes.items() if way != every.network.options.upsampling)
    every.eval()
    assert torch.equal(every(images)[0], every.network(images))
    skips = every.network.encode(images)
    branch = every.branches[0]
    assert torch.equal(every(images)[1], branch.head(branch.decoder(skips)[0]))


def test_published_sizes_of_mc_net():
    network = build_network(NetworkSpec(name="vnet"), dimensions=3, channels=1, classes=2)
    for decoders, wanted in ((2, 12_347_716), (3, 15_246_566)):
        counted = sum(parameter.numel() for parameter in MultiDecoder(network, decoders=decoders).parameters())
        assert counted == wanted  # 9 448 866, and 2 898 850 for each decoder more


def test_variant_changes_one_option_and_its_weights_are_new():
    network = small("vnet", residual=True)
    other = network.variant(upsampling="nearest")
    assert other.options == network.options.model_copy(update={"upsampling": "nearest"})
    assert not torch.equal(other.head.weight, network.head.weight)
    with pytest.raises(UsageError, match="options of network 'vnet': upsampling"):
        network.variant(upsampling="cubic")


def test_networks_without_features_are_refused_by_name():
    with pytest.raises(UsageError, match="method dtc adds outputs"):
        open_network(nn.Conv2d(1, 2, 1), wanted_by="dtc")
