"""Eqs. 1 to 3 of paper 1, with answers worked out by hand."""

import math

import pytest
import torch

from fewscan.networks.mrregnet import Level
from fewscan.registration.objective import Objective, Pairs, image_distance, inverse_error, pair_terms


def still(*sizes, batch=1):
    """Return levels that move nothing."""
    zeros = [torch.zeros(batch, len(size), *size) for size in sizes]
    return [Level(zero, zero) for zero in zeros]


def shifted(size, by, batch=1):
    """Return one level that reads ``by`` voxels further along axis 0."""
    field = torch.zeros(batch, len(size), *size)
    field[:, 0] = by
    return [Level(field, field)]


@pytest.mark.parametrize("resize", ["smooth", "nearest"])
@pytest.mark.parametrize("similarity", ["gncc", "lncc"])
def test_a_pair_of_equals_costs_nothing(resize, similarity):
    image = torch.randn(2, 1, 8, 12)
    masks = torch.softmax(torch.randn(2, 3, 8, 12), dim=1)
    pairs = Pairs(image, 2 * image + 1, None, None, masks, masks)
    terms = pair_terms(
        still((4, 6), (8, 12), batch=2), pairs, Objective(resize=resize, similarity=similarity, window=3)
    )
    assert set(terms) == {"similarity", "labels", "smoothness"}
    for value in terms.values():
        assert value.item() == pytest.approx(0, abs=2e-3)


def test_similarity_by_hand_is_the_mean_over_levels():
    # opposite images correlate -1, so each level costs 2; equal ones cost 0
    image = torch.randn(1, 1, 8, 8)
    assert pair_terms(still((4, 4), (8, 8)), Pairs(image, -image), Objective())["similarity"].item() == pytest.approx(
        2, abs=1e-3
    )
    halves = torch.zeros(1, 1, 8, 8)
    halves[..., :4] = 1
    # orthogonal patterns correlate 0 at every level
    terms = pair_terms(still((4, 4), (8, 8)), Pairs(halves, halves.mT), Objective())
    assert terms["similarity"].item() == pytest.approx(1, abs=1e-5)


def test_a_shift_is_undone_by_its_field():
    fixed = torch.randn(1, 1, 10, 6)
    moving = fixed.roll(2, 2)
    inside = torch.ones(1, 1, 10, 6)
    pairs = Pairs(moving, fixed, inside, inside)
    # moving(p + 2) = fixed(p), except where p + 2 lies outside, which does not count
    assert pair_terms(shifted((10, 6), 2.0), pairs, Objective())["similarity"].item() == pytest.approx(0, abs=1e-5)
    assert pair_terms(shifted((10, 6), -2.0), pairs, Objective())["similarity"].item() > 0.5


def test_padding_has_no_part_in_the_similarity():
    image = torch.randn(1, 1, 8, 8)
    inside = torch.zeros(1, 1, 8, 8)
    inside[..., :6] = 1
    rubbish = torch.where(inside > 0, image, 100 * torch.randn(1, 1, 8, 8))
    for levels in (still((4, 4), (8, 8)), still((8, 8))):
        terms = pair_terms(levels, Pairs(rubbish, image, inside, inside), Objective())
        assert terms["similarity"].item() == pytest.approx(0, abs=1e-5)
        # of the moving scan alone, too
        terms = pair_terms(levels, Pairs(rubbish, image, inside, torch.ones_like(inside)), Objective())
        assert terms["similarity"].item() == pytest.approx(0, abs=1e-5 if len(levels) == 1 else 0.05)


@pytest.mark.parametrize("background", [0.0, -2.3, 40.0])
def test_a_border_read_between_voxels_and_padding_is_no_reason_to_miss_the_true_field(background):
    """A ramp moved by half a voxel is as linear as before, so the true field correlates 1 and no field does less."""
    rows = torch.arange(16.0).reshape(1, 1, 16, 1).expand(1, 1, 16, 8)
    inside = torch.zeros(1, 1, 16, 8)
    inside[:, :, 3:13] = 1
    hills = (rows / 2.5).sin() + 3
    moving, fixed = (hills, ((rows + 0.5) / 2.5).sin() + 3)
    pairs = Pairs(
        *(torch.where(inside > 0, image, torch.tensor(background)) for image in (moving, fixed)), inside, inside
    )
    true, none = (
        float(image_distance(level[0].displacement_vox, pairs, Objective()))
        for level in (shifted((16, 8), 0.5), shifted((16, 8), 0.0))
    )
    assert true < 2e-3
    assert none > 5 * true
    assert pair_terms(shifted((16, 8), 0.5), pairs, Objective())["similarity"].item() == pytest.approx(true)


def test_nothing_seen_in_common_is_finite():
    image = torch.randn(1, 1, 8, 8)
    field = torch.zeros(1, 2, 8, 8, requires_grad=True)
    terms = pair_terms(
        [Level(field, field)], Pairs(image, image, torch.zeros_like(image), torch.ones_like(image)), Objective()
    )
    sum(terms.values()).backward()
    assert terms["similarity"].item() == pytest.approx(1)
    assert torch.isfinite(field.grad).all()


def test_dice_by_hand_with_soft_masks():
    # foreground .5 everywhere against 1 everywhere: 1 - 2 * .5 / (.25 + 1) = .2; a class that neither has costs 0
    half, full = torch.full((1, 1, 4, 4), 0.5), torch.ones(1, 1, 4, 4)
    none = torch.zeros(1, 1, 4, 4)
    image = torch.randn(1, 1, 4, 4)
    pairs = Pairs(image, image, None, None, torch.cat([half, half, none], 1), torch.cat([none, full, none], 1))
    assert pair_terms(still((4, 4)), pairs, Objective())["labels"].item() == pytest.approx((0.2 + 0) / 2, abs=1e-4)


