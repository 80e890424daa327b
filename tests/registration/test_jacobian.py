"""Jacobian determinants with known answers."""

import math

import pytest
import torch

from fewscan.registration.jacobian import fold_fraction, jacobian_determinant, sd_log_jacobian


@pytest.mark.parametrize("size", [(6, 7), (5, 6, 7)])
def test_an_affine_field_has_its_determinant_everywhere(size, affine_displacement):
    dimensions = len(size)
    matrix = torch.eye(dimensions, dimensions + 1)[None] + 0.4 * torch.randn(2, dimensions, dimensions + 1)
    determinant = jacobian_determinant(affine_displacement(matrix, size))
    expected = torch.linalg.det(matrix[:, :, :dimensions]).reshape(2, *[1] * dimensions).expand(2, *size)
    torch.testing.assert_close(determinant, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(6, 9), (5, 6, 9)])
@pytest.mark.parametrize("axis", [0, 1])
def test_component_k_belongs_to_axis_k(size, axis):
    # u_k = 0.5 p_k stretches by 1.5; the same values in another component only shear
    dimensions = len(size)
    ramp = 0.5 * torch.arange(float(size[axis])).reshape([-1 if k == axis else 1 for k in range(dimensions)])
    for component in range(dimensions):
        field = torch.zeros(1, dimensions, *size)
        field[0, component] = ramp
        expected = 1.5 if component == axis else 1.0
        torch.testing.assert_close(jacobian_determinant(field), torch.full((1, *size), expected))


def test_a_mirror_folds_everywhere(affine_displacement):
    matrix = torch.tensor([[[-1.0, 0, 7], [0, 1, 0]]])
    determinant = jacobian_determinant(affine_displacement(matrix, (8, 5)))
    torch.testing.assert_close(determinant, torch.full((1, 8, 5), -1.0))
    assert fold_fraction(determinant).tolist() == [1.0]


def test_central_differences_inside_and_one_sided_ones_at_the_border():
    field = torch.zeros(1, 2, 4, 2)
    field[0, 0] = torch.tensor([0.0, 1.0, 4.0, 9.0])[:, None]
    assert jacobian_determinant(field)[0, :, 0].tolist() == [2, 3, 5, 6]


def test_a_determinant_of_zero_is_a_fold():
    determinant = torch.tensor([[[1.0, 0.0], [-0.5, 2.0]], [[1.0, 1.0], [1.0, 1e-6]]])
    assert fold_fraction(determinant).tolist() == [0.5, 0.0]
    mask = torch.tensor([[[1, 1], [1, 0]], [[0, 0], [0, 0]]])
    found = fold_fraction(determinant, mask=mask)
    assert found[0].item() == pytest.approx(2 / 3)
    assert found[1].isnan()


def test_spread_of_the_logarithm_by_hand():
    determinant = torch.tensor([[[math.e, 1 / math.e]], [[3.0, 3.0]], [[1.0, -1.0]]])
    found = sd_log_jacobian(determinant)
    # the fold counts as ln 1e-9 = -20.72; with 0 beside it the deviation is half of that
    assert found.tolist() == pytest.approx([1.0, 0.0, 10.3616], abs=1e-4)
    mask = torch.tensor([[[True, False]]]).expand(3, 1, 2)
    assert sd_log_jacobian(determinant, mask=mask).tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_one_voxel_along_an_axis_keeps_volume():
    assert jacobian_determinant(torch.rand(1, 3, 1, 1, 1)).item() == 1


def test_half_precision_is_raised_and_wrong_shapes_refused():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert jacobian_determinant(torch.zeros(1, 2, 3, 4, dtype=torch.bfloat16)).dtype == torch.float32
    with pytest.raises(ValueError, match="expected a mask"):
        fold_fraction(torch.ones(1, 3, 4), mask=torch.ones(1, 4, 3))
    with pytest.raises(ValueError, match="expected a field"):
        jacobian_determinant(torch.zeros(1, 3, 4, 4))
