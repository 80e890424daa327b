import math

import pytest
import torch

from fewscan.losses.uncertainty import certain_voxels, entropy_threshold


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_threshold_rises_to_the_largest_entropy_of_so_many_classes(classes):
    assert entropy_threshold(classes, start=0.75, ramp=0.0) == pytest.approx(0.75 * math.log(classes))
    assert entropy_threshold(classes, start=0.75, ramp=0.4) == pytest.approx(0.85 * math.log(classes))
    assert entropy_threshold(classes, start=0.75, ramp=1.0) == pytest.approx(math.log(classes))


def test_certain_voxels_by_hand():
    # entropies 0, 0.5623 (see test_probabilities), ln 2 = 0.6931
    p = torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]]).T[None]
    assert certain_voxels(p, threshold=0.75 * math.log(2)).tolist() == [[True, False, False]]
    assert certain_voxels(p, threshold=0.6).tolist() == [[True, True, False]]
    assert certain_voxels(p, threshold=0.7).tolist() == [[True, True, True]]


def test_four_classes_open_fully():
    """With ln 2 in place of ln C a voxel torn between four classes would never count."""
    p = torch.tensor([0.3, 0.3, 0.2, 0.2]).view(1, 4, 1)
    assert certain_voxels(p, threshold=entropy_threshold(4, start=0.75, ramp=1.0)).all()
    assert not certain_voxels(p, threshold=math.log(2)).any()
