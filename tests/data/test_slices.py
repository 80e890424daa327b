from dataclasses import replace

import numpy as np
import pytest

from fewscan.data.case import Part
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import read_image
from fewscan.data.layouts import load_dataset
from fewscan.data.slices import cut, write_slices
from fewscan.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("axis", "at", "expected"),
    [(0, 0.0, 0), (0, 0.55, 2), (0, 1.0, 3), (1, 0.55, 2), (2, 0.5, 3)],  # floor(at * n), n = 4, 5, 6; at most n - 1
)
def test_which_slice(axis, at, expected):
    array = np.indices((4, 5, 6))[axis]
    size = tuple(n for k, n in enumerate((4, 5, 6)) if k != axis)
    plane = cut(array, axis=axis, at=at, size=size)
    assert plane.shape == size
    assert (plane == expected).all()


def test_centred_crop_and_padding():
    array = np.arange(1, 6)[:, None, None] * np.ones((5, 1, 2), int)  # x: 1 2 3 4 5, z: 2 voxels
    # x: 5 to 3 drops one on each side; z: 2 to 5 adds 3, one before and two after
    plane = cut(array, axis=1, at=0, size=(3, 5))
    assert plane.tolist() == [[0, 2, 2, 0, 0], [0, 3, 3, 0, 0], [0, 4, 4, 0, 0]]


def test_crop_about_the_label():
    array = np.indices((6, 7, 8)).transpose(1, 2, 3, 0) @ (100, 10, 1)  # voxel (x, y, z) holds 100 x + 10 y + z
    mask = np.zeros((6, 7, 8), bool)
    mask[5, 1:4, 2:6] = True  # slices z = 2 to 5, the middle one is 2 + floor(0.5 * 4) = 4
    # x: box 5 to 5, centre edge (5 + 5 + 1) // 2 = 5, two before: 3, 4, 5, one past the edge; y: centre 2, so 1, 2
    plane = cut(array, axis=2, at=0.5, size=(4, 2), about=mask)
    assert plane.tolist() == [[314, 324], [414, 424], [514, 524], [0, 0]]


def test_slices_about_a_label_need_one(nnunet_dataset, tmp_path):
    volumes = load_dataset(nnunet_dataset(labelled=1, unlabelled=1, test=0))
    with pytest.raises(DataError, match="has no labelled voxel"):
        write_slices(volumes, tmp_path / "flat", axis=2, at=0.5, size=(4, 4), about="label")


def test_writes_a_dataset_with_the_same_parts(nnunet_dataset, tmp_path):
    volumes = load_dataset(nnunet_dataset(labelled=2, unlabelled=1, test=1, channels=2, spacing_mm=(1.0, 2.0, 3.0)))
    flat = write_slices(volumes, tmp_path / "Dataset002_Slices", axis=1, at=0.55, size=(10, 10))
    assert flat.name == "Dataset002_Slices"
    assert [case.id for case in flat] == [case.id for case in volumes]
    assert [case.label is not None for case in flat] == [True, True, False, True]
    assert [case.part for case in flat] == [None, None, None, Part.TEST]
    assert flat.channel_names == volumes.channel_names
    assert flat.labels == volumes.labels
    # floor(0.55 * 7) = 3; x: 8 voxels in 10, one before; z: 6 in 10, two before
    before, after = read_image(volumes.cases[0].images[1]), read_image(flat.cases[0].images[1])
    assert after.geometry == Geometry.identity((10, 10), (1.0, 3.0))
    assert (after.array[1:9, 2:8] == before.array[:, 3, :]).all()
    assert after.array.sum() == before.array[:, 3, :].sum()


def test_joined_labels(nnunet_dataset, tmp_path):
    source = nnunet_dataset(labelled=1, unlabelled=0, test=0)
    header = source / "dataset.json"
    header.write_text(header.read_text(encoding="utf-8").replace('"blob": 1', '"blob": 1, "rest": 2'))
    flat = write_slices(load_dataset(source), tmp_path / "flat", axis=2, at=0.5, size=(8, 8), join_labels=True)
    assert flat.labels == {"background": 0, "foreground": 1}
    assert set(np.unique(read_image(flat.cases[0].label).array)) == {0, 1}


def test_bad_requests(nnunet_dataset, tmp_path):
    volumes = load_dataset(nnunet_dataset(labelled=1, unlabelled=0, test=0))
    with pytest.raises(UsageError, match=r"axis 3 at 0\.5"):
        write_slices(volumes, tmp_path / "flat", axis=3, at=0.5, size=(8, 8))
    with pytest.raises(UsageError, match="is not empty"):
        write_slices(volumes, volumes.root, axis=1, at=0.5, size=(8, 8))
    outside = replace(volumes, cases=(replace(volumes.cases[0], id="../outside"),))
    with pytest.raises(DataError, match="cannot be a file name"):
        write_slices(outside, tmp_path / "flat", axis=1, at=0.5, size=(8, 8))
    flat = write_slices(volumes, tmp_path / "flat", axis=1, at=0.5, size=(8, 8))
    with pytest.raises(DataError, match="is not 3-D"):
        write_slices(flat, tmp_path / "flatter", axis=1, at=0.5, size=(8, 8))
