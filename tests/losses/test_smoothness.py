"""Squared gradients by hand."""

import pytest
import torch

from fewscan.losses.smoothness import squared_gradient


def test_by_hand():
    field = torch.zeros(1, 2, 2, 3)
    field[0, 1] = torch.tensor([[0.0, 1.0, 3.0], [0.0, 0.0, 0.0]])
    # along axis 0: differences 0, -1, -3 in one of two components: 10 / 6; along axis 1: 1, 2, 0, 0: 5 / 8
    assert squared_gradient(field).item() == pytest.approx((10 / 6 + 5 / 8) / 2)


@pytest.mark.parametrize("size", [(4, 5), (4, 5, 6)])
def test_a_translation_is_smooth_and_a_slope_of_2_costs_its_square(size):
    dimensions = len(size)
    assert squared_gradient(torch.full((2, dimensions, *size), 3.5)).item() == 0
    field = torch.zeros(2, dimensions, *size)
    field[:, 0] = 2 * torch.arange(4.0).reshape(-1, *[1] * (dimensions - 1))
    assert squared_gradient(field).item() == pytest.approx(4 / dimensions**2)


def test_axes_of_one_voxel_add_nothing_and_keep_the_gradient():
    field = torch.rand(1, 3, 1, 1, 1, requires_grad=True)
    value = squared_gradient(field)
    value.backward()
    assert value.item() == 0
    assert field.grad is not None
    thin = torch.zeros(1, 3, 1, 4, 5)
    thin[:, 0] = 2 * torch.arange(5.0)
    assert squared_gradient(thin).item() == pytest.approx(4 / 9)


def test_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert squared_gradient(torch.rand(1, 2, 4, 4, dtype=torch.bfloat16)).dtype == torch.float32
