import pytest
import torch
import torch.nn.functional as F

from fewscan.augment.elastic import free_form_grid, linear_part, spline_matrix


def sample(images, grid):
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def still(batch, dimensions, cells=3):
    return torch.zeros(batch, dimensions, *[cells + 3] * dimensions)


def test_spline_weights_by_hand():
    # 2 voxels in 1 cell: centres at t = 1/4 and 3/4. At t = 1/4, times 6: (3/4)^3 = 27/64; 3/64 - 6/16 + 4 = 235/64;
    # -3/64 + 3/16 + 3/4 + 1 = 121/64; 1/64. Sum 384/64 = 6.
    first = torch.tensor([27, 235, 121, 1]) / 384
    torch.testing.assert_close(spline_matrix(2, 1), torch.stack([first, first.flip(0)]))


@pytest.mark.parametrize(("voxels", "cells"), [(1, 4), (7, 3), (48, 4), (5, 9)])
def test_splines_reproduce_constants_and_lines(voxels, cells):
    matrix = spline_matrix(voxels, cells)
    torch.testing.assert_close(matrix.sum(1), torch.ones(voxels))
    centres = (torch.arange(voxels) + 0.5) / voxels * cells
    torch.testing.assert_close(matrix @ (torch.arange(cells + 3.0) - 1), centres)


@pytest.mark.parametrize("size", [(6, 9), (5, 8, 7)])
def test_without_displacement_it_is_the_affine_grid(size):
    matrix = torch.randn(2, len(size), len(size))
    # affine_grid counts axes from the last
    theta = F.pad(matrix.flip(1, 2), (0, 1))
    expected = F.affine_grid(theta, [2, 1, *size], align_corners=False)
    torch.testing.assert_close(free_form_grid(matrix, still(2, len(size)), size), expected, rtol=1e-4, atol=1e-5)


def test_rotation_by_90_degrees_is_rot90_in_2d():
    images = torch.randn(1, 2, 9, 9)
    matrix = linear_part(torch.tensor([[90.0]]), torch.ones(1), (9, 9))
    torch.testing.assert_close(
        sample(images, free_form_grid(matrix, still(1, 2), (9, 9))), torch.rot90(images, 1, (2, 3)), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(("column", "plane"), [(0, (2, 3)), (1, (2, 4)), (2, (3, 4))])
def test_rotation_by_90_degrees_is_rot90_in_3d(column, plane):
    images = torch.randn(1, 1, 6, 6, 6)
    angles = torch.zeros(1, 3)
    angles[0, column] = 90
    matrix = linear_part(angles, torch.ones(1), (6, 6, 6))
    torch.testing.assert_close(
        sample(images, free_form_grid(matrix, still(1, 3), (6, 6, 6))), torch.rot90(images, 1, plane), rtol=0, atol=1e-4
    )


def test_rotation_respects_spacing():
    # 8 x 4 voxels of 1 x 2 mm are a square of 8 x 8 mm. A quarter turn reads (u, v) at (v, -u) in coordinates of
    # [-1, 1], whatever the number of voxels.
    matrix = linear_part(torch.tensor([[90.0]]), torch.ones(1), (8 * 1.0, 4 * 2.0))
    torch.testing.assert_close(matrix[0], torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), rtol=0, atol=1e-6)


def test_rotation_of_unequal_sides():
    # In voxels the turn reads (x, y) at (y, -x); coordinates are x / 4 and y / 2: (u, v) is read at (v / 2, -2 u).
    matrix = linear_part(torch.tensor([[90.0]]), torch.ones(1), (8, 4))
    torch.testing.assert_close(matrix[0], torch.tensor([[0.0, 0.5], [-2.0, 0.0]]), rtol=0, atol=1e-6)


def test_factor_above_one_makes_things_grow():
    images = torch.zeros(1, 1, 20, 20)
    images[..., 7:13, 7:13] = 1
    matrix = linear_part(torch.zeros(1, 1), torch.tensor([1.5]), (20, 20))
    grown = sample(images, free_form_grid(matrix, still(1, 2), (20, 20)))
    # area grows from 36 to 36 * 1.5 ** 2 = 81
    assert grown.sum().item() == pytest.approx(81, rel=0.02)


def test_even_displacement_is_a_translation():
    # All control points move by one cell of 4 voxels along axis 0: the result reads 4 voxels further along.
    images = torch.randn(1, 1, 12, 8)
    displacement = still(1, 2)
    displacement[:, 0] = 1
    grid = free_form_grid(torch.eye(2)[None], displacement, (12, 8))
    expected = F.pad(images[..., 4:, :], (0, 0, 0, 4))
    torch.testing.assert_close(sample(images, grid), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 24), (20, 24, 16)])
def test_the_largest_displacements_do_not_fold(size):
    dimensions = len(size)
    generator = torch.Generator().manual_seed(1)
    # corners of the allowed range are the worst case
    signs = torch.randint(0, 2, (4, dimensions, *[7] * dimensions), generator=generator) * 2.0 - 1
    grid = free_form_grid(torch.eye(dimensions).expand(4, -1, -1), 0.4 * signs, size).flip(-1)
    columns = []
    for axis, voxels in enumerate(size, start=1):
        step = grid.diff(dim=axis) * voxels / 2
        for other in set(range(1, dimensions + 1)) - {axis}:
            step = step.narrow(other, 0, size[other - 1] - 1)
        columns.append(step)
    scale = torch.tensor(size) / torch.tensor([[voxels] for voxels in size])
    jacobian = torch.stack(columns, dim=-1) * scale.mT
    assert torch.linalg.det(jacobian).min() > 0
