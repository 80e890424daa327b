"""Displacement fields with answers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fewscan.displacement import (
    compose,
    exponentiate,
    invert,
    resize_displacement,
    resize_image,
    warp,
    warp_labels,
)
from fewscan.registration.jacobian import jacobian_determinant

SIZES = {2: (6, 9), 3: (5, 6, 7)}


def translation(vector, size, batch=1):
    field = torch.tensor(vector, dtype=torch.float32).reshape(1, -1, *[1] * len(size))
    return field.expand(batch, -1, *size).clone()


def smooth_field(size, *, amplitude, seed=0, batch=1):
    """A random field of a few waves, which vanishes at the border."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, len(size), *[3] * len(size), generator=generator)
    mode = "bilinear" if len(size) == 2 else "trilinear"
    field = torch.nn.functional.interpolate(coarse, size=size, mode=mode, align_corners=True)
    for axis, side in enumerate(size):
        window = torch.sin(torch.linspace(0, math.pi, side)).reshape([-1 if k == axis else 1 for k in range(len(size))])
        field = field * window
    return amplitude * field / field.abs().max()


def smooth_image(size):
    axes = torch.meshgrid(*[torch.linspace(0, 3, side) for side in size], indexing="ij")
    return sum(torch.sin(axis + k) for k, axis in enumerate(axes))[None, None]


