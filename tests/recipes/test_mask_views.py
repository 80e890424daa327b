"""Which views there are, and that each moves probabilities back to where they were."""

import pytest
import torch

from fewscan.augment.rotated_view import RotatedView
from fewscan.recipes.mask_views import mask_views


def _names(*args, **options):
    return [view.name for view in mask_views(*args, **options)]


def test_the_scan_itself_comes_first_and_only_what_training_flipped_is_flipped():
    assert _names(2, 5, flip_axes=(), rotation_degrees=10) == [
        "identity", "rotation +10", "gamma 0.8", "rotation -10", "gamma 1.25",
    ]  # fmt: skip
    assert _names(2, 5, flip_axes=(0, 1), rotation_degrees=10) == [
        "identity", "flip 0", "rotation +10", "gamma 0.8", "flip 1",
    ]  # fmt: skip
    assert _names(2, 1, flip_axes=(0,), rotation_degrees=10) == ["identity"]


def test_volumes_are_not_resampled_and_there_may_be_fewer_than_asked_for():
    assert _names(3, 9, flip_axes=(), rotation_degrees=10) == [
        "identity", "gamma 0.8", "gamma 1.25", "gamma 0.65", "gamma 1.5",
    ]  # fmt: skip
    assert _names(2, 3, flip_axes=(), rotation_degrees=0) == ["identity", "gamma 0.8", "gamma 1.25"]


def test_quarter_turns_are_those_of_training():
    assert _names(3, 6, flip_axes=(0,), turn_planes=((0, 1),), rotation_degrees=10) == [
        "identity", "flip 0", "turn 0-1 by 90", "gamma 0.8", "turn 0-1 by 270", "gamma 1.25",
    ]  # fmt: skip
    assert _names(2, 6, flip_axes=(), turn_planes=((0, 1),), rotation_degrees=10)[1::2] == [
        "rotation +10", "rotation -10", "turn 0-1 by 90"
    ]  # fmt: skip
    image = torch.randn(1, 1, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    view = mask_views(3, 3, flip_axes=(), turn_planes=((0, 1),), rotation_degrees=0)[1]
    assert torch.equal(view.forward(image), torch.rot90(image, 1, (2, 3)))
    assert torch.equal(view.inverse(view.forward(image)), image)


def test_every_view_keeps_probabilities_in_place():
    size = (32, 28)
    x, y = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in size), indexing="ij")
    blob = torch.exp(-((x - 0.2) ** 2 + (y + 0.3) ** 2) / 0.1)
    p = torch.stack([1 - blob, blob])[None]
    for view in mask_views(2, 9, flip_axes=(0, 1), rotation_degrees=15):
        changes_contrast = view.name.startswith("gamma")
        back = view.inverse(p if changes_contrast else view.forward(p))
        assert torch.allclose(back.sum(1), torch.ones(1, *size), atol=1e-5), view.name
        assert (back - p).abs().max() < 0.05, view.name


def test_a_rotation_turns_like_rot90_and_as_far_as_it_says():
    image = torch.arange(25.0).reshape(1, 1, 5, 5)
    assert torch.allclose(RotatedView(90).forward(image), torch.rot90(image, 1, (2, 3)), atol=1e-4)
    point = torch.zeros(1, 1, 41, 41)
    point[0, 0, 35, 20] = 1.0  # 15 voxels from the centre along the first axis
    turned = RotatedView(30).forward(point)[0, 0]
    place = torch.stack([axis.float() for axis in torch.meshgrid(torch.arange(41), torch.arange(41), indexing="ij")])
    centre = (place * turned).sum((1, 2)) / turned.sum() - 20
    assert centre.norm() == pytest.approx(15, abs=0.5)
    assert torch.rad2deg(torch.acos(centre[0] / centre.norm())) == pytest.approx(30, abs=2)


def test_anatomy_is_not_sheared_on_unequal_spacing():
    # voxels twice as long along the first axis: a point 8 voxels (16 mm) away along it comes to lie 16 voxels away
    # along the second after a quarter turn
    point = torch.zeros(1, 1, 41, 41)
    point[0, 0, 28, 20] = 1.0
    turned = RotatedView(90, (2.0, 1.0)).forward(point)[0, 0]
    row, column = divmod(int(turned.argmax()), 41)
    assert abs(row - 20) <= 1
    assert abs(abs(column - 20) - 16) <= 1
