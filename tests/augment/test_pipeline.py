import pytest
import torch

from fewscan.augment.pipeline import augment, augment_intensities, augment_whole
from fewscan.augment.settings import Augmentation, Effect, augmentation

CERTAIN = {
    "noise": Effect(probability=1, low=0.1, high=0.2),
    "blur": Effect(probability=1, low=0.5, high=1),
    "brightness": Effect(probability=1, low=0.1, high=0.3),
    "contrast": Effect(probability=1, low=0.7, high=0.9),
    "low_resolution": Effect(probability=1, low=0.5, high=0.8),
    "gamma": Effect(probability=1, low=1.2, high=1.5),
}


def batch(*size, batch_size=3, channels=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch_size, channels, *size, generator=generator)
    labels = torch.randint(0, 3, (batch_size, *size), generator=generator)
    return images, labels, torch.full((batch_size, channels), -1.0)


def run(images, labels, background, settings, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return augment(images, labels, settings=settings, generator=generator, background=background, **options)


@pytest.mark.parametrize("size", [(9, 7), (9, 8, 7)])
def test_the_preset_none_changes_nothing(size):
    images, labels, background = batch(*size)
    new_images, new_labels = run(images, labels, background, augmentation("none"))
    assert torch.equal(new_images, images)
    assert torch.equal(new_labels, labels)
    assert new_images.data_ptr() != images.data_ptr()
    assert new_labels.data_ptr() != labels.data_ptr()


@pytest.mark.parametrize("size", [(11, 7), (32, 32), (9, 13, 7), (8, 8, 8)])
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("preset", ["flips", "standard"])
def test_presets_keep_shapes_and_inputs(size, batch_size, preset):
    images, labels, background = batch(*size, batch_size=batch_size)
    before = images.clone(), labels.clone()
    for seed in range(4):
        new_images, new_labels = run(images, labels, background, augmentation(preset), seed=seed)
        assert new_images.shape == images.shape
        assert new_images.dtype == images.dtype
        assert new_images.isfinite().all()
        assert new_labels.shape == labels.shape
        assert new_labels.dtype == labels.dtype
        assert set(new_labels.unique().tolist()) <= {0, 1, 2}
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


def test_same_generator_state_gives_the_same_batch():
    settings = augmentation("standard").model_copy(update=CERTAIN)
    inputs = batch(10, 12, 9)
    first, second, other = (run(*inputs, settings, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


def test_the_generator_moves_on():
    images, labels, background = batch(8, 8)
    generator = torch.Generator().manual_seed(0)
    options = {"settings": augmentation("flips"), "generator": generator, "background": background}
    results = [augment(images, labels, **options)[0] for _ in range(8)]
    assert any(not torch.equal(results[0], result) for result in results)


def test_images_without_labels_are_treated_alike(warping):
    images, labels, background = batch(10, 10)
    alone, nothing = run(images, None, background, warping)
    assert nothing is None
    assert torch.equal(alone, run(images, labels, background, warping)[0])


def test_soft_labels_pass_through(warping):
    images, _, background = batch(10, 10)
    soft = torch.softmax(torch.randn(3, 4, 10, 10), 1)
    _, moved = run(images, soft, background, warping)
    torch.testing.assert_close(moved.sum(1), torch.ones(3, 10, 10))


@pytest.mark.parametrize("name", sorted(CERTAIN))
def test_each_intensity_effect_alone_changes_every_channel(name):
    images, labels, background = batch(12, 10, 8)
    new_images, new_labels = run(images, labels, background, Augmentation(**{name: CERTAIN[name]}))
    assert torch.equal(new_labels, labels)
    change = (new_images - images).abs().amax((2, 3, 4))
    assert (change > 1e-3).all()
    assert len(set(change.flatten().tolist())) == change.numel()


@pytest.mark.parametrize("name", sorted(CERTAIN))
def test_samples_not_chosen_stay_bit_equal(name):
    images, _, background = batch(8, 8, batch_size=16)
    settings = Augmentation(**{name: CERTAIN[name].model_copy(update={"probability": 0.5})})
    changed = (run(images, None, background, settings)[0] != images).flatten(1).any(1)
    assert 0 < changed.sum() < 16


def test_all_eight_symmetries_of_the_square_occur(generator):
    images = torch.arange(9.0).reshape(1, 1, 3, 3).expand(200, 1, 3, 3)
    moved, _ = augment(
        images, None, settings=augmentation("flips"), generator=generator, background=torch.zeros(200, 1)
    )
    distinct = {tuple(image.flatten().tolist()) for image in moved}
    assert len(distinct) == 8
    assert tuple(images[0].flatten().tolist()) in distinct


def test_intensities_alone_leave_the_input(generator):
    images = torch.randn(2, 1, 6, 6)
    before = images.clone()
    assert not torch.equal(augment_intensities(images, settings=Augmentation(**CERTAIN), generator=generator), images)
    assert torch.equal(images, before)


def test_spacing_reaches_the_rotation():
    images, labels, background = batch(8, 8, 8)
    settings = Augmentation(rotation=Effect(probability=1, low=20, high=20))
    same = run(images, labels, background, settings)[0]
    assert torch.equal(run(images, labels, background, settings, spacing_mm=(1, 1, 1))[0], same)
    assert not torch.equal(run(images, labels, background, settings, spacing_mm=(1, 1, 4))[0], same)


def test_shapes_that_do_not_fit_are_errors(generator):
    images, labels, background = batch(6, 6)
    options = {"settings": augmentation("none"), "generator": generator}
    with pytest.raises(ValueError, match=r"labels \(3, 6, 5\) do not fit"):
        augment(images, labels[..., :5], background=background, **options)
    with pytest.raises(ValueError, match=r"background must be \(B, C\) = \(3, 2\)"):
        augment(images, labels, background=background[0], **options)
    with pytest.raises(ValueError, match="images must be floats"):
        augment(images.long(), labels, background=background, **options)
    with pytest.raises(ValueError, match="images must be floats"):
        augment(images[..., 0], None, background=background, **options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_on_every_device():
    settings = augmentation("standard").model_copy(update=CERTAIN)
    images, labels, background = batch(16, 20, 12)
    here = run(images, labels, background, settings)
    there = run(images.cuda(), labels.cuda(), background.cuda(), settings)
    torch.testing.assert_close(there[0].cpu(), here[0], rtol=1e-3, atol=1e-3)
    assert (there[1].cpu() != here[1]).float().mean() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_types_are_kept(dtype):
    images, labels, background = batch(8, 9)
    settings = augmentation("standard").model_copy(update=CERTAIN)
    new_images, new_labels = run(images.to(dtype), labels.to(torch.uint8), background, settings)
    assert new_images.dtype == dtype
    assert new_labels.dtype == torch.uint8


def padded(*size, batch_size=4):
    """Return scans that fill all but a margin of their grid, with the mask of where they have data."""
    inside = torch.zeros(batch_size, 1, *size)
    inside[(slice(None), 0, *[slice(2, -3) for _ in size])] = 1
    images = torch.where(inside > 0, 5 + torch.rand(batch_size, 1, *size), torch.tensor(-2.0))
    return images, inside[:, 0].long(), inside, torch.full((batch_size, 1), -2.0)


@pytest.mark.parametrize("size", [(20, 26), (16, 20, 15)])
def test_the_inside_moves_with_its_image(warping, size):
    images, labels, inside, background = padded(*size)
    settings = warping.model_copy(update={"flip_axes": None})
    moved, followed, mask = augment_whole(
        images, labels, inside, settings=settings, generator=torch.Generator().manual_seed(0), background=background
    )
    assert mask.shape == inside.shape
    assert set(mask.unique().tolist()) == {0, 1}
    assert not torch.equal(mask, inside)
    # where it is inside, nothing of the background was mixed in; elsewhere there is nothing else
    assert moved[mask > 0].min() >= 5 - 1e-3
    assert (moved[mask == 0] == -2).all()
    # labels of ones inside are the mask, but for the voxels at its edge
    assert (followed[mask[:, 0] > 0] == 1).all()
    assert mask.sum() > 0.6 * followed.sum()


def test_padding_stays_plain_background_under_intensity_changes():
    images, labels, inside, background = padded(14, 12)
    settings = Augmentation(**CERTAIN)
    moved, _, mask = augment_whole(
        images, labels, inside, settings=settings, generator=torch.Generator().manual_seed(0), background=background
    )
    assert torch.equal(mask, inside)
    assert (moved[mask == 0] == -2).all()
    assert not torch.equal(moved, images)


def test_without_a_mask_whole_scans_are_augmented_like_patches():
    images, labels, background = batch(10, 12, 9)
    options = {"settings": augmentation("standard"), "background": background}
    expected = augment(images, labels, generator=torch.Generator().manual_seed(3), **options)
    found = augment_whole(images, labels, None, generator=torch.Generator().manual_seed(3), **options)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=False))
    assert found[2] is None
