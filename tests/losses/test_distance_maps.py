"""Distances against scipy's exact transform, and signed maps worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from fewscan.losses.distance_maps import distance_loss, distance_to_nearest, signed_distance_maps


def by_scipy(labels, classes, kind):
    """Return the definition, sample by sample on the host."""
    maps = np.empty((len(labels), classes - 1, *labels.shape[1:]))
    for sample, label in enumerate(labels.numpy()):
        for index in range(1, classes):
            inside = label == index
            if inside.all() or not inside.any():
                maps[sample, index - 1] = -1.0 if inside.all() else 1.0
                continue
            outward, inward = distance_transform_edt(~inside), distance_transform_edt(inside)
            if kind == "even":
                maps[sample, index - 1] = (outward - inward) / max(outward.max(), inward.max())
            else:
                deepest = inward.max()
                inward[inward == 1] = 0
                maps[sample, index - 1] = outward / outward.max() - inward / deepest
    return torch.from_numpy(maps).float()


@settings(max_examples=40, deadline=None)
@given(
    size=st.lists(st.integers(1, 12), min_size=2, max_size=3),
    share=st.sampled_from([0.003, 0.1, 0.5]),
    seed=st.integers(0, 1000),
)
def test_distances_are_those_of_scipy(size, share, seed):
    mask = torch.rand(2, 2, *size, generator=torch.Generator().manual_seed(seed)) < share
    found = distance_to_nearest(mask)
    for sample, result in zip(mask.flatten(0, 1), found.flatten(0, 1), strict=True):
        if sample.any():
            wanted = torch.from_numpy(distance_transform_edt(~sample.numpy())).float()
            torch.testing.assert_close(result, wanted)
        else:
            assert torch.isinf(result).all()


def test_long_axes_are_searched_to_their_ends():
    """One voxel at each corner of a long patch: the search may not stop at a look before."""
    mask = torch.zeros(1, 1, 5, 60, 41, dtype=torch.bool)
    mask[..., 0, 0, 0] = mask[..., 4, 59, 40] = True
    wanted = torch.from_numpy(distance_transform_edt(~mask[0, 0].numpy())).float()
    torch.testing.assert_close(distance_to_nearest(mask)[0, 0], wanted)


def test_a_map_without_a_voxel_does_not_prolong_the_search_of_the_others(monkeypatch):
    mask = torch.zeros(1, 2, 3, 400, dtype=torch.bool)
    mask[0, 0, :, ::2] = True
    offsets, add = [], torch.add
    monkeypatch.setattr(torch, "add", lambda *args, out: offsets.append(1) or add(*args, out=out))
    found = distance_to_nearest(mask)
    assert found[0, 0].max() == 1
    assert torch.isinf(found[0, 1]).all()
    assert len(offsets) == 8  # of 399, those before the first look


@pytest.mark.parametrize("kind", ["published", "even"])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("size", [(12, 9), (7, 10, 8)])
def test_signed_maps_are_those_of_the_definition(classes, size, kind):
    blocks = torch.randint(classes, (3, *[-(-side // 3) for side in size]), generator=torch.Generator().manual_seed(1))
    for axis in range(1, blocks.ndim):
        blocks = blocks.repeat_interleave(3, dim=axis)
    labels = blocks[(slice(None), *map(slice, size))]
    maps = signed_distance_maps(labels, classes, kind=kind)
    torch.testing.assert_close(maps, by_scipy(labels, classes, kind))
    assert maps.shape == (3, classes - 1, *size)
    for index in range(1, classes):
        found = maps[:, index - 1]
        assert torch.equal(found < 0 if kind == "even" else found <= 0, labels == index)


# outward 3 2 1 0 ..., divided by 3 or 5; inward 1 2 3 4 5, divided by 5, its 1 left out if published
@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("published", [1, 2 / 3, 1 / 3, 0, -0.4, -0.6, -0.8, -1]),
        ("even", [0.6, 0.4, 0.2, -0.2, -0.4, -0.6, -0.8, -1]),
    ],
)
def test_a_line_by_hand(kind, wanted):
    labels = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]]).view(1, 8, 1)
    assert signed_distance_maps(labels, 2, kind=kind).flatten().tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["published", "even"])
def test_patches_without_a_class_and_full_of_it(kind):
    labels = torch.stack([torch.zeros(4, 6), torch.full((4, 6), 2.0)]).long()
    maps = signed_distance_maps(labels, 3, kind=kind)
    # class 1 is nowhere; class 2 is nowhere in the first patch and everywhere in the second
    assert maps.amin((2, 3)).tolist() == maps.amax((2, 3)).tolist() == [[1, 1], [1, -1]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_maps():
    labels = torch.randint(3, (2, 20, 16, 24), generator=torch.Generator().manual_seed(0))
    there = signed_distance_maps(labels.cuda(), 3, kind="even")
    torch.testing.assert_close(there.cpu(), signed_distance_maps(labels, 3, kind="even"))


def test_distance_loss_is_zero_for_the_true_map():
    labels = torch.randint(3, (2, 6, 6), generator=torch.Generator().manual_seed(0))
    maps = signed_distance_maps(labels, 3, kind="even")
    assert distance_loss(maps, labels, kind="even").item() == 0
    assert distance_loss(maps + 0.5, labels, kind="even").item() == pytest.approx(0.25)
