import numpy as np
import pytest
import torch

from fewscan.data.whole_scan import whole_scan
from fewscan.errors import UsageError
from fewscan.registration.atlases import Atlases


class Case:
    def __init__(self, *size, name="a", background=-2.0):
        self.id, self.background = name, (background,)
        self._image = np.random.default_rng(0).normal(size=(1, *size)).astype(np.float32)
        self._label = np.ones(size, np.uint8)

    def image(self):
        return self._image

    def label(self):
        return self._label


def test_a_whole_scan_is_centred_and_padded():
    case = Case(3, 6)
    found = whole_scan(case, (6, 6))
    # three of six: one voxel before, two behind
    assert np.array_equal(found.image[:, 1:4], case.image())
    assert (found.image[0, [0, 4, 5]] == -2).all()
    assert torch.equal(found.label, found.inside)
    assert found.inside.sum() == 18
    assert (found.label.dtype, found.id) == (torch.uint8, "a")


def test_atlases_on_a_larger_grid_share_its_centre_with_the_scans_themselves():
    """Padding twice, to the grid and then to the target's, is padding once; where both are odd up to a voxel."""
    cases = [Case(4, 3, 5), Case(6, 5, 4, name="b", background=-7.0)]
    atlases = Atlases.of(whole_scan(case, (6, 5, 5)) for case in cases)
    assert (len(atlases), atlases.size) == (2, (6, 5, 5))
    same = atlases.on((6, 5, 5))
    assert torch.equal(same.images, atlases.images)
    placed = atlases.on((10, 9, 7))
    for k, case in enumerate(cases):
        once = whole_scan(case, (10, 9, 7))
        assert torch.equal(placed.images[k], once.image)
        assert torch.equal(placed.labels[k], once.label)
        assert torch.equal(placed.inside[k, 0], once.inside.float())


def test_the_padding_has_the_background_of_each_scan():
    atlases = Atlases.of(whole_scan(Case(2, 2, background=float(-k)), (2, 2)) for k in range(3))
    corners = atlases.on((4, 5)).images[:, 0, 0, 0]
    assert corners.tolist() == [0, -1, -2]


def test_a_smaller_grid_is_refused():
    atlases = Atlases(1, channels=1, size=(4, 4))
    with pytest.raises(UsageError, match=r"grid of \(4, 4\) voxels and cannot be laid onto a scan of \(4, 3\)"):
        atlases.on((4, 3))
    with pytest.raises(UsageError, match="cannot be laid"):
        atlases.on((4, 4, 4))
    with pytest.raises(ValueError, match="at least one"):
        Atlases.of([])


def test_they_travel_with_the_state_and_take_any_layout():
    first = Atlases.of([whole_scan(Case(3, 4, 5), (4, 4, 5))])
    second = Atlases(1, channels=1, size=(4, 4, 5))
    second.load_state_dict(first.to(memory_format=torch.channels_last_3d).state_dict())
    assert torch.equal(second.on((4, 4, 6)).images, first.on((4, 4, 6)).images)
    assert not list(second.parameters())
