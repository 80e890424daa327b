import pytest
import torch

from fewscan.augment.intensity import add_noise, apply_gamma, scale_contrast, shift_brightness

# one sample, two channels of four voxels: mean 1.5 and 15, population variance 1.25 and 125
IMAGES = torch.tensor([[[[0.0, 1], [2, 3]], [[0.0, 10], [20, 30]]]])


def test_brightness_shifts_by_standard_deviations():
    shifted = shift_brightness(IMAGES, torch.tensor([[2.0, -1.0]]))
    torch.testing.assert_close(shifted[0, 0], IMAGES[0, 0] + 2 * 1.25**0.5)
    torch.testing.assert_close(shifted[0, 1], IMAGES[0, 1] - 125**0.5)


def test_contrast_about_the_mean_within_the_range():
    # factor 0.5: 1.5 + 0.5 * (-1.5, -0.5, 0.5, 1.5); factor 2: 15 + 2 * (-15, -5, 5, 15) = (-15, 5, 25, 45), clamped
    stretched = scale_contrast(IMAGES, torch.tensor([[0.5, 2.0]]))
    torch.testing.assert_close(stretched[0, 0], torch.tensor([[0.75, 1.25], [1.75, 2.25]]))
    torch.testing.assert_close(stretched[0, 1], torch.tensor([[0.0, 5], [25, 30]]))


def test_gamma_by_hand():
    # Scaled (0, 1/3, 2/3, 1), squared (0, 1, 4, 9) / 9: mean 14/36, deviations (-14, -10, 2, 22) / 36, of variance
    # (196 + 100 + 4 + 484) / 4 / 36^2 = 196 / 36^2, hence standard deviation 14/36; the result has mean 1.5 and
    # standard deviation sqrt(1.25): 1.5 + sqrt(1.25) * (-1, -5/7, 1/7, 11/7).
    expected = 1.5 + 1.25**0.5 * torch.tensor([[-1.0, -5 / 7], [1 / 7, 11 / 7]])
    bent = apply_gamma(IMAGES, torch.tensor([[2.0, 1.0]]))
    torch.testing.assert_close(bent[0, 0], expected)
    torch.testing.assert_close(bent[0, 1], IMAGES[0, 1])


def test_gamma_keeps_order_mean_and_spread():
    images = torch.randn(3, 2, 6, 7, 5)
    bent = apply_gamma(images, torch.full((3, 2), 0.6))
    assert torch.equal(bent.flatten(2).argsort(-1), images.flatten(2).argsort(-1))
    torch.testing.assert_close(bent.mean((2, 3, 4)), images.mean((2, 3, 4)), rtol=0, atol=1e-5)
    torch.testing.assert_close(bent.std((2, 3, 4)), images.std((2, 3, 4)))


@pytest.mark.parametrize("transform", [apply_gamma, scale_contrast, shift_brightness])
def test_constant_channels_stay(transform):
    images = torch.full((1, 1, 4, 4), -1.5)
    torch.testing.assert_close(transform(images, torch.tensor([[1.4]])), images)


def test_noise_has_the_strength_of_each_channel(generator):
    images = torch.randn(2, 2, 40, 40, 10) * 5
    noise = add_noise(images, torch.tensor([[0.1, 0.0], [0.2, 0.4]]), generator=generator) - images
    # 16 000 voxels: relative standard error of a standard deviation 1 / sqrt(32 000) = 0.6 %
    expected = torch.tensor([[0.5, 0.0], [1.0, 2.0]])
    torch.testing.assert_close(noise.std((2, 3, 4)), expected, rtol=0.05, atol=1e-6)


def test_padding_is_not_seen_by_mean_spread_and_range():
    """Four voxels beside padding of any value come out as they do alone."""
    inside = torch.tensor([1.0, 1, 0, 0]).expand(1, 1, 2, 4)
    padded = torch.cat([IMAGES, torch.full((1, 2, 2, 2), -99.0)], dim=-1)
    strength = torch.tensor([[0.5, 2.0]])
    for effect in (shift_brightness, scale_contrast, apply_gamma):
        torch.testing.assert_close(effect(padded, strength, inside)[..., :2], effect(IMAGES, strength))
    noisy = [add_noise(padded, strength, inside, generator=torch.Generator().manual_seed(0)) - padded]
    noisy.append(torch.randn(padded.shape, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(noisy[0], noisy[1] * torch.tensor([0.5 * 1.25**0.5, 2 * 125**0.5]).reshape(1, 2, 1, 1))


def test_a_sample_of_padding_alone_is_no_error():
    for effect in (shift_brightness, scale_contrast, apply_gamma):
        assert effect(IMAGES, torch.tensor([[0.5, 2.0]]), torch.zeros(1, 1, 2, 2)).shape == IMAGES.shape
