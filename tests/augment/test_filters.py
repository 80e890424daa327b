import pytest
import torch
from scipy.ndimage import gaussian_filter

from fewscan.augment.filters import blur, lower_resolution


@pytest.mark.parametrize("size", [(21, 23), (17, 19, 21)])
def test_blur_of_a_point_is_scipys(size):
    images = torch.zeros(2, 2, *size)
    images[(slice(None), slice(None), *[voxels // 2 for voxels in size])] = 1
    sigmas = torch.tensor([[0.5, 1.0], [0.7, 0.9]])
    blurred = blur(images, sigmas)
    for sample in range(2):
        for channel in range(2):
            sigma = sigmas[sample, channel].item()
            expected = gaussian_filter(images[sample, channel].numpy(), sigma, truncate=8)
            torch.testing.assert_close(blurred[sample, channel], torch.from_numpy(expected), rtol=0, atol=1e-5)


def test_blur_keeps_constants_up_to_the_border():
    images = torch.full((1, 1, 7, 5, 6), 3.0)
    torch.testing.assert_close(blur(images, torch.tensor([[1.0]])), images)


def test_full_resolution_changes_nothing():
    images = torch.randn(2, 1, 8, 7, 6)
    torch.testing.assert_close(lower_resolution(images, torch.ones(2, 1)), images)


def test_half_resolution_by_hand():
    # Of 0..7 the nearest voxels to the centres of 4 cells of width 2 are 1, 3, 5, 7 (centres 1, 3, 5, 7 in edges, so
    # the voxel above). Linear between centres at 0.5, 2.5, 4.5, 6.5: voxel 0 clamps to 1, voxel 1 is 1 + 2 * 0.25.
    row = torch.arange(8.0)
    lowered = lower_resolution(row.expand(1, 1, 8, 8), torch.tensor([[0.5]]))
    expected = torch.tensor([1.0, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.0])
    torch.testing.assert_close(lowered[0, 0], expected.expand(8, 8))


def test_channels_get_their_own_share():
    images = torch.randn(1, 2, 9, 9)
    lowered = lower_resolution(images, torch.tensor([[1.0, 0.5]]))
    torch.testing.assert_close(lowered[:, 0], images[:, 0])
    assert not torch.allclose(lowered[:, 1], images[:, 1])


def test_tiny_axes_keep_one_voxel():
    images = torch.randn(1, 1, 1, 4, 4)
    assert lower_resolution(images, torch.tensor([[0.1]])).shape == images.shape


@pytest.mark.parametrize(("effect", "strength"), [(blur, 1.5), (lower_resolution, 0.4)])
def test_padding_does_not_bleed_into_a_scan(effect, strength):
    images, inside = torch.full((1, 1, 12, 9, 8), -50.0), torch.zeros(1, 1, 12, 9, 8)
    inside[..., 3:10, 2:8, 1:7] = 1
    images[inside > 0] = 3.0
    changed = effect(images, torch.tensor([[strength]]), inside)
    torch.testing.assert_close(changed[inside > 0], torch.full((7 * 6 * 6,), 3.0))
    assert effect(images, torch.tensor([[strength]]))[inside > 0].min() < 0


def test_without_padding_a_mask_changes_nothing():
    images = torch.randn(1, 2, 9, 8)
    strength = torch.tensor([[0.7, 0.9]])
    for effect in (blur, lower_resolution):
        torch.testing.assert_close(effect(images, strength, torch.ones(1, 1, 9, 8)), effect(images, strength))
