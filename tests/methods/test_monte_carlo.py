import pytest
import torch

from fewscan.errors import UsageError
from fewscan.methods.monte_carlo import mean_over_dropout, mean_over_noise
from fewscan.networks.registry import NetworkSpec, build_network


def network(name="unet", dimensions=3, **options):
    torch.manual_seed(0)
    spec = NetworkSpec(name=name, options={"filters": [4, 8], **options})
    return build_network(spec, dimensions=dimensions, channels=1, classes=3)


def count_calls(module):
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("at_once", [1, 2, 3, 8])
def test_noise_passes_equal_separate_ones_however_they_are_batched(at_once):
    net = network().eval()
    images = torch.randn(2, 1, 16, 16, 16)
    torch.manual_seed(3)
    with torch.no_grad():
        separate = [
            torch.softmax(net(images + (0.1 * torch.randn_like(images)).clamp(-0.2, 0.2)), dim=1) for _ in range(5)
        ]
    torch.manual_seed(3)
    mean = mean_over_noise(net, images, passes=5, std=0.1, clip=0.2, at_once=at_once)
    torch.testing.assert_close(mean, torch.stack(separate).mean(0))


def test_bfloat16_agrees_within_its_precision():
    net = network().eval()
    images = torch.randn(2, 1, 16, 16, 16)
    torch.manual_seed(3)
    exact = mean_over_noise(net, images, passes=4, std=0.1, clip=0.2)
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16):
        rough = mean_over_noise(net, images, passes=4, std=0.1, clip=0.2)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.02, rtol=0)


@pytest.mark.parametrize(("name", "options"), [("unet", {}), ("residual_unet", {}), ("vnet", {"convolutions": [1, 1]})])
def test_dropout_passes_share_the_encoder_and_equal_whole_passes(name, options):
    net = network(name, dimensions=2, dropout=0.5, **options).eval()
    images = torch.randn(2, 1, 16, 16)
    layers = [module for module in net.modules() if isinstance(module, torch.nn.modules.dropout._DropoutNd)]
    torch.manual_seed(3)
    for layer in layers:
        layer.train()
    with torch.no_grad():
        whole = torch.stack([torch.softmax(net(images), dim=1) for _ in range(3)])
    for layer in layers:
        layer.eval()
    assert not torch.equal(whole[0], whole[1])
    calls = count_calls(net.encoder.levels[0])
    torch.manual_seed(3)
    mean = mean_over_dropout(net, images, passes=3)
    torch.testing.assert_close(mean, whole.mean(0))
    assert len(calls) == 1
    assert not any(layer.training for layer in layers)


def test_no_graph():
    images = torch.randn(1, 1, 16, 16, 16)
    assert not mean_over_noise(network(), images, passes=1, std=0.1, clip=0.2).requires_grad
    assert not mean_over_dropout(network(), images, passes=1).requires_grad


def test_dropout_needs_a_network_that_has_it():
    with pytest.raises(UsageError, match="dropout above 0"):
        mean_over_dropout(network(dropout=0.0), torch.zeros(1, 1, 16, 16, 16), passes=2)
    with pytest.raises(UsageError, match="dropout above 0"):
        mean_over_dropout(torch.nn.Conv2d(1, 2, 1), torch.zeros(1, 1, 16, 16), passes=2)


def test_at_least_one_pass():
    with pytest.raises(ValueError, match="at least one pass, got 0"):
        mean_over_noise(network(), torch.zeros(1, 1, 16, 16, 16), passes=0, std=0.1, clip=0.2)
