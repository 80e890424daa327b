"""MONAI's networks by name."""

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.networks.registry import NetworkSpec, build_network

FILTERS = {"channels": [4, 8, 8], "strides": [2, 2]}
DYNUNET = {
    "kernel_size": [3, 3, 3],
    "strides": [1, [2, 4], 2],
    "upsample_kernel_size": [[2, 4], 2],
    "filters": [4, 8, 8],
}
UNETR = {"img_size": 32, "feature_size": 4, "hidden_size": 12, "mlp_dim": 16, "num_heads": 2}


def build(name: str, options: dict[str, object], dimensions: int = 2) -> torch.nn.Module:
    spec = NetworkSpec(name=f"monai:{name}", options=options)
    return build_network(spec, dimensions=dimensions, channels=2, classes=3)


@pytest.mark.parametrize(
    ("name", "options", "dimensions", "divisor"),
    [
        ("UNet", FILTERS, 2, 4),
        ("UNet", FILTERS, 3, 4),
        ("AttentionUnet", FILTERS, 2, 4),
        ("DynUNet", DYNUNET, 2, 8),
        ("SegResNet", {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}, 3, 2),
        ("SegResNetDS", {"init_filters": 8, "blocks_down": [1, 1, 1]}, 2, 4),
        ("BasicUNet", {"features": [4, 4, 4, 4, 4, 4]}, 2, 16),
        ("BasicUNetPlusPlus", {"features": [4, 4, 4, 4, 4, 4]}, 2, 16),
        ("HighResNet", {"divisor": 1}, 2, 1),
    ],
)
def test_logits_and_divisor(name, options, dimensions, divisor):
    network = build(name, options, dimensions)
    size = (32, 16, 16)[:dimensions]
    logits = network(torch.randn(2, 2, *size))
    assert logits.shape == (2, 3, *size)
    assert logits.requires_grad
    assert network.divisors == (divisor,) * dimensions


@pytest.mark.parametrize(
    ("name", "options", "divisor"), [("SwinUNETR", {"feature_size": 12}, 32), ("UNETR", UNETR, 16)]
)
def test_transformers(name, options, divisor):
    pytest.importorskip("einops", reason="MONAI's transformers need einops")
    network = build(name, options)
    side = 64 if name == "SwinUNETR" else 32
    assert network(torch.randn(1, 2, side, side)).shape == (1, 3, side, side)
    assert network.divisors == (divisor, divisor)


@pytest.mark.parametrize("name", ["UNet", "AttentionUnet", "DynUNet"])
def test_networks_that_insist_on_an_architecture_have_a_default(name):
    assert set(build(name, {}).divisors) == {16}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("swinunet", {}, r"MONAI has no network 'swinunet': did you mean 'monai:SwinUNETR'\?"),
        ("UNet", {"stride": [2]}, r"unknown key 'stride': did you mean 'strides'\?"),
        ("UNet", {"in_channels": 3}, "'in_channels' follows from the data"),
        ("UNETR", {}, r"needs the option\(s\) img_size"),
        ("UNet", {"channels": [4, 8, 8], "strides": [2]}, "cannot be built from these options: the length of"),
        ("UNet", {"channels": 3}, "cannot be built from these options"),
    ],
)
def test_wrong_names_and_options(name, options, message):
    with pytest.raises(UsageError, match=message):
        build(name, options)


def test_sizes_and_purposes_that_do_not_fit():
    network = build("UNet", FILTERS)
    with pytest.raises(UsageError, match="'monai:UNet': an input of 8x6 is not a multiple of 4"):
        network(torch.zeros(1, 2, 8, 6))
    classifier = build("DenseNet121", {"init_features": 4, "growth_rate": 2, "block_config": [1, 1]})
    with pytest.raises(UsageError, match=r"does not segment: expected logits \(1, 3, 32, 32\), got \(1, 3\)"):
        classifier.eval()(torch.zeros(1, 2, 32, 32))


def test_one_voxel_at_the_coarsest_level_is_refused_with_the_way_out():
    network = build("SwinUNETR", {"feature_size": 12}).train()
    with pytest.raises(UsageError, match="an input of 32x32 leaves one voxel at the coarsest level") as caught:
        network(torch.zeros(1, 2, 32, 32))
    assert caught.value.mend == "Use larger patches."
