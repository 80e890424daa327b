import pytest
import torch

from fewscan.displacement import warp
from fewscan.registration import refine as module
from fewscan.registration.jacobian import fold_fraction, jacobian_determinant
from fewscan.registration.objective import Objective, Pairs
from fewscan.registration.refine import refine, refinement_loss

OBJECTIVE = Objective(lambdas=(0.1,))


def blob(centre, *, size=(20, 24)):
    axes = torch.meshgrid(*(torch.arange(float(side)) for side in size), indexing="ij")
    return torch.exp(-sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) / 18)[None, None]


@pytest.fixture
def pair():
    inside = torch.ones(1, 1, 20, 24)
    return Pairs(blob((11.5, 12)), blob((9.5, 12)), inside, inside)


def start():
    return torch.zeros(1, 2, 20, 24)


def test_it_lowers_the_loss_and_finds_the_shift(pair):
    found = refine(start(), pair, OBJECTIVE, steps=60)
    before, after = (float(refinement_loss(field, pair, OBJECTIVE)) for field in (start(), found))
    assert after < 0.3 * before
    # moving(p + u) = fixed(p): the blob is read two voxels further on
    assert found[0, 0, 9, 12].item() == pytest.approx(2, abs=0.5)
    assert abs(found[0, 1, 9, 12].item()) < 0.3
    assert torch.nn.functional.mse_loss(warp(pair.moving, found), pair.fixed) < 0.2 * torch.nn.functional.mse_loss(
        pair.moving, pair.fixed
    )


def test_the_start_is_returned_where_nothing_is_lower(pair, monkeypatch):
    same = Pairs(pair.fixed, pair.fixed)
    given = start()
    assert torch.equal(refine(given, same, OBJECTIVE, steps=3), given)
    # steps so long that each of them makes it worse
    monkeypatch.setattr(module, "LEARNING_RATE_VOX", 50.0)
    assert torch.equal(refine(given, pair, OBJECTIVE, steps=3), given)


def test_more_steps_are_never_worse(pair):
    losses = [float(refinement_loss(refine(start(), pair, OBJECTIVE, steps=n), pair, OBJECTIVE)) for n in (0, 1, 5, 20)]
    assert losses == sorted(losses, reverse=True)


def test_no_steps_change_nothing(pair):
    assert torch.equal(refine(start(), pair, OBJECTIVE, steps=0), start())


def test_it_folds_nothing_and_starts_where_it_is_told(pair):
    first = start()
    first[:, 0] = 1.5
    found = refine(first, pair, Objective(lambdas=(0.0,)), steps=40)
    assert fold_fraction(jacobian_determinant(found)).item() == 0
    # eight steps from nothing would not even come as far as the start
    near = refine(first, pair, OBJECTIVE, steps=8)
    assert refinement_loss(near, pair, OBJECTIVE) < refinement_loss(first, pair, OBJECTIVE)


def test_numbers_that_are_not_finite_are_never_kept(pair):
    broken = Pairs(pair.moving * float("inf"), pair.fixed)
    assert torch.equal(refine(start(), broken, OBJECTIVE, steps=2), start())


def test_it_works_within_no_grad(pair):
    with torch.no_grad():
        found = refine(start(), pair, OBJECTIVE, steps=5)
    assert not found.requires_grad
    assert found.abs().max() > 0
