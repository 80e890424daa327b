import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.augment.settings import Augmentation, augmentation
from fewscan.augment.symmetry import Symmetry, draw_symmetries, equal_planes, flip, identity, turn
from fewscan.errors import UsageError

CUBE = torch.arange(27).reshape(3, 3, 3)


@st.composite
def symmetries(draw, dimensions=3):
    order = draw(st.permutations(range(dimensions)))
    return Symmetry(tuple(order), frozenset(draw(st.sets(st.integers(0, dimensions - 1)))))


@pytest.mark.parametrize("plane", [(0, 1), (0, 2), (1, 2), (2, 0)])
@pytest.mark.parametrize("quarters", range(5))
def test_turn_is_rot90(plane, quarters):
    assert torch.equal(turn(3, plane, quarters).apply(CUBE), torch.rot90(CUBE, quarters, plane))


def test_flip_is_torch_flip_on_the_last_axes():
    batch = torch.arange(24).reshape(2, 3, 4)
    assert torch.equal(flip(2, [1]).apply(batch), batch.flip(2))
    assert torch.equal(identity(2).apply(batch), batch)


@settings(max_examples=25, deadline=None)
@given(symmetries(), symmetries())
def test_then_composes_and_inverse_undoes(first, second):
    assert torch.equal(first.then(second).apply(CUBE), second.apply(first.apply(CUBE)))
    assert first.then(first.inverse()) == identity(3)
    assert torch.equal(first.inverse().apply(first.apply(CUBE)), CUBE)


def test_all_eight_symmetries_of_the_square_occur_equally_often(generator):
    drawn = draw_symmetries(augmentation("flips"), batch=800, size=(5, 5), generator=generator)
    counts = {symmetry: drawn.count(symmetry) for symmetry in set(drawn)}
    assert len(counts) == 8
    assert identity(2) in counts
    # 100 expected each, standard deviation sqrt(800 / 8 * 7 / 8) = 9.4; five of them
    assert all(abs(count - 100) < 47 for count in counts.values())


def test_all_48_symmetries_of_the_cube_occur(generator):
    drawn = draw_symmetries(augmentation("flips"), batch=3000, size=(4, 4, 4), generator=generator)
    assert len(set(drawn)) == 48


def test_turns_without_flips_are_the_four_rotations(generator):
    drawn = draw_symmetries(Augmentation(turn_planes=None), batch=200, size=(4, 4), generator=generator)
    assert set(drawn) == {turn(2, (0, 1), quarters) for quarters in range(4)}


def test_turns_only_in_planes_with_equal_sides(generator):
    drawn = draw_symmetries(augmentation("flips"), batch=200, size=(6, 6, 4), generator=generator)
    assert {symmetry.order for symmetry in drawn} == {(0, 1, 2), (1, 0, 2)}


def test_named_axis_alone_is_flipped(generator):
    drawn = draw_symmetries(Augmentation(flip_axes=(1,)), batch=50, size=(4, 4), generator=generator)
    assert set(drawn) == {identity(2), flip(2, [1])}


def test_equal_planes_need_equal_sides_and_spacing():
    assert equal_planes((4, 4, 4)) == ((0, 1), (0, 2), (1, 2))
    assert equal_planes((4, 5, 4)) == ((0, 2),)
    assert equal_planes((4, 4, 4), (1.0, 1.0, 8.0)) == ((0, 1),)
    assert equal_planes((4, 5)) == ()


def test_missing_axis_is_an_error(generator):
    with pytest.raises(UsageError, match="axis 2, but the patches have 2 axes"):
        draw_symmetries(Augmentation(flip_axes=(2,)), batch=1, size=(4, 4), generator=generator)


def test_plane_with_unequal_sides_is_an_error(generator):
    with pytest.raises(UsageError, match=r"equal sides, but axes 0 and 1 of the patch \(4, 6\) differ"):
        draw_symmetries(Augmentation(turn_planes=((0, 1),)), batch=1, size=(4, 6), generator=generator)
