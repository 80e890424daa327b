import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.augment.intensity import apply_gamma
from fewscan.augment.symmetry import identity
from fewscan.augment.views import views
from fewscan.errors import UsageError


def test_first_view_is_the_identity():
    image = torch.randn(2, 4, 5)
    (view,) = views(2, 1)
    assert view.name == "identity"
    assert torch.equal(view.forward(image), image)
    assert torch.equal(view.inverse(image), image)


def test_order_and_names():
    names = [view.name for view in views(2, 10, turn_planes=[(0, 1)])]
    assert names[:6] == ["identity", "flip 0", "flip 1", "flip 0+1", "turn 0-1 by 90", "turn 0-1 by 90, flip 0"]
    assert names[-2:] == ["gamma 0.8", "gamma 1.25"]


@pytest.mark.parametrize(
    ("dimensions", "planes", "count"), [(2, [], 4), (2, [(0, 1)], 8), (3, [], 8), (3, [(0, 1)], 16)]
)
def test_every_symmetry_comes_once(dimensions, planes, count):
    every = views(dimensions, count, turn_planes=planes, gammas=())
    assert len({view.symmetry for view in every}) == count
    with pytest.raises(UsageError, match=f"there are 1 to {count} here"):
        views(dimensions, count + 1, turn_planes=planes, gammas=())


def test_no_view_is_an_error():
    with pytest.raises(UsageError, match="0 views were asked for"):
        views(3, 0)


def test_views_for_a_network_that_never_saw_flips():
    assert [view.name for view in views(3, 3, flip_axes=())] == ["identity", "gamma 0.8", "gamma 1.25"]


@settings(max_examples=25, deadline=None)
@given(
    size=st.lists(st.integers(1, 5), min_size=2, max_size=3),
    leading=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    data=st.data(),
)
def test_inverse_is_exact(size, leading, data):
    planes = [(0, 1), (1, 2), (0, 2)] if len(size) == 3 else [(0, 1)]
    every = views(len(size), 8, turn_planes=planes) + views(len(size), 6, flip_axes=(1,), turn_planes=planes)
    view = data.draw(st.sampled_from(every))
    image = torch.randn(*leading, *size)
    # the probabilities of a network that copies its input
    assert torch.equal(view.inverse(view.symmetry.apply(image)), image)


def test_forward_and_inverse_follow_a_network():
    # A network that works voxel by voxel sees the same voxels in every view: all give the plain answer.
    image = torch.randn(1, 2, 4, 4, 6)
    for view in views(3, 16, turn_planes=[(0, 1)], gammas=()):
        torch.testing.assert_close(view.inverse(view.forward(image).tanh()), image.tanh(), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(2, 5, 6), (3, 2, 5, 6)])
def test_gamma_views_change_contrast_only(shape):
    view = views(2, 2, flip_axes=())[1]
    image = torch.randn(shape)
    assert view.symmetry == identity(2)
    assert torch.equal(view.forward(image), apply_gamma(image, torch.full(shape[:-2], 0.8)))
    assert torch.equal(view.inverse(image), image)