def test_the_background_does_not_count():
    image = torch.randn(1, 1, 4, 4)
    blank = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    other = torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    terms = pair_terms(still((4, 4)), Pairs(image, image, None, None, blank, other), Objective())
    assert terms["labels"].item() == pytest.approx(0, abs=1e-6)


def test_masks_belong_to_the_pairs_they_name():
    images = torch.randn(3, 1, 6, 6)
    masks = torch.zeros(1, 2, 6, 6)
    masks[:, 1, 2:4] = 1
    moved = masks.roll(1, 2)
    field = torch.zeros(3, 2, 6, 6)
    field[2, 0] = 1.0  # only the third pair moves
    levels = [Level(field, field)]
    for pair, expected in ((2, 0.0), (0, 0.5)):  # two rows of four overlap in one: 1 - 2 / 4
        pairs = Pairs(images, images, None, None, moved, masks, torch.tensor([pair]))
        assert pair_terms(levels, pairs, Objective())["labels"].item() == pytest.approx(expected, abs=1e-4)


def test_no_label_term_without_masks():
    image = torch.randn(1, 1, 4, 4)
    none = torch.zeros(0, 2, 4, 4)
    for pairs in (Pairs(image, image), Pairs(image, image, None, None, none, none, torch.tensor([], dtype=torch.long))):
        assert set(pair_terms(still((4, 4)), pairs, Objective())) == {"similarity", "smoothness"}


def ramps(scale, *sizes):
    """Return levels whose component 0 grows by ``scale`` a voxel along axis 0."""
    levels = []
    for size in sizes:
        field = torch.zeros(1, len(size), *size)
        field[:, 0] = scale * torch.arange(size[0]).reshape(-1, *[1] * (len(size) - 1))
        levels.append(Level(field, 10 * field))
    return levels


def test_smoothness_by_hand():
    image = torch.randn(1, 1, 8, 8)
    # squared differences: .01 along axis 0 in one of two components, 0 along axis 1: .01 / 2 / 2
    one = 0.01 / 4
    levels = ramps(0.1, (4, 4), (8, 8))
    terms = pair_terms(levels, Pairs(image, image), Objective())
    assert terms["smoothness"].item() == pytest.approx((16 * one + 8 * one) / 2)
    terms = pair_terms(levels, Pairs(image, image), Objective(lambdas=(1.0, 3.0)))
    assert terms["smoothness"].item() == pytest.approx((one + 3 * one) / 2)
    terms = pair_terms(levels, Pairs(image, image), Objective(lambdas=(1.0, 3.0), smooth_on="composed"))
    assert terms["smoothness"].item() == pytest.approx(100 * (one + 3 * one) / 2)


@pytest.mark.parametrize(
    ("sizes", "full", "expected"),
    [
        # paper 1: 128, 64, 32, 16, 8; public code in 3-D: 16, 8, 4, 2
        ([(16, 16), (32, 32), (64, 64), (128, 128), (256, 256)], (256, 256), [128, 64, 32, 16, 8]),
        ([(6, 8, 6), (11, 15, 12), (22, 30, 24), (43, 59, 47)], (43, 59, 47), [16, 8, 4, 2]),
        ([(11, 15, 12), (22, 30, 24)], (43, 59, 47), [8, 4]),  # output stride 2
    ],
)
def test_published_lambdas(sizes, full, expected):
    assert [Objective().lambda_of(k, size, full) for k, size in enumerate(sizes)] == expected


def test_gradients_reach_the_field_but_not_through_the_weight():
    field = torch.zeros(1, 2, 8, 8, requires_grad=True)
    moving, fixed = torch.randn(2, 1, 1, 8, 8)
    inside = torch.zeros(1, 1, 8, 8)
    inside[..., 2:6] = 1
    pair_terms([Level(field, field)], Pairs(moving, fixed, inside, inside), Objective())["similarity"].backward()
    assert field.grad.abs().max() > 0
    blank = torch.ones(1, 1, 8, 8)
    other = torch.zeros(1, 2, 8, 8, requires_grad=True)
    pair_terms([Level(other, other)], Pairs(blank, blank, inside, inside), Objective())["similarity"].backward()
    assert other.grad.abs().max() == 0


def test_a_field_of_nan_is_told_and_crashes_nothing():
    field = torch.full((1, 2, 8, 8), float("nan"), requires_grad=True)
    image = torch.randn(1, 1, 8, 8)
    terms = pair_terms([Level(field, field)], Pairs(image, image), Objective())
    sum(terms.values()).backward()
    assert not torch.isfinite(torch.stack(list(terms.values()))).any()


def test_inverse_consistency_of_a_field_of_nan_crashes_nothing():
    field = torch.zeros(2, 3, 6, 6, 6)
    field[:, :, 2, 3, 4] = math.nan
    field.requires_grad_()
    error = inverse_error(*field.chunk(2))
    error.backward()
    assert math.isnan(error.item())


def test_inverse_error_by_hand():
    there = torch.zeros(1, 2, 6, 6)
    there[:, 0] = 3.0
    there[:, 1] = 4.0
    assert inverse_error(there, -there).item() == 0
    assert inverse_error(there, torch.zeros_like(there)).item() == pytest.approx(25)
    assert math.sqrt(inverse_error(there, there).item()) == pytest.approx(10)