@pytest.mark.parametrize(("dimensions", "axis"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
@pytest.mark.parametrize("step", [2, -1])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_a_translation_reads_the_voxel_that_far_along_its_own_axis(dimensions, axis, step, mode):
    size = SIZES[dimensions]
    image = torch.rand(2, 3, *size)
    vector = [0.0] * dimensions
    vector[axis] = float(step)
    warped = warp(image, translation(vector, size, batch=2), mode=mode)
    index = (torch.arange(size[axis]) + step).clamp(0, size[axis] - 1)
    torch.testing.assert_close(warped, image.index_select(2 + axis, index), atol=1e-5, rtol=0)


def test_outside_is_the_border_or_zero():
    image = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3)
    field = translation([0.0, 2.0], (2, 3))
    assert warp(image, field).flatten().tolist() == pytest.approx([3, 3, 3, 6, 6, 6])
    assert warp(image, field, padding="zeros").flatten().tolist() == pytest.approx([3, 0, 0, 6, 0, 0])


def test_half_a_voxel_is_the_mean_of_two():
    image = torch.tensor([[[[0.0, 2.0, 6.0]] * 2]])
    assert warp(image, translation([0.0, 0.5], (2, 3)))[0, 0, 0].tolist() == pytest.approx([1, 4, 6])


@pytest.mark.parametrize("size", [(5, 5), (5, 5, 3)])
def test_a_quarter_turn(size, affine_displacement):
    # p -> (4 - p1, p0): rot90 from axis 0 to axis 1 reads the same voxels
    dimensions = len(size)
    matrix = torch.zeros(1, dimensions, dimensions + 1)
    matrix[0, 0, 1], matrix[0, 0, -1], matrix[0, 1, 0] = -1, 4, 1
    if dimensions == 3:
        matrix[0, 2, 2] = 1
    image = torch.rand(1, 1, *size)
    warped = warp(image, affine_displacement(matrix, size))
    assert warped[0, 0, 1, 2].flatten().tolist() == pytest.approx(image[0, 0, 2, 1].flatten().tolist(), abs=1e-5)
    torch.testing.assert_close(warped, image.rot90(-1, (2, 3)), atol=1e-5, rtol=0)


def test_an_affine_field_by_hand(affine_displacement):
    matrix = torch.tensor([[[2.0, 0.0, 1.0], [0.5, 1.0, -3.0]]])
    field = affine_displacement(matrix, (3, 4))
    # p = (2, 3) goes to (2 * 2 + 1, 1 + 3 - 3) = (5, 1)
    assert field[0, :, 2, 3].tolist() == [3, -2]


def test_warped_labels_are_probabilities():
    labels = torch.tensor([[[0, 1, 2, 2]] * 2])
    warped = warp_labels(labels, translation([0.0, 0.25], (2, 4)), classes=3)
    expected = torch.tensor([[0.75, 0.0, 0.0, 0.0], [0.25, 0.75, 0.0, 0.0], [0.0, 0.25, 1.0, 1.0]])
    torch.testing.assert_close(warped[0, :, 0], expected, atol=1e-6, rtol=0)


def test_two_translations_add_up():
    first, second = translation([1.5, -2.0, 0.0], (4, 5, 6)), translation([0.5, 1.0, 3.0], (4, 5, 6))
    torch.testing.assert_close(compose(first, second), translation([2.0, -1.0, 3.0], (4, 5, 6)))


@pytest.mark.parametrize("size", [(40, 50), (24, 30, 28)])
def test_warping_with_a_composition_is_warping_twice_in_order(size, affine_displacement):
    first = smooth_field(size, amplitude=3.0, seed=1) + translation([1.0] * len(size), size)
    matrix = torch.eye(len(size), len(size) + 1)[None]
    matrix[0, 0, 1] = 0.1
    second = affine_displacement(matrix, size)
    image = smooth_image(size)
    inside = (..., *[slice(8, -8)] * len(size))
    twice = warp(warp(image, first), second)[inside]
    torch.testing.assert_close(warp(image, compose(first, second))[inside], twice, atol=8e-3, rtol=0)
    assert (warp(image, compose(second, first))[inside] - twice).abs().max() > 0.02


@pytest.mark.parametrize("size", [(40, 50), (24, 30, 28)])
def test_a_field_and_its_inverse_cancel(size):
    field = smooth_field(size, amplitude=2.0)
    inverse = invert(field, iterations=30)
    assert compose(field, inverse).abs().max() < 1e-4
    assert compose(inverse, field).abs().max() < 0.1
    assert field.abs().max() == pytest.approx(2.0)


def test_a_constant_velocity_moves_by_itself():
    velocity = translation([3.0, -5.25], (8, 9))
    torch.testing.assert_close(exponentiate(velocity, steps=7), velocity, atol=1e-5, rtol=0)


def test_a_linear_velocity_grows_exponentially():
    # dp/dt = 0.2 (p - c) takes p - c to e^0.2 (p - c)
    place = torch.arange(41.0) - 20
    velocity = torch.stack([0.2 * place[:, None].expand(41, 41), torch.zeros(41, 41)])[None]
    inside = slice(6, -6)
    found = exponentiate(velocity, steps=8)[0, 0, inside, inside]
    torch.testing.assert_close(
        found, ((math.exp(0.2) - 1) * place)[inside, None].expand_as(found), atol=0.01, rtol=0.005
    )


@given(dimensions=st.sampled_from([2, 3]), seed=st.integers(0, 1000), amplitude=st.floats(0.0, 8.0))
@hypothesis_settings(deadline=None, max_examples=25)
def test_exponentials_of_smooth_velocities_do_not_fold_and_have_the_negative_as_inverse(dimensions, seed, amplitude):
    size = (28, 36) if dimensions == 2 else (20, 24, 22)
    velocity = smooth_field(size, amplitude=amplitude, seed=seed)
    forward, backward = exponentiate(velocity, steps=7), exponentiate(-velocity, steps=7)
    assert jacobian_determinant(forward).min() > 0
    assert compose(forward, backward).abs().mean() < 0.05


def test_the_same_amplitude_without_the_exponential_folds():
    # or the test above could not fail
    assert jacobian_determinant(smooth_field((28, 36), amplitude=30.0, seed=3)).min() < 0


@pytest.mark.parametrize(("old", "new"), [((5, 9), (9, 17)), ((9, 17), (5, 9)), ((4, 6, 5), (8, 12, 9))])
def test_a_resized_affine_field_is_the_affine_field_of_the_new_grid(old, new):
    # u = M q with q from 0 to 1 along every axis: linear interpolation is exact, voxels change by (new-1)/(old-1)
    dimensions = len(old)
    linear = torch.randn(dimensions, dimensions)

    def field(size):
        axes = torch.meshgrid(*[torch.linspace(0, 1, side) for side in size], indexing="ij")
        fractions = torch.einsum("ka,a...->k...", linear, torch.stack(axes))
        return (fractions * torch.tensor([side - 1.0 for side in size]).reshape(-1, *[1] * dimensions))[None]

    torch.testing.assert_close(resize_displacement(field(old), new), field(new), atol=1e-5, rtol=1e-5)


def test_resizing_commutes_with_warping():
    size, half = (65, 49), (33, 25)
    image, field = smooth_image(size), smooth_field(size, amplitude=4.0, seed=2)
    small = warp(resize_image(image, half), resize_displacement(field, half))
    large = resize_image(warp(image, field), half)
    assert (small - large).abs().max() < 0.02
    assert (resize_image(image, half) - large).abs().max() > 0.1


def test_axes_of_one_voxel_neither_move_nor_divide_by_zero():
    field = torch.ones(1, 3, 1, 4, 5)
    image = torch.rand(1, 1, 1, 4, 5)
    torch.testing.assert_close(warp(image, translation([9.0, 0.0, 0.0], (1, 4, 5))), image, atol=1e-6, rtol=0)
    assert torch.isfinite(resize_displacement(field, (1, 2, 3))).all()
    assert torch.isfinite(resize_displacement(field, (2, 8, 9))).all()


@pytest.mark.parametrize("target", [(8, 10), (5, 20), (3, 3), (17, 25), (32, 40)])
def test_resized_images_keep_constants_and_ramps(target):
    ones = torch.ones(1, 1, 16, 20)
    torch.testing.assert_close(resize_image(ones, target), torch.ones(1, 1, *target))
    ramp = torch.linspace(0, 1, 20).expand(1, 1, 16, 20)
    found = resize_image(ramp, target)[0, 0, 0]
    assert found.shape == (target[1],)
    torch.testing.assert_close(found[1:-1], torch.linspace(0, 1, target[1])[1:-1], atol=0.02, rtol=0)


def test_resizing_by_hand():
    # averages over three are 0 1/3 1/3 1/3 0, of which voxels 0, 2 and 4 are left; then 1/6 1/9 1/6, of which the ends
    image = torch.tensor([0.0, 0, 1, 0, 0]).expand(1, 1, 2, 5)
    torch.testing.assert_close(resize_image(image, (2, 3))[0, 0], torch.tensor([[0.0, 1 / 3, 0]] * 2))
    torch.testing.assert_close(resize_image(image, (1, 2))[0, 0], torch.tensor([[1 / 6, 1 / 6]]))


def test_a_checkerboard_becomes_grey_and_not_a_false_pattern():
    board = (torch.arange(33)[:, None] + torch.arange(33)) % 2
    small = resize_image(board[None, None].float(), (9, 9))
    assert small.min() > 0.3
    assert small.max() < 0.7


def test_fields_are_float32_under_autocast_and_gradients_reach_both_arguments():
    image = torch.rand(1, 1, 6, 7, 8, dtype=torch.bfloat16, requires_grad=True)
    field = torch.full((1, 3, 6, 7, 8), 0.3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = [
            warp(image, field),
            compose(field, field),
            invert(field, iterations=2),
            exponentiate(field, steps=2),
            resize_displacement(field, (3, 4, 4)),
            resize_image(image, (3, 4, 4)),
        ]
    assert all(result.dtype == torch.float32 for result in results)
    results[0].square().sum().backward()
    assert field.grad is not None
    assert field.grad.abs().sum() > 0
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_float64_stays_and_its_gradient_is_right():
    image = torch.rand(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    field = (torch.rand(1, 2, 4, 5, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda i, u: warp(i, u, padding="zeros"), (image, field))
    assert torch.autograd.gradcheck(lambda u: exponentiate(u, steps=2), (field,))


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="are not of one size"):
        warp(torch.zeros(1, 1, 4, 5), torch.zeros(1, 2, 5, 4))
    with pytest.raises(ValueError, match="expected a field"):
        warp(torch.zeros(1, 1, 4, 5), torch.zeros(1, 3, 4, 5))
    with pytest.raises(ValueError, match="expected a field"):
        exponentiate(torch.zeros(1, 1, 9), steps=1)


@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("size", [(5, 7), (4, 5, 6)])
def test_where_the_displacement_is_not_finite_there_is_no_value_and_no_gradient(padding, number, size):
    image = torch.rand(1, 2, *size, requires_grad=True)
    field = torch.zeros(1, len(size), *size)
    field[(0, 1, *[2] * len(size))] = number
    field.requires_grad_()
    warped = warp(image, field, padding=padding)
    lost = torch.isnan(warped)
    assert lost.sum() == 2
    assert lost[(0, slice(None), *[2] * len(size))].all()
    torch.where(lost, 0, warped).sum().backward()  # torch's own backward would end the process
    assert torch.isfinite(image.grad).all()
    assert torch.isfinite(field.grad).all()
