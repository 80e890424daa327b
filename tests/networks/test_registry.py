"""What every network of the registry promises, and what the registry says to wrong names and options."""

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.networks.blocks import CHANNELS_LAST
from fewscan.networks.mrregnet import MrRegNet
from fewscan.networks.registry import (
    NetworkSpec,
    build_network,
    fit_levels,
    fit_registration_levels,
    is_registration_network,
    network_names,
    registration_network_names,
)

SMALL = {"unet": {"filters": [4, 8, 8]}, "residual_unet": {"filters": [4, 8, 8]}}
SMALL["vnet"] = {"filters": [4, 8, 8], "convolutions": [1, 2, 2]}


def small(name: str, dimensions: int = 2, channels: int = 1, classes: int = 2, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    spec = NetworkSpec(name=name, options={**SMALL[name], **options})
    return build_network(spec, dimensions=dimensions, channels=channels, classes=classes)


def test_the_small_networks_are_all_networks():
    assert set(SMALL) == set(network_names())


@pytest.mark.parametrize("name", network_names())
@pytest.mark.parametrize(("dimensions", "channels", "classes"), [(2, 1, 2), (2, 4, 5), (3, 2, 3)])
def test_logits_have_the_size_of_the_images_and_every_weight_a_gradient(name, dimensions, channels, classes):
    network = small(name, dimensions, channels, classes)
    size = (8, 12, 16)[:dimensions]
    logits = network(torch.randn(2, channels, *size))
    assert logits.shape == (2, classes, *size)
    logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.divisors == (4,) * dimensions


@pytest.mark.parametrize("name", network_names())
def test_parts_are_open_to_methods(name):
    network = small(name, channels=1, classes=3).eval()
    images = torch.randn(2, 1, 8, 16)
    skips = network.encode(images)
    assert [tuple(skip.shape[1:]) for skip in skips] == [(4, 8, 16), (8, 4, 8), (8, 2, 4)]
    scales = network.decode(skips)
    assert [tuple(scale.shape[1:]) for scale in scales] == [(4, 8, 16), (8, 4, 8)]
    assert [scale.shape[1] for scale in scales] == list(network.decoder.widths)
    assert torch.equal(network.head(scales[0]), network(images))


@pytest.mark.parametrize("name", network_names())
@pytest.mark.parametrize("dimensions", [2, 3])
def test_layout_changes_nothing_but_the_speed(name, dimensions):
    images = torch.randn(2, 2, *[8] * dimensions)
    plain = small(name, dimensions, channels=2, dropout=0.0)
    fast = small(name, dimensions, channels=2, dropout=0.0).to(memory_format=CHANNELS_LAST[dimensions])
    a = plain(images)
    b = fast(images.contiguous(memory_format=CHANNELS_LAST[dimensions]))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)
    a.square().mean().backward()
    b.square().mean().backward()
    for (key, mine), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-3, rtol=1e-2, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("name", network_names())
