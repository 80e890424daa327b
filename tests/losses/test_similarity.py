"""Normalised cross-correlation: what it is on images whose answer is known."""

import pytest
import torch

from fewscan.losses.similarity import global_ncc, global_ncc_loss, local_ncc, local_ncc_loss

both = pytest.mark.parametrize("ncc", [global_ncc, local_ncc])
both_losses = pytest.mark.parametrize("loss", [global_ncc_loss, local_ncc_loss])


@both
@pytest.mark.parametrize("size", [(12, 15), (9, 11, 10), (4, 20)])
def test_linearly_related_images_correlate_fully(ncc, size):
    image = torch.rand(2, 3, *size)
    assert ncc(image, 2.5 * image + 7).tolist() == pytest.approx([1, 1], abs=2e-3)


def test_the_sign_counts_globally_and_locally_where_wanted():
    image = torch.rand(1, 1, 12, 12)
    assert global_ncc(image, -image).item() == pytest.approx(-1, abs=1e-3)
    assert global_ncc_loss(image, -image).item() == pytest.approx(2, abs=1e-3)
    assert local_ncc(image, -image, squared=False).item() == pytest.approx(-1, abs=2e-3)
    assert local_ncc(image, -image, squared=True).item() == pytest.approx(1, abs=2e-3)


def test_global_correlation_by_hand():
    a = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    b = torch.tensor([[[[0.0, 2.0], [1.0, 3.0]]]])
    # deviations (-1.5, -.5, .5, 1.5) and (-1.5, .5, -.5, 1.5): covariance 4 / 4, variances 5 / 4
    assert global_ncc(a, b).item() == pytest.approx(0.8, abs=1e-5)


def test_local_correlation_is_that_of_each_window():
    # three voxels in a row: the middle window holds all of them, the outer ones two each
    a = torch.tensor([[[[0.0, 1.0, 0.0]]]])
    b = torch.tensor([[[[0.0, 1.0, 1.0]]]])
    # left (0,1)/(0,1): 1; middle (0,1,0)/(0,1,1): (1/3 - 2/9) / (2/9) = 1/2; right (1,0)/(1,1): 0
    assert local_ncc(a, b, window=3, squared=False, eps=1e-7).item() == pytest.approx(0.5, abs=1e-3)
    assert local_ncc(a, b, window=3, squared=True, eps=1e-7).item() == pytest.approx(1.25 / 3, abs=1e-3)


def test_local_correlation_ignores_what_only_a_bias_field_changes():
    torch.manual_seed(1)
    image = torch.rand(1, 1, 40, 40)
    shaded = image + 5 * torch.linspace(0, 1, 40)
    assert global_ncc(image, shaded).item() < 0.4
    assert local_ncc(image, shaded, window=5, squared=False).item() > 0.7


@both_losses
@pytest.mark.parametrize("constants", ["first", "second", "both"])
def test_constant_images_are_finite_with_finite_gradients(loss, constants):
    a, b = torch.rand(1, 2, 10, 11), torch.rand(1, 2, 10, 11)
    if constants != "second":
        a = torch.full_like(a, 0.7)
    if constants != "first":
        b = torch.full_like(b, -3.0)
    a.requires_grad_()
    value = loss(a, b)
    value.backward()
    assert value.item() == pytest.approx(1, abs=1e-3)
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


@both
def test_masked_voxels_have_no_say(ncc):
    image = torch.rand(2, 1, 16, 16)
    other = image.clone()
    other[:, :, :, 10:] = 50 * torch.rand(2, 1, 16, 6)
    mask = torch.ones(2, 16, 16, dtype=torch.bool)
    mask[:, :, 10:] = False
    assert ncc(image, other).max() < 0.9
    assert ncc(image, other, mask=mask).tolist() == pytest.approx([1, 1], abs=5e-3)
    moved = other.clone().requires_grad_()
    ncc(image + 0.1 * torch.rand_like(image), moved, mask=mask).sum().backward()
    assert moved.grad is not None
    assert moved.grad[..., 10:].abs().max() < 1e-6
    assert moved.grad[..., :10].abs().max() > 1e-6


@both
def test_a_mask_that_selects_nothing_gives_zero(ncc):
    image = torch.rand(1, 1, 8, 8, requires_grad=True)
    value = ncc(image, image.detach(), mask=torch.zeros(1, 8, 8))
    value.sum().backward()
    assert value.item() == 0
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()


@both
def test_each_scan_and_channel_counts_for_itself(ncc):
    image = torch.rand(2, 2, 12, 12)
    scaled = image * torch.tensor([1.0, 10.0]).reshape(1, 2, 1, 1) + torch.tensor([0.0, 5.0]).reshape(2, 1, 1, 1)
    assert ncc(image, scaled).tolist() == pytest.approx([1, 1], abs=2e-3)
    scaled[1] = torch.rand(2, 12, 12)
    found = ncc(image, scaled)
    assert found[0].item() == pytest.approx(1, abs=2e-3)
    assert found[1].item() < 0.5


@both
def test_float32_under_autocast_and_right_gradients_in_float64(ncc):
    image = torch.rand(1, 1, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ncc(image.bfloat16(), image.bfloat16())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(1, abs=2e-3)
    a, b = (torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    mask = torch.rand(1, 4, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, y: ncc(x, y, mask=mask), (a, b))


@both
def test_a_large_offset_does_not_cost_the_digits(ncc):
    image = torch.rand(1, 1, 16, 16, 16)
    assert ncc(image, image + 1000).item() == pytest.approx(1, abs=5e-3)


def test_shapes_and_windows_are_checked():
    image = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match="two images of one shape"):
        global_ncc(image, torch.zeros(1, 1, 4, 5))
    with pytest.raises(ValueError, match="expected a mask of shape"):
        global_ncc(image, image, mask=torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match="odd side, got 4"):
        local_ncc(image, image, window=4)
