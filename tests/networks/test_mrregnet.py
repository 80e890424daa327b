"""MrRegNet: published sizes, any image size, the combination of its levels."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from fewscan.displacement import exponentiate, resize_displacement, warp
from fewscan.errors import UsageError
from fewscan.networks.blocks import CHANNELS_LAST
from fewscan.networks.mrregnet import MrRegNet, MrRegNetOptions
from fewscan.registration.jacobian import jacobian_determinant


def network(dimensions: int = 2, channels: int = 1, **options: Any) -> MrRegNet:
    torch.manual_seed(0)
    wanted = MrRegNetOptions(**({"filters": (4, 6, 8), "head_std": None} | options))
    return MrRegNet(dimensions=dimensions, channels=channels, options=wanted)


@pytest.mark.parametrize(("dimensions", "levels", "parameters"), [(2, 5, 307_018), (3, 5, 907_183), (3, 4, 702_668)])
def test_published_numbers_of_parameters(dimensions, levels, parameters):
    net = network(dimensions, filters=(32,) * levels)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_published_depths_are_the_default():
    assert MrRegNet(dimensions=2, channels=1).levels == 5
    assert MrRegNet(dimensions=3, channels=1).levels == 4


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((37, 50, 33), [(10, 13, 9), (19, 25, 17), (37, 50, 33)]),
        ((8, 12, 16), [(2, 3, 4), (4, 6, 8), (8, 12, 16)]),
        ((21, 30), [(6, 8), (11, 15), (21, 30)]),
        ((1, 5), [(1, 2), (1, 3), (1, 5)]),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_any_size_has_fields_on_grids_that_halve_and_every_weight_a_gradient(size, sizes, channels):
    net = network(len(size), channels)
    moving, fixed = torch.randn(2, 2, channels, *size)
    levels = net(moving, fixed)
    assert [tuple(level.displacement_vox.shape) for level in levels] == [(2, len(size), *shape) for shape in sizes]
    assert all(level.residual_vox.shape == level.displacement_vox.shape for level in levels)
    assert torch.equal(net.displacement(moving, fixed), levels[-1].displacement_vox)
    sum(level.displacement_vox.square().mean() for level in levels).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_last_field_alone_reaches_every_level():
    net = network(2)
    net.displacement(*torch.randn(2, 1, 1, 16, 16)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in net.parameters())


@pytest.mark.parametrize("size", [(21, 30), (13, 12, 9)])
def test_levels_add_their_residual_to_the_resized_field_below(size):
    levels = network(len(size))(*torch.randn(2, 2, 1, *size))
    assert torch.equal(levels[0].displacement_vox, levels[0].residual_vox)
    for below, level in pairwise(levels):
        expected = resize_displacement(below.displacement_vox, level.residual_vox.shape[2:]) + level.residual_vox
        torch.testing.assert_close(level.displacement_vox, expected)


def test_integrated_levels_exponentiate_the_sum_of_velocities_and_do_not_fold():
    net = network(2, integration_steps=7)
    with torch.no_grad():
        net.heads[0].weight.mul_(0)
        net.heads[1].weight.mul_(100)  # the field below is doubled and smooth; as a displacement it folds
    levels = net(*torch.randn(2, 1, 1, 24, 28))
    total = levels[0].residual_vox
    torch.testing.assert_close(levels[0].displacement_vox, exponentiate(total, steps=7))
    for level in levels[1:]:
        total = resize_displacement(total, level.residual_vox.shape[2:]) + level.residual_vox
        torch.testing.assert_close(level.displacement_vox, exponentiate(total, steps=7))
    assert jacobian_determinant(total).min() < 0
    assert jacobian_determinant(levels[-1].displacement_vox).min() > 0


@pytest.mark.parametrize(("size", "finest"), [((37, 50, 33), (19, 25, 17)), ((24, 30), (12, 15))])
def test_half_resolution_returns_the_field_at_the_images_size(size, finest):
    net = network(len(size), output_stride=2)
    moving, fixed = torch.randn(2, 1, 1, *size)
    last = net(moving, fixed)[-1].displacement_vox
    assert last.shape[2:] == finest
    torch.testing.assert_close(net.displacement(moving, fixed), resize_displacement(last, size))


def test_strides_spare_an_axis_at_the_levels_and_at_half_resolution():
    strides = ((2, 2, 1), (2, 2, 2))
    moving, fixed = torch.randn(2, 1, 1, 16, 20, 6)
    sizes = [tuple(level.residual_vox.shape[2:]) for level in network(3, strides=strides)(moving, fixed)]
    assert sizes == [(4, 5, 3), (8, 10, 6), (16, 20, 6)]
    halved = network(3, strides=strides, output_stride=2)(moving, fixed)
    assert [tuple(level.residual_vox.shape[2:]) for level in halved] == [(2, 3, 3), (4, 5, 6), (8, 10, 6)]


def test_training_starts_at_the_identity_unless_told():
    moving, fixed = torch.rand(2, 1, 1, 16, 16)
    assert network(head_std=1e-5).displacement(moving, fixed).abs().max() < 1e-3
    assert network(head_std=None).displacement(moving, fixed).abs().max() > 1e-2


@pytest.mark.parametrize("dimensions", [2, 3])
def test_fields_are_float32_under_autocast_and_close_to_full_precision(dimensions):
    net = network(dimensions, integration_steps=2)
    moving, fixed = torch.rand(2, 1, 1, *[13] * dimensions)
    plain = net.displacement(moving, fixed)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        levels = net(moving, fixed)
    assert all(tensor.dtype == torch.float32 for level in levels for tensor in level)
    torch.testing.assert_close(levels[-1].displacement_vox, plain, atol=0.03, rtol=0.03)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_channels_last_stays_so_and_changes_nothing_but_the_speed(dimensions):
    moving, fixed = torch.rand(2, 2, 2, *[13] * dimensions)
    plain, fast = network(dimensions, 2), network(dimensions, 2).to(memory_format=CHANNELS_LAST[dimensions])
    a = plain.displacement(moving, fixed)
    b = fast.displacement(moving, fixed)
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)
    layouts = []
    for module in fast.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d):
            module.register_forward_hook(lambda _, inputs, __: layouts.append(inputs[0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast(moving, fixed)
    assert all(x.is_contiguous(memory_format=CHANNELS_LAST[dimensions]) for x in layouts[1:])
    # only the images themselves come in another precision
    assert all(x.dtype == torch.bfloat16 for x in layouts[1:])


@pytest.mark.parametrize("options", [{}, {"output_stride": 2}, {"integration_steps": 4}])
def test_a_few_steps_find_a_translation(options):
    axes = torch.meshgrid(torch.arange(24.0), torch.arange(28.0), indexing="ij")
    fixed = torch.exp(-((axes[0] - 10) ** 2 + (axes[1] - 14) ** 2) / 30)[None, None]
    moving = torch.exp(-((axes[0] - 13) ** 2 + (axes[1] - 14) ** 2) / 30)[None, None]
    net = network(filters=(8, 8, 8), head_std=1e-5, **options)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.005)
    start = (moving - fixed).square().mean()
    for _ in range(60):
        optimiser.zero_grad()
        loss = (warp(moving, net.displacement(moving, fixed)) - fixed).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 0.2 * start
    # the blob is found 3 voxels further along axis 0
    assert net.displacement(moving, fixed)[0, 0, 10, 14].item() == pytest.approx(3, abs=1)


def test_images_that_do_not_fit_are_refused():
    net = network(2, channels=2)
    with pytest.raises(UsageError, match=r"'mrregnet': expected two images .* 2 channel\(s\) and 2 spatial axes"):
        net(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 9))
    with pytest.raises(UsageError, match="expected two images"):
        net(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    with pytest.raises(UsageError, match="expected two images"):
        net(torch.zeros(1, 2, 8, 8, 8), torch.zeros(1, 2, 8, 8, 8))
