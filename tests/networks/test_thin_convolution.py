import pytest
import torch
from torch import nn

from fewscan.networks.registry import NetworkSpec, build_network
from fewscan.networks.thin_convolution import SafeConv3d, make_safe

SPECS = [
    NetworkSpec(name="unet"),
    NetworkSpec(name="vnet"),
    NetworkSpec(name="residual_unet"),
    NetworkSpec(name="monai:BasicUNet"),
]


@pytest.mark.parametrize(("kernel", "thin"), [(1, ()), (3, (2,)), (5, (3, 4))])
def test_float32_where_the_map_is_thin_and_torch_elsewhere(kernel, thin):
    torch.manual_seed(0)
    plain = nn.Conv3d(4, 3, kernel, padding=kernel // 2)
    safe = SafeConv3d(4, 3, kernel, padding=kernel // 2)
    safe.load_state_dict(plain.state_dict())
    for side in range(1, 7):
        x = torch.randn(2, 4, side, 3, 3)
        with torch.autocast("cpu", torch.bfloat16):
            found, rounded = safe(x), plain(x)
        assert found.dtype == torch.bfloat16
        assert torch.equal(found, plain(x).bfloat16() if side in thin else rounded)


def test_gradient_is_right_whatever_lies_in_memory():
    torch.manual_seed(0)
    plain = nn.Conv3d(16, 16, 3, padding=1)
    safe = SafeConv3d(16, 16, 3, padding=1)
    safe.load_state_dict(plain.state_dict())
    x = torch.randn(2, 16, 2, 3, 3)
    plain(x).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        y = safe(x)
    junk = [torch.full((size,), 1e30) for size in (100_000, 50_000, 20_000, 6912) * 4]
    del junk
    y.float().sum().backward()
    torch.testing.assert_close(safe.weight.grad, plain.weight.grad)


def test_without_autocast_it_is_torch():
    layer, x = nn.Conv3d(2, 3, 3), torch.randn(1, 2, 4, 4, 4)
    expected = layer(x)
    assert torch.equal(make_safe(nn.Sequential(layer))(x), expected)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_no_network_has_another(spec):
    network = build_network(spec, dimensions=3, channels=1, classes=2)
    kinds = {type(module) for module in network.modules() if isinstance(module, nn.Conv3d)}
    assert kinds == {SafeConv3d}
