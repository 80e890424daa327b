import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.cohort_deformation import (
    exponential,
    identity_grid,
    random_affine,
    random_deformation,
    sample_field,
    smooth_noise,
)


def jacobian_determinant(displacement):
    """det(I + du/dx) by central differences."""
    n = len(displacement)
    gradient = np.stack([np.stack(np.gradient(part)) for part in displacement])
    return np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(n))


def test_identity_grid_holds_the_voxel_positions():
    grid = identity_grid((2, 3))
    assert grid.shape == (2, 2, 3)
    assert grid[0].tolist() == [[0, 0, 0], [1, 1, 1]]
    assert grid[1].tolist() == [[0, 1, 2], [0, 1, 2]]


def test_smooth_noise_is_the_cubic_b_spline_of_its_coefficients():
    # period 2, three voxels: ceil(2 / 2) + 3 = 4 control points at -2, 0, 2, 4. At voxel 0 the basis functions are
    # 1/6, 4/6, 1/6, 0, and half-way between two control points 1/48, 23/48, 23/48, 1/48.
    c = np.random.default_rng(3).standard_normal(4)
    expected = [(c[0] + 4 * c[1] + c[2]) / 6, (c[0] + 23 * c[1] + 23 * c[2] + c[3]) / 48, (c[1] + 4 * c[2] + c[3]) / 6]
    found = smooth_noise(np.random.default_rng(3), (3,), period_vox=2.0)
    np.testing.assert_allclose(found * np.sqrt(151 / 315), expected)


@pytest.mark.parametrize("size", [(60, 70), (30, 24, 20)])
def test_smooth_noise_has_unit_variance_and_is_smooth(size):
    generator = np.random.default_rng(0)
    fields = np.stack([smooth_noise(generator, size, period_vox=4.0) for _ in range(40)])
    assert fields.shape == (40, *size)
    assert fields.var() == pytest.approx(1, abs=0.1)
    assert np.abs(np.diff(fields, axis=1)).max() < 1.5


def test_the_exponential_of_a_constant_velocity_is_that_translation():
    velocity = np.stack([np.full((9, 8), 2.5), np.full((9, 8), -1.0)])
    np.testing.assert_allclose(exponential(velocity), velocity)


def test_the_exponential_of_a_linear_velocity_is_the_matrix_exponential():
    # v(x) = a (x - c) moves x to c + e^a (x - c), so u(x) = (e^a - 1) (x - c); here c is the centre and a = -0.3
    grid = identity_grid((41, 41))
    velocity = -0.3 * (grid - 20)
    np.testing.assert_allclose(exponential(velocity), (np.exp(-0.3) - 1) * (grid - 20), atol=0.15)


def test_no_velocity_is_no_displacement():
    assert not exponential(np.zeros((3, 4, 5, 6))).any()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_exponential_of_the_negative_velocity_is_the_inverse(seed):
    generator = np.random.default_rng(seed)
    velocity = np.stack([2.0 * smooth_noise(generator, (48, 48), period_vox=12.0) for _ in range(2)])
    there, back = exponential(velocity), exponential(-velocity)
    grid = identity_grid((48, 48))
    left = there + sample_field(back, grid + there)
    inside = ((grid + there >= 0) & (grid + there <= 47)).all(axis=0)[12:-12, 12:-12]
    assert np.abs(left[:, 12:-12, 12:-12] * inside).max() < 0.35


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(48, 56), (32, 32), (16, 16), (24, 28, 24)]))
def test_deformations_never_fold(seed, size):
    displacement = random_deformation(np.random.default_rng(seed), size, spacing_mm=216 / size[1])
    assert displacement.shape == (len(size), *size)
    assert jacobian_determinant(displacement).min() > 0
    assert np.abs(displacement).max() > 0.1


@pytest.mark.parametrize("dimensions", [2, 3])
def test_affine_maps_keep_handedness_and_nearly_the_size(dimensions):
    generator = np.random.default_rng(0)
    determinants = [np.linalg.det(random_affine(generator, dimensions)) for _ in range(50)]
    # rotation and shear have determinant 1, each scale lies within e^-0.06 .. e^0.06
    assert min(determinants) > np.exp(-0.06 * dimensions)
    assert max(determinants) < np.exp(0.06 * dimensions)
    assert np.std(determinants) > 0.01


def test_the_deformation_has_the_same_size_in_mm_on_every_grid():
    coarse, fine = (
        np.mean([np.abs(random_deformation(np.random.default_rng(k), (n, n), spacing_mm=216 / n)) for k in range(30)])
        * (216 / n)
        for n in (24, 72)
    )
    assert coarse == pytest.approx(fine, rel=0.15)
