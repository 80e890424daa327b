import math

import pytest
import torch

from fewscan.augment.settings import Augmentation, Effect, augmentation
from fewscan.augment.spatial import draw_spatial_transform

SIZES = [(24, 30), (16, 20, 15)]


def transform(settings, batch, size, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return draw_spatial_transform(settings, batch=batch, size=size, generator=generator, **options)


def blob(batch, size):
    """Return a ball off the centre: hard labels (batch, *size)."""
    axes = torch.meshgrid(*[torch.arange(float(voxels)) for voxels in size], indexing="ij")
    square = sum((axis - 0.45 * voxels) ** 2 for axis, voxels in zip(axes, size, strict=True))
    return (square < 4.5**2).long().expand(batch, *size)


def centre_of_mass(weights):
    axes = torch.meshgrid(*[torch.arange(float(voxels)) for voxels in weights.shape], indexing="ij")
    return torch.stack([(axis * weights).sum() / weights.sum() for axis in axes])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_images_and_labels_move_together(warping, size, interpolation):
    labels = blob(6, size)
    images = labels[:, None].float()
    drawn = transform(warping.model_copy(update={"flip_axes": None}), 6, size)
    moved = drawn.apply_image(images, background=torch.zeros(6, 1))
    followed = drawn.apply_label(labels, interpolation=interpolation)
    assert followed.dtype == labels.dtype
    assert not torch.equal(followed, labels)
    for image, label in zip(moved[:, 0], followed, strict=True):
        # rounding to voxels moves the centre of some 60 voxels by less than a quarter; half a voxel would be a fault
        assert torch.dist(centre_of_mass(image), centre_of_mass(label.float())) < 0.25


def test_linear_labels_are_the_rounded_image(warping):
    # With one foreground class the largest indicator is the side of one half that the interpolated image lies on.
    labels = blob(4, (24, 30))
    drawn = transform(warping, 4, (24, 30))
    moved = drawn.apply_image(labels[:, None].float(), background=torch.zeros(4, 1))[:, 0]
    clear = (moved - 0.5).abs() > 1e-4
    followed = drawn.apply_label(labels, interpolation="linear")
    assert torch.equal(followed[clear], (moved > 0.5).long()[clear])


def test_every_sample_gets_its_own_transform(warping):
    images = torch.randn(1, 1, 12, 12).expand(5, -1, -1, -1)
    moved = transform(warping, 5, (12, 12)).apply_image(images, background=torch.zeros(5, 1))
    assert all(not torch.equal(moved[i], moved[j]) for i in range(5) for j in range(i))


def test_samples_not_chosen_stay_bit_equal():
    settings = Augmentation(scaling=Effect(probability=0.5, low=0.5, high=0.5))
    images = torch.randn(12, 2, 9, 9)
    drawn = transform(settings, 12, (9, 9))
    kept = sorted(set(range(12)) - set(drawn.warped.tolist()))
    assert 0 < len(kept) < 12
    moved = drawn.apply_image(images, background=torch.zeros(12, 2))
    assert torch.equal(moved[kept], images[kept])
    assert not torch.equal(moved, images)


@pytest.mark.parametrize("size", SIZES)
def test_outside_is_background_and_class_zero(size):
    # Shrunk to half, the corner voxels lie outside the patch.
    settings = Augmentation(scaling=Effect(probability=1, low=0.5, high=0.5))
    background = torch.tensor([[-3.0, 7.0], [5.0, 0.25]])
    drawn = transform(settings, 2, size)
    moved = drawn.apply_image(torch.randn(2, 2, *size), background=background)
    corner = (slice(None), slice(None), *[0] * len(size))
    torch.testing.assert_close(moved[corner], background, rtol=0, atol=0)
    for interpolation in ("nearest", "linear"):
        labels = drawn.apply_label(torch.ones(2, *size, dtype=torch.long), interpolation=interpolation)
        # shrinking about the centre leaves half of each side, rounded up
        assert 0 < labels[0].sum().item() <= math.prod((voxels + 1) // 2 for voxels in size)
        assert labels[(slice(None), *[0] * len(size))].tolist() == [0, 0]
        assert labels[(slice(None), *[voxels // 2 for voxels in size])].tolist() == [1, 1]


@pytest.mark.parametrize("size", SIZES)
def test_soft_labels_sum_to_one(warping, size):
    soft = torch.softmax(torch.randn(3, 4, *size), dim=1)
    settings = warping.model_copy(update={"scaling": Effect(probability=1, low=0.6, high=0.7)})
    moved = transform(settings, 3, size).apply_label(soft)
    torch.testing.assert_close(moved.sum(1), torch.ones(3, *size))
    corner = moved[(slice(None), slice(None), *[0] * len(size))]
    torch.testing.assert_close(corner, torch.tensor([[1.0, 0, 0, 0]] * 3))


def test_a_mask_of_the_inside_from_ones():
    settings = Augmentation(scaling=Effect(probability=1, low=0.5, high=0.5))
    mask = transform(settings, 1, (8, 8)).apply_image(torch.ones(1, 1, 8, 8), background=torch.zeros(1, 1))
    assert mask[0, 0, 4, 4] == 1
    assert mask[0, 0, 0, 0] == 0


def test_gradients_pass_through(warping):
    images = torch.randn(2, 1, 8, 8, requires_grad=True)
    transform(warping, 2, (8, 8)).apply_image(images, background=torch.zeros(2, 1)).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_planes_across_thick_slices_are_not_rotated():
    settings = Augmentation(rotation=Effect(probability=1, low=20, high=20))
    images = torch.zeros(1, 1, 12, 12, 8)
    images[..., 3] = 1
    # In the plane of the slices only: slice 3 stays slice 3, and nothing reaches its neighbours.
    drawn = transform(settings, 1, (12, 12, 8), spacing_mm=(1, 1, 5))
    moved = drawn.apply_image(images, background=torch.zeros(1, 1))
    assert moved[..., [0, 1, 2, 4, 5, 6, 7]].abs().max() < 1e-4
    tilted = transform(settings, 1, (12, 12, 8)).apply_image(images, background=torch.zeros(1, 1))
    assert tilted[..., [2, 4]].max() > 0.1


def test_symmetry_alone_is_exact_and_shared():
    settings = augmentation("flips")
    labels = torch.randint(0, 3, (9, 5, 5))
    drawn = transform(settings, 9, (5, 5))
    moved = drawn.apply_image(labels[:, None].float(), background=torch.zeros(9, 1))
    assert torch.equal(moved[:, 0], drawn.apply_label(labels).float())
    assert torch.equal(moved[:, 0], drawn.apply_label(labels, interpolation="linear").float())


def test_autocast_does_not_coarsen_the_grid(warping):
    expected = transform(warping, 2, (12, 12)).grid
    with torch.autocast("cpu", dtype=torch.bfloat16):
        grid = transform(warping, 2, (12, 12)).grid
    assert torch.equal(grid, expected)