def test_channels_last_stays_so_to_the_head(name):
    network = small(name, 3).to(memory_format=torch.channels_last_3d)
    images = torch.randn(2, 1, 8, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        skips = network.encode(images)
        scales = network.decode(skips)
    for features in [*skips, *scales]:
        assert features.dtype == torch.bfloat16
        assert features.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("name", network_names())
def test_weights_follow_the_seed(name):
    first, second = small(name), small(name)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("name", network_names())
def test_a_few_steps_learn_one_image(name):
    network = small(name, dropout=0.0)
    images = torch.randn(2, 1, 16, 16)
    labels = (images[:, 0] > 0).long()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("name", network_names())
def test_dropout_is_off_in_evaluation(name):
    network = small(name, dropout=0.5)
    images = torch.randn(2, 1, 16, 16)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


@pytest.mark.parametrize("name", network_names())
def test_wrong_images_are_refused_by_name(name):
    network = small(name, channels=2)
    with pytest.raises(UsageError, match=rf"'{name}': an input of 8x10 is not a multiple of 4"):
        network(torch.zeros(1, 2, 8, 10))
    with pytest.raises(UsageError, match=r"2 channel\(s\) and 2 spatial axes, got \(1, 1, 8, 8\)"):
        network(torch.zeros(1, 1, 8, 8))
    with pytest.raises(UsageError, match=r"got \(1, 2, 8, 8, 8\)"):
        network(torch.zeros(1, 2, 8, 8, 8))


@pytest.mark.parametrize("name", network_names())
def test_a_coarsest_level_of_one_voxel_is_refused(name):
    network = small(name)
    with pytest.raises(UsageError, match="an input of 4x4 leaves one voxel at the coarsest level"):
        network(torch.zeros(1, 1, 4, 4))
    assert network(torch.randn(1, 1, 4, 8)).shape == (1, 2, 4, 8)


def test_unknown_names_and_options_name_the_nearest():
    with pytest.raises(UsageError, match=r"unknown network 'unett': did you mean 'unet'\?"):
        build_network(NetworkSpec(name="unett"), dimensions=2, channels=1, classes=2)
    with pytest.raises(UsageError, match=r"'unet': unknown key 'droput': did you mean 'dropout'\?"):
        build_network(NetworkSpec(options={"droput": 0.1}), dimensions=2, channels=1, classes=2)
    with pytest.raises(UsageError, match="networks are 2-D or 3-D, got 4"):
        build_network(NetworkSpec(), dimensions=4, channels=1, classes=2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet", {"filters": [16]}, "filters"),
        ("unet", {"filters": [16, 0]}, "filters must be positive"),
        ("unet", {"dropout": 1.0}, "dropout"),
        ("unet", {"norm": "layer"}, "norm"),
        ("unet", {"filters": [4, 8], "strides": [[2, 2], [2, 2]]}, "strides needs 1 lists"),
        ("unet", {"filters": [4, 8], "strides": [[2, 0]]}, "strides needs 1 lists"),
        ("residual_unet", {"filters": [4, 8], "strides": [[2, 2, 1]]}, "a 2-D network needs 2 entries"),
        ("vnet", {"filters": [4, 8]}, "convolutions needs one positive entry per level, 2 in all"),
        ("vnet", {"upsampling": "cubic"}, "upsampling"),
    ],
)
def test_bad_option_values_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        build_network(NetworkSpec(name=name, options=options), dimensions=2, channels=1, classes=2)


def test_a_spec_survives_its_yaml_file(tmp_path):
    spec = NetworkSpec(name="unet", options={"filters": [4, 8], "strides": [[2, 2, 1]]})
    spec.write(tmp_path / "network.yaml")
    assert NetworkSpec.read(tmp_path / "network.yaml") == spec


@pytest.mark.parametrize(
    ("patch", "levels"),
    [
        ((40, 56, 40), 4),  # 40 -> 20 -> 10 -> 5
        ((112, 112, 80), 5),  # never more than the published five
        ((96, 80, 48), 5),  # 48 -> 24 -> 12 -> 6 -> 3
        ((16, 16), 3),  # 16 -> 8 -> 4
        ((64, 24), 4),  # the side that can be halved least decides: 24 -> 12 -> 6 -> 3
        ((15, 18), 2),  # never fewer than two
    ],
)
def test_depth_follows_the_patch(patch, levels):
    spec = fit_levels(NetworkSpec(name="unet", options={"dropout": 0.1}), patch)
    assert spec.options == {"dropout": 0.1, "filters": [16, 32, 64, 128, 256][:levels]}


