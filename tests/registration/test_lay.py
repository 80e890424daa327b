"""Two atlases of one bright voxel each, laid onto targets by a network that shifts each pair by a whole number."""

import pytest
import torch
from torch import nn

from fewscan.errors import DataError
from fewscan.registration.atlases import Placed
from fewscan.registration.lay import lay_atlases

SIZE = (4, 5)


class ShiftToBrightest(nn.Module):
    """Lays the brightest voxel of the moving image onto that of the fixed one; keeps how many pairs come at a time."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def displacement(self, moving, fixed):
        self.calls.append(len(moving))
        places = [torch.stack(torch.unravel_index(x.flatten(1).max(1).indices, SIZE), 1) for x in (moving, fixed)]
        return (places[0] - places[1]).float()[:, :, None, None].expand(-1, -1, *SIZE).clone()


class Nowhere(nn.Module):
    def displacement(self, moving, fixed):
        return torch.full((len(moving), 2, *SIZE), torch.nan)


def bright(row, column):
    image = torch.zeros(1, *SIZE)
    image[0, row, column] = 1
    return image


def placed():
    """Class 1 at (1, 1), and class 2 at (2, 3) in a scan that has no data in its last column."""
    images = torch.stack([bright(1, 1), bright(2, 3)])
    inside = torch.ones(2, 1, *SIZE)
    inside[1, 0, :, 4] = 0
    return Placed(images, torch.stack([images[0, 0], 2 * images[1, 0]]).to(torch.uint8), inside)


def lay(network, chosen, targets, **options):
    options = {"classes": 3, "voxels_at_once": 1000} | options
    return lay_atlases(network, placed(), torch.tensor(chosen), torch.stack(targets), **options)


def test_every_target_has_the_labels_of_its_atlas_where_it_is_bright():
    laid = lay(ShiftToBrightest(), [0, 1, 1], [bright(2, 2), bright(2, 2), bright(3, 3)], with_images=True)
    assert laid.labels.shape == (3, 3, *SIZE)
    found = laid.labels.max(1).indices
    assert [found[k].nonzero().tolist() for k in range(3)] == [[[2, 2]], [[2, 2]], [[3, 3]]]
    assert [int(found[k].max()) for k in range(3)] == [1, 2, 2]
    assert torch.allclose(laid.images, torch.stack([bright(2, 2), bright(2, 2), bright(3, 3)]), atol=1e-6)


def test_what_is_read_from_outside_of_an_atlas_or_its_padding_is_not_seen():
    # voxel (i, j) is read from (i - 1, j - 1), and from (i, j + 1), of which columns 4 and 5 are no data
    laid = lay(ShiftToBrightest(), [0, 1], [bright(2, 2), bright(2, 2)])
    first, second = torch.ones(SIZE), torch.ones(SIZE)
    first[0] = first[:, 0] = 0
    second[:, 3:] = 0
    assert torch.allclose(laid.seen, torch.stack([first, second]), atol=1e-6)
    assert laid.images.shape == (2, 0, *SIZE)


def test_pairs_pass_the_network_a_few_at_a_time():
    network, targets = ShiftToBrightest(), [bright(k, k) for k in range(4)]
    together = lay(network, [0, 1, 0, 1], targets)
    by_three = lay(network, [0, 1, 0, 1], targets, voxels_at_once=3 * 4 * 5)
    alone = lay(network, [0, 1, 0, 1], targets, voxels_at_once=1)
    assert network.calls == [4, 3, 1, 1, 1, 1, 1]
    for some in (by_three, alone):
        assert all(torch.equal(a, b) for a, b in zip(together, some, strict=True))


def test_fields_are_corrected_before_they_are_used():
    def further(field, pairs):
        assert torch.equal(pairs.moving, placed().images[1:])
        assert torch.equal(pairs.fixed[0], bright(2, 2))
        assert torch.equal(pairs.moving_inside, placed().inside[1:])
        return field + torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)

    laid = lay(ShiftToBrightest(), [1], [bright(2, 2)], correct=further)
    assert laid.labels.max(1).indices[0].nonzero().tolist() == [[1, 2]]


def test_a_displacement_that_is_not_finite_is_an_error():
    with pytest.raises(DataError, match="registration network's displacement is not finite"):
        lay(Nowhere(), [0], [bright(2, 2)])
