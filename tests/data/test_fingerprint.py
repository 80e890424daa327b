from pathlib import Path

import numpy as np
import pytest

from fewscan.data.case import Case, Dataset
from fewscan.data.fingerprint import Fingerprint, take_fingerprint
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.layouts import load_dataset
from fewscan.data.orientation import turn_to
from fewscan.errors import DataError, UsageError


def make_dataset(folder: Path, arrays, *, labels=None, spacings=None, names=("MRI",), declared=None):
    """One case per array (channels first), called a, b, c, ..."""
    cases = []
    for number, array in enumerate(arrays):
        case_id = chr(ord("a") + number)
        grid = Geometry.identity(array.shape[1:], spacings[number] if spacings else None)
        images = tuple(folder / f"{case_id}_{k}.nii.gz" for k in range(len(array)))
        for path, channel in zip(images, array, strict=True):
            write_image(path, channel.astype(np.float32), grid)
        label = None
        if labels and labels[number] is not None:
            label = folder / f"{case_id}_label.nii.gz"
            write_image(label, np.full(grid.size, labels[number], np.uint8), grid)
        cases.append(Case(id=case_id, images=images, label=label))
    return Dataset(name="set", root=folder, cases=tuple(cases), channel_names=names, labels=declared or {})


def test_facts(tmp_path):
    first, second = np.zeros((2, 10, 8, 4)), np.zeros((2, 10, 8, 6))
    first[0, 0:5, :, :] = 1  # half of the voxels, a box of half the x axis
    first[1, 0:5, 0:4, :] = 3
    second[0] = 2  # all voxels
    dataset = make_dataset(tmp_path, [first, second], spacings=[(1, 1, 3), (1, 2, 3)], names=("T1", "T2"))
    found = take_fingerprint(dataset, ["b", "a"])
    assert found.case_count == 2
    assert found.dimensions == 3
    assert found.sizes == ((10, 8, 4), (10, 8, 6))
    assert found.median_size == (10, 8, 5)
    assert found.median_spacing_mm == (1, 1.5, 3)
    assert found.crop_share == (0.75, 1, 1)
    assert found.nonzero_share == 0.75
    # medians of two cases are means: T1 (0 to 1) and (2 to 2), T2 (0 to 3) and (0 to 0); median of half 0, half 1: 0.5
    assert found.intensities == ((1, 1.25, 1.5), (0, 0, 1.5))
    assert found.label_values == ()


def test_only_the_named_cases_and_labels_are_opened(tmp_path):
    dataset = make_dataset(tmp_path, [np.ones((1, 4, 4, 4))] * 4, labels=[2, 5, None, 9])
    dataset["b"].label.write_bytes(b"garbage")  # may not be opened
    dataset["d"].images[0].write_bytes(b"garbage")  # not a training case
    found = take_fingerprint(dataset, ["a", "b", "c"], label_ids=["a", "c"])
    assert found.label_values == (2,)


def test_declared_labels_need_no_label_file(tmp_path):
    dataset = make_dataset(tmp_path, [np.ones((1, 4, 4, 4))], labels=[1], declared={"background": 0, "organ": 1})
    dataset["a"].label.write_bytes(b"garbage")
    assert take_fingerprint(dataset, ["a"], label_ids=["a"]).label_values == ()


def test_pixels_of_many_cases_are_sampled(tmp_path, monkeypatch):
    monkeypatch.setattr("fewscan.data.fingerprint.PIXEL_CASES", 2)
    arrays = [np.full((1, 4, 4, 4), value) for value in (1.0, 100.0, 3.0)]
    found = take_fingerprint(make_dataset(tmp_path, arrays), "abc")
    assert found.case_count == len(found.sizes) == 3
    assert found.intensities == ((2, 2, 2),)  # of the first and the last


def test_channels_inside_one_file(decathlon_dataset, monkeypatch):
    monkeypatch.setattr("fewscan.data.fingerprint.PIXEL_CASES", 1)
    found = take_fingerprint(load_dataset(decathlon_dataset(labelled=3, channels=2)), ["blob_0", "blob_1", "blob_2"])
    assert found.sizes == ((8, 7, 6),) * 3
    assert len(found.intensities) == 2


def test_bad_files_are_all_listed(tmp_path):
    dataset = make_dataset(tmp_path, [np.ones((1, 4, 4, 4))] * 3)
    for case_id in "ac":
        dataset[case_id].images[0].write_bytes(b"garbage")
    with pytest.raises(DataError, match=r"(?s)2 of 3 cases failed.*a_0\.nii\.gz.*c_0\.nii\.gz"):
        take_fingerprint(dataset, "abc")


def test_mixed_dimensions_are_refused(tmp_path):
    dataset = make_dataset(tmp_path, [np.ones((1, 4, 4, 4)), np.ones((1, 4, 4))])
    with pytest.raises(DataError, match=r"mixes 2-D and 3-D images \(case b is 2-D\)"):
        take_fingerprint(dataset, "ab")


def test_no_case_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no training case"):
        take_fingerprint(make_dataset(tmp_path, []), [])


def test_yaml_round_trip(tmp_path):
    found = take_fingerprint(make_dataset(tmp_path, [np.ones((1, 4, 4, 4))]), "a")
    found.write(tmp_path / "fingerprint.yaml")
    assert Fingerprint.read(tmp_path / "fingerprint.yaml") == found


def turned_dataset(folder, codes, *, size=(4, 6, 8), spacing_mm=(1.0, 2.0, 5.0)):
    """One scan per orientation, all of one anatomy: half of it along the second axis (to the back) is empty."""
    array = np.zeros(size, np.float32)
    array[:, : size[1] // 2] = 1
    grid = Geometry.identity(size, spacing_mm)
    cases = []
    for case_id, code in zip("abcdefgh", codes, strict=False):
        way = turn_to(grid, code)
        write_image(folder / f"{case_id}.nii.gz", way.array(array), way.geometry(grid))
        cases.append(Case(id=case_id, images=(folder / f"{case_id}.nii.gz",), label=None))
    return Dataset(name="set", root=folder, cases=tuple(cases), channel_names=("MRI",))


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["PIR", "LPS", "PIR"], "PIR"),
        (["PIR", "LPS"], "PIR"),  # as many of either: the first
        (["RAS", "LPS", "PIR", "PIR", "LPS"], "LPS"),
    ],
)
def test_all_counts_the_axes_of_the_commonest_orientation(codes, expected, tmp_path):
    dataset = turned_dataset(tmp_path, codes)
    found = take_fingerprint(dataset, [case.id for case in dataset][::-1])
    count = len(codes)
    assert found.orientation == expected
    if expected == "PIR":  # axes to the back, the feet and the right
        assert found.sizes == ((6, 8, 4),) * count
        assert found.spacings_mm == ((2.0, 5.0, 1.0),) * count
        assert found.crop_share == (0.5, 1, 1)
    else:
        assert found.sizes == ((4, 6, 8),) * count
        assert found.spacings_mm == ((1.0, 2.0, 5.0),) * count
        assert found.crop_share == (1, 0.5, 1)


def test_flat_images_have_no_orientation(tmp_path):
    assert take_fingerprint(make_dataset(tmp_path, [np.ones((1, 4, 4))]), "a").orientation is None