@pytest.mark.parametrize(
    ("patch", "strides"),
    [
        ((8, 96, 96), [[1, 2, 2], [1, 2, 2], [1, 2, 2], [2, 2, 2]]),  # 8 -> 4 at the last step
        ((40, 56, 16), [[2, 2, 1], [2, 2, 2], [2, 2, 2]]),  # 16 -> 8 -> 4; the others three times
        ((16, 8), [[2, 1], [2, 2]]),
    ],
)
@pytest.mark.parametrize("name", ["unet", "residual_unet"])
def test_a_thin_axis_is_spared_at_the_first_levels_and_does_not_make_the_network_shallow(name, patch, strides):
    spec = fit_levels(NetworkSpec(name=name), patch)
    assert spec.options["strides"] == strides
    assert len(spec.options["filters"]) == len(strides) + 1
    network = build_network(spec, dimensions=len(patch), channels=1, classes=2)
    assert network(torch.zeros(1, 1, *patch)).shape == (1, 2, *patch)


def test_depth_stays_where_it_was_chosen():
    for spec in (NetworkSpec(options={"filters": [4, 8]}), NetworkSpec(name="vnet"), NetworkSpec(name="monai:UNet")):
        assert fit_levels(spec, (40, 40)) == spec


def test_registration_networks_are_a_table_of_their_own():
    assert registration_network_names() == ("mrregnet",)
    assert not set(registration_network_names()) & set(network_names())
    assert [is_registration_network(name) for name in ("mrregnet", "unet", "monai:UNet", "??")] == [True] + [False] * 3
    spec = NetworkSpec(name="mrregnet", options={"filters": [4, 4]})
    assert isinstance(build_network(spec, dimensions=3, channels=2), MrRegNet)


def test_a_network_of_the_wrong_kind_is_refused():
    with pytest.raises(UsageError, match=r"'mrregnet' registers images and cannot segment them\s+Use unet, "):
        build_network(NetworkSpec(name="mrregnet"), dimensions=2, channels=1, classes=2)
    for name in ("unet", "monai:UNet"):
        with pytest.raises(UsageError, match=rf"'{name}' does not register images\s+Use mrregnet"):
            build_network(NetworkSpec(name=name), dimensions=2, channels=1)
    with pytest.raises(UsageError, match=r"unknown network 'mrregnett': did you mean 'mrregnet'\?"):
        build_network(NetworkSpec(name="mrregnett"), dimensions=2, channels=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter": [4, 4]}, "did you mean 'filters'"),
        ({"filters": [4, 0]}, "filters must be positive"),
        ({"filters": []}, "filters"),
        ({"strides": [[2, 2]]}, "strides needs filters"),
        ({"filters": [4, 4], "strides": [[2, 3]]}, "strides needs filters"),
        ({"filters": [4, 4], "strides": [[2, 2, 1]]}, "a 2-D network needs 2 entries"),
        ({"output_stride": 3}, "output_stride"),
        ({"integration_steps": -1}, "integration_steps"),
        ({"head_std": 0}, "head_std"),
    ],
)
def test_bad_options_of_mrregnet_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        build_network(NetworkSpec(name="mrregnet", options=options), dimensions=2, channels=1)


@pytest.mark.parametrize(
    ("size", "levels", "strides"),
    [
        ((256, 256), 5, None),  # never more than published
        ((64, 64, 64), 4, None),
        ((37, 50, 33), 4, None),  # 33 -> 17 -> 9 -> 5
        ((49, 60), 5, None),  # 49 -> 25 -> 13 -> 7 -> 4
        ((20, 20), 3, None),  # 20 -> 10 -> 5
        ((12, 12), 2, None),  # 12 -> 6: three would be too few
        ((5, 5), 2, None),  # never fewer than two
        ((96, 96, 10), 4, [[2, 2, 1], [2, 2, 1], [2, 2, 2]]),  # ten slices halve once
    ],
)
def test_registration_levels_follow_the_image(size, levels, strides):
    spec = fit_registration_levels(NetworkSpec(name="mrregnet", options={"output_stride": 1}), size)
    expected = {"output_stride": 1, "filters": [32] * levels} | ({"strides": strides} if strides else {})
    assert spec.options == expected
    assert build_network(spec, dimensions=len(size), channels=1).levels == levels
    assert fit_registration_levels(spec, (8,) * len(size)) == spec
    assert fit_levels(spec, size) == spec
    assert fit_registration_levels(NetworkSpec(), size) == NetworkSpec()
