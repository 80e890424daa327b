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


@pytest.mark.parametrize(("kernel", "thin"), [(1, ()), (3, (1, 2)), (5, (1, 2, 3, 4))])
def test_float32_where_the_map_is_thin_and_torch_elsewhere(kernel, thin):
    torch.manual_seed(0)
    plain = nn.Conv3d(4, 3, kernel, padding=kernel // 2)
    safe = SafeConv3d(4, 3, kernel, padding=kernel // 2)
    safe.load_state_dict(plain.state_dict())
    for axis in range(3):
        for side in range(1, 7):
            size = [5, 5, 5]
            size[axis] = side
            x = torch.randn(2, 4, *size)
            with torch.autocast("cpu", torch.bfloat16):
                found, rounded = safe(x), plain(x)
            assert found.dtype == torch.bfloat16
            assert torch.equal(found, plain(x).bfloat16() if side in thin else rounded)


def test_padding_given_as_a_word():
    torch.manual_seed(0)
    plain = nn.Conv3d(4, 3, 3, padding="same")
    safe = make_safe(nn.Sequential(plain))
    for side in (2, 3):
        x = torch.randn(2, 4, side, 3, 3)
        exact = plain(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(safe(x), exact.bfloat16()) == (side == 2)


@pytest.mark.parametrize(
    ("kernel", "stride", "size"),
    [(3, 1, (2, 3, 3)), (5, 1, (2, 3, 3)), (5, 1, (4, 6, 6)), (5, 1, (6, 1, 5)), (3, 2, (5, 1, 3)), (4, 2, (6, 2, 3))],
)
def test_gradient_is_right_whatever_lies_in_memory(kernel, stride, size):
    torch.manual_seed(0)
    padding = (kernel - 1) // 2
    plain = nn.Conv3d(16, 16, kernel, stride, padding)
    safe = SafeConv3d(16, 16, kernel, stride, padding)
    safe.load_state_dict(plain.state_dict())
    x = torch.randn(2, 16, *size)
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
