import pytest
import torch

from fewscan.errors import UsageError
from fewscan.networks.builder import NetworkBuilder, counterpart
from fewscan.networks.ema import check_same_shapes
from fewscan.networks.registry import NetworkSpec, build_network

SMALL = NetworkSpec(name="unet", options={"filters": [4, 8]})


def test_builds_the_runs_network_with_new_weights_each_time():
    build = NetworkBuilder(SMALL, patch_size=(8, 8), channels=2, classes=3)
    first, second = build(), build()
    check_same_shapes([first, second])
    images = torch.randn(1, 2, 8, 8)
    assert first(images).shape == (1, 3, 8, 8)
    assert not torch.equal(first(images), second(images))


def test_builds_another_network_for_the_same_data_with_levels_that_fit_the_patch():
    build = NetworkBuilder(SMALL, patch_size=(16, 24), channels=2, classes=3)
    other = build(NetworkSpec(name="residual_unet"))
    # at least three voxels remain: 16 is halved twice, 24 three times; five levels would need multiples of 16
    assert other.divisors == (4, 8)
    assert other(torch.randn(1, 2, 16, 24)).shape == (1, 3, 16, 24)


def test_another_network_that_cannot_take_the_patch_names_the_next_one_that_it_can():
    build = NetworkBuilder(SMALL, patch_size=(32, 40, 31), channels=1, classes=2)
    with pytest.raises(UsageError, match=r"vnet.*32x40x31.*multiples of 16x16x16") as caught:
        build(NetworkSpec(name="vnet"))
    assert "patch_size=[32, 48, 32]" in caught.value.mend


@pytest.mark.parametrize(
    ("patch", "next_one"), [((32, 32), "[32, 64]"), ((40, 24), "[64, 32]"), ((24, 20), "[64, 32]")]
)
def test_a_patch_that_leaves_one_voxel_is_refused_when_the_network_is_built(patch, next_one):
    """A Swin transformer halves five times and cannot normalise one voxel: 32x32 divides, and yet is too small."""
    build = NetworkBuilder(SMALL, patch_size=patch, channels=1, classes=2)
    options = {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1], "window_size": 4}
    swin = NetworkSpec(name="monai:SwinUNETR", options=options)
    size = "x".join(map(str, patch))
    with pytest.raises(UsageError, match=f"take patches of {size}: .* of 32x32") as caught:
        build(swin)
    assert f"patch_size={next_one}" in caught.value.mend
    taken = NetworkBuilder(SMALL, patch_size=(32, 64), channels=1, classes=2)(swin)
    assert taken.training
    assert taken(torch.zeros(1, 1, 32, 64)).shape == (1, 2, 32, 64)


def test_the_runs_own_architecture_is_not_refused_as_its_patch_is_rounded_up():
    build = NetworkBuilder(NetworkSpec(name="vnet"), patch_size=(40, 40), channels=1, classes=2)
    assert build(NetworkSpec(name="vnet", options={"residual": True})).divisors == (16, 16)


def test_a_fitted_spec_of_the_runs_architecture_keeps_the_options_that_are_not_named():
    build = NetworkBuilder(SMALL, patch_size=(16, 16), channels=1, classes=2)
    nearest = NetworkSpec(name="unet", options={"upsampling": "nearest"})
    assert build.fitted(nearest).options == {"filters": [4, 8], "upsampling": "nearest"}
    assert build.fitted(NetworkSpec(name="vnet")) == NetworkSpec(name="vnet")


def test_a_fitted_spec_alone_builds_the_same_network():
    build = NetworkBuilder(SMALL, patch_size=(16, 24), channels=2, classes=3)
    spec = build.fitted(NetworkSpec(name="residual_unet"))
    check_same_shapes([build(spec), build_network(spec, dimensions=2, channels=2, classes=3)])


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("unet", {"filters": [4, 8]}, {"upsampling": "nearest", "residual": True}),
        ("unet", {"filters": [4, 8], "upsampling": "nearest"}, {"upsampling": "linear", "residual": True}),
        ("unet", {"filters": [4, 8], "upsampling": "transposed"}, {"upsampling": "transposed", "residual": True}),
        ("residual_unet", {"filters": [4, 8], "upsampling": "linear"}, {"upsampling": "nearest"}),
        ("residual_unet", {"filters": [4, 8]}, {"upsampling": "transposed"}),
        ("vnet", {"upsampling": "linear"}, {"upsampling": "nearest", "residual": True}),
        ("vnet", {"residual": True}, {"upsampling": "transposed", "residual": False}),
    ],
)
def test_a_counterpart_differs_in_structure_and_not_in_shapes(name, options, expected):
    spec = NetworkSpec(name=name, options=options)
    other = counterpart(spec)
    assert other.options == {**options, **expected}
    build = NetworkBuilder(spec, patch_size=(16, 16), channels=1, classes=2)
    networks = [build().eval(), build(other).eval()]
    check_same_shapes(networks)
    networks[1].load_state_dict(networks[0].state_dict())
    images = torch.randn(1, 1, 32, 32)
    same = torch.allclose(*(network(images) for network in networks))
    assert same == (name == "residual_unet" and not options.get("upsampling"))


def test_one_that_is_to_be_averaged_differs_in_its_up_sampling_alone():
    vnet = NetworkSpec(name="vnet", options={"upsampling": "linear"})
    assert counterpart(vnet, averageable=True).options == {"upsampling": "nearest"}
    assert counterpart(NetworkSpec(name="vnet"), averageable=True).options == {"upsampling": "transposed"}


def test_other_networks_are_their_own_counterpart():
    spec = NetworkSpec(name="monai:DynUNet")
    assert counterpart(spec) == spec
