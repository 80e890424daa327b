from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.orientation import orientation_of
from fewscan.data.plan import Plan
from fewscan.data.prepare import nonzero_box, prepare_image, prepare_label
from fewscan.errors import DataError

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


def make_plan(*, channels=1, values=((0,), (1,)), dimensions=3, **preparation):
    return Plan.parse(
        {
            "name": "set",
            "dimensions": dimensions,
            "image_dimensions": dimensions,
            "channels": [f"MRI {k}" for k in range(channels)],
            "classes": [{"name": f"c{k}", "values": v, "output": v[0]} for k, v in enumerate(values)],
            "preparation": {"clip_percentiles": None, "normalisation": "none"} | preparation,
            "patch_size": [16] * dimensions,
        },
        source="test",
    )


def write(path: Path, array, geometry=None) -> Path:
    write_image(path, np.asarray(array, np.float32), geometry or Geometry.identity(np.shape(array)))
    return path


def box_scan(size=(7, 6, 5), start=(2, 1, 1), stop=(6, 5, 4)):
    """Values 1, 2, 3, ... in a box, zero around it."""
    array = np.zeros(size, np.float32)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    array[box] = np.arange(1, 1 + array[box].size).reshape(array[box].shape)
    return array


def test_crop_is_whole_to_the_last_slice(tmp_path):
    array = box_scan()
    grid = Geometry(array.shape, (1.0, 2.0, 3.0), (10.0, 20.0, 30.0), OBLIQUE)
    scan = prepare_image([write(tmp_path / "a.nii.gz", array, grid)], make_plan(), case_id="a")
    # the box spans 2..5, 1..4, 1..3, ends included: the public code would lose 5, 4 and 3
    assert scan.image.shape == (1, 4, 4, 3)
    assert (scan.image[0] == array[2:6, 1:5, 1:4]).all()
    assert scan.image.flags.c_contiguous
    assert scan.meta.crop_start == (2, 1, 1)
    assert scan.meta.original.size == (7, 6, 5)
    # origin of the crop: 10 + 0.8 * 2*1 - 0.6 * 1*2 = 10.4, 20 + 0.6 * 2 + 0.8 * 2 = 22.8, 30 + 1*3 = 33
    assert scan.meta.cropped.origin_mm == pytest.approx((10.4, 22.8, 33.0), abs=1e-5)
    assert scan.meta.prepared == scan.meta.cropped
    assert scan.meta.case_id == "a"


def test_box_reaches_the_last_voxel_of_the_array():
    array = np.zeros((4, 4))
    array[3, 3] = array[1, 2] = 1
    assert nonzero_box([array]) == ((1, 2), (3, 2))


def test_box_of_any_channel():
    first, second = np.zeros((5, 5)), np.zeros((5, 5))
    first[1, 1], second[3, 2] = -1, 1
    assert nonzero_box([first, second]) == ((1, 1), (3, 2))


def test_crop_clip_and_zscore_in_this_order(tmp_path):
    # cropped box: 1, 2, 3, 4 and a zero inside; far zeros outside must not count in the percentile
    array = np.zeros((100, 1, 1))
    array[50:55, 0, 0] = [1, 2, 0, 3, 40]
    plan = make_plan(clip_percentiles=(0, 75), normalisation="zscore")
    scan = prepare_image([write(tmp_path / "a.nii.gz", array)], plan, case_id="a")
    # 75th percentile of 0 1 2 3 40 is 3; clipped non-zero 1 2 3 3: mean 2.25,
    # variance (1.5625 + 0.0625 + 2 * 0.5625) / 4 = 0.6875
    expected = (np.array([1, 2, 0, 3, 3]) - 2.25) / np.sqrt(0.6875)
    assert scan.image.ravel() == pytest.approx(expected, abs=1e-5)
    assert scan.meta.background == pytest.approx((-2.25 / np.sqrt(0.6875),), abs=1e-5)
    assert scan.image[0, 2, 0, 0] == pytest.approx(scan.meta.background[0])


def test_channels_keep_their_order_and_own_normalisation(tmp_path):
    array = box_scan()
    paths = [write(tmp_path / "a0.nii.gz", array), write(tmp_path / "a1.nii.gz", array * 10)]
    scan = prepare_image(paths, make_plan(channels=2), case_id="a")
    assert (scan.image[1] == 10 * scan.image[0]).all()
    assert scan.meta.sources == tuple(str(path) for path in paths)
    scan = prepare_image(paths, make_plan(channels=2, normalisation="minmax"), case_id="a")
    assert scan.image.max(axis=(1, 2, 3)).tolist() == [1, 1]


@pytest.mark.parametrize("normalisation", ["zscore", "minmax", "none"])
def test_all_zero_image_is_neither_cropped_nor_nan(tmp_path, normalisation):
    path = write(tmp_path / "a.nii.gz", np.zeros((4, 5, 6)))
    scan = prepare_image([path], make_plan(normalisation=normalisation), case_id="a")
    assert scan.image.shape == (1, 4, 5, 6)
    assert (scan.image == 0).all()
    assert scan.meta.background == (0.0,)


def test_crop_none(tmp_path):
    scan = prepare_image([write(tmp_path / "a.nii.gz", box_scan())], make_plan(crop="none"), case_id="a")
    assert scan.image.shape == (1, 7, 6, 5)


def test_two_dimensions(tmp_path):
    scan = prepare_image(
        [write(tmp_path / "a.nii.gz", box_scan((6, 5), (1, 1), (4, 4)))], make_plan(dimensions=2), case_id="a"
    )
    assert scan.image.shape == (1, 3, 3)


def test_image_and_label_are_resampled_alike(tmp_path):
    grid = Geometry((24, 20, 16), (1.0, 1.0, 2.0), (3.0, -5.0, 7.0), OBLIQUE)
    label = np.zeros(grid.size, np.float32)
    label[6:18, 6:14, 4:12] = 7
    image_path, label_path = (
        write(tmp_path / "a.nii.gz", 100 * label + 1, grid),
        write(tmp_path / "b.nii.gz", label, grid),
    )
    plan = make_plan(values=((0,), (7,)), spacing_mm=(1.5, 1.5, 1.5))
    scan = prepare_image([image_path], plan, case_id="a")
    found = prepare_label(label_path, plan, scan.meta)
    # 24 / 1.5 = 16, 20 / 1.5 = 13.3, 16 * 2 / 1.5 = 21.3
    assert scan.image.shape == (1, 16, 13, 21)
    assert scan.meta.prepared.spacing_mm == (1.5, 1.5, 1.5)
    assert found.shape == scan.image.shape[1:]
    assert found.dtype == np.uint8
    bright = scan.image[0] > 351
    assert (bright != found).mean() < 0.01
    assert found.sum() * 1.5**3 == pytest.approx(12 * 8 * 8 * 2, rel=0.1)


def test_label_is_mapped_and_cropped(tmp_path):
    image = box_scan()
    label = np.zeros(image.shape)
    label[3, 2, 2], label[5, 4, 3], label[0, 0, 0] = 2, 7, 4
    plan = make_plan(values=((0,), (2,), (4, 7)))
    scan = prepare_image([write(tmp_path / "a.nii.gz", image)], plan, case_id="a")
    found = prepare_label(write(tmp_path / "b.nii.gz", label), plan, scan.meta)
    assert found.shape == (4, 4, 3)
    assert (found[1, 1, 1], found[3, 3, 2], found.sum()) == (1, 2, 3)


def test_binarisation(tmp_path):
    label = np.arange(8).reshape(2, 2, 2)
    plan = make_plan(values=((0,), tuple(range(1, 8))))
    scan = prepare_image([write(tmp_path / "a.nii.gz", label + 1)], plan, case_id="a")
    assert prepare_label(write(tmp_path / "b.nii.gz", label), plan, scan.meta).sum() == 7


def test_label_on_another_grid_is_refused(tmp_path):
    plan = make_plan()
    scan = prepare_image([write(tmp_path / "a.nii.gz", box_scan())], plan, case_id="a")
    small = write(tmp_path / "small.nii.gz", np.ones((7, 6, 4)))
    with pytest.raises(DataError, match=r"case a: label .*small.*has size"):
        prepare_label(small, plan, scan.meta)
    far = Geometry((7, 6, 5), (1.0, 1.0, 1.0), (2.0, 0.0, 0.0), Geometry.identity((7, 6, 5)).direction)
    with pytest.raises(DataError, match="elsewhere in space"):
        prepare_label(write(tmp_path / "far.nii.gz", np.ones((7, 6, 5)), far), plan, scan.meta)
    with pytest.raises(DataError, match=r"b\.nii\.gz: undeclared values 3 \(210 voxels\)"):
        prepare_label(write(tmp_path / "b.nii.gz", np.full((7, 6, 5), 3)), plan, scan.meta)


def test_bad_cases_are_named(tmp_path):
    good = write(tmp_path / "a0.nii.gz", box_scan())
    other = write(tmp_path / "a1.nii.gz", np.ones((3, 3, 3)))
    with pytest.raises(DataError, match=r"case a: channel .*a1\.nii\.gz has size"):
        prepare_image([good, other], make_plan(channels=2), case_id="a")
    with pytest.raises(DataError, match="case a: 1 image files, the plan has 2 channels"):
        prepare_image([good], make_plan(channels=2), case_id="a")
    with pytest.raises(DataError, match=r"case a: .*a0\.nii\.gz is 3-D, the plan is for 2-D"):
        prepare_image([good], make_plan(dimensions=2), case_id="a")
    with pytest.raises(DataError, match="case a: has no image file"):
        prepare_image([], make_plan(), case_id="a")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz"])
def test_voxels_that_are_not_numbers(tmp_path, name, value):
    array = box_scan()
    array[1, 2, 3] = array[4, 0, 0] = value
    with pytest.raises(DataError, match=r"2 of 210 voxels are NaN or infinite, the first at index \(1, 2, 3\)"):
        prepare_image([write(tmp_path / name, array)], make_plan(), case_id="a")


def test_label_that_is_not_a_number(tmp_path):
    scan = prepare_image([write(tmp_path / "a.nii.gz", box_scan())], make_plan(), case_id="a")
    label = np.zeros((7, 6, 5))
    label[3, 2, 1] = np.nan
    with pytest.raises(DataError, match=r"b\.nii\.gz: 1 of 210 voxels is NaN"):
        prepare_label(write(tmp_path / "b.nii.gz", label), make_plan(), scan.meta)


CODES = ("LPS", "RAS", "LAS", "PIR", "SRA", "AIL")


def turned_copy(path, code):
    """Write the scan again as SimpleITK turns it."""
    copy = path.with_name(f"{code}_{path.name}")
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), code), str(copy))
    return copy


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    "preparation",
    [
        {"clip_percentiles": (0.0, 99.9), "normalisation": "zscore"},
        {"clip_percentiles": (0.5, 99.5), "normalisation": "zscore", "over": "all", "crop": "none"},
        {"normalisation": "minmax", "spacing_mm": (1.25, 1.25, 2.5)},
    ],
    ids=["mri", "ct", "resampled"],
)
def test_a_turned_copy_is_prepared_bit_for_bit_alike(tmp_path, code, preparation):
    rng = np.random.default_rng(0)
    array = box_scan((17, 14, 9), (2, 1, 1), (15, 13, 7)) * rng.uniform(0.5, 1.5, (17, 14, 9)).astype(np.float32)
    label = np.zeros(array.shape, np.float32)
    label[4:9, 3:12, 2:5] = 7
    grid = Geometry(array.shape, (1.0, 1.5, 5.0), (10.0, -20.5, 32.0), Geometry.identity(array.shape).direction)
    files = write(tmp_path / "a.mha", array, grid), write(tmp_path / "b.mha", label, grid)
    untouched = make_plan(values=((0,), (7,)), **preparation)
    plan = untouched.model_copy(update={"orientation": "LPS"})
    before = prepare_image(files[:1], untouched, case_id="a")
    image_file, label_file = (turned_copy(path, code) for path in files)
    scan = prepare_image([image_file], plan, case_id="a")
    np.testing.assert_array_equal(scan.image, before.image)
    assert scan.image.flags.c_contiguous
    assert scan.meta.prepared == before.meta.prepared
    assert scan.meta.background == before.meta.background
    assert scan.meta.original.size == sitk.ReadImage(str(image_file)).GetSize()
    np.testing.assert_array_equal(
        prepare_label(label_file, plan, scan.meta), prepare_label(files[1], untouched, before.meta)
    )


@pytest.mark.parametrize("code", CODES)
def test_voxels_keep_their_place_in_an_oblique_scan(tmp_path, code):
    array = box_scan()
    grid = Geometry(array.shape, (1.0, 2.0, 3.0), (10.0, 20.0, 30.0), OBLIQUE)
    scan = prepare_image(
        [write(tmp_path / "a.nii.gz", array, grid)], make_plan().model_copy(update={"orientation": code}), case_id="a"
    )
    assert orientation_of(scan.meta.prepared) == code
    # the box holds 1 at its first and 48 at its last voxel, which lie at (2, 1, 1) and (5, 4, 3) of the scan
    for value, index in ((1, (2, 1, 1)), (48, (5, 4, 3))):
        place = np.argwhere(scan.image[0] == value)
        assert len(place) == 1
        np.testing.assert_allclose(scan.meta.prepared.affine() @ [*place[0], 1], grid.affine() @ [*index, 1], atol=1e-4)


def test_anisotropic_voxels_are_resampled_along_the_right_axes(tmp_path):
    # sagittal slices of 5 mm, and a plan that wants 1 x 1 x 5 mm with axial ones
    grid = Geometry((8, 20, 30), (5.0, 1.0, 1.0), (0.0, 0.0, 0.0), Geometry.identity((8, 20, 30)).direction)
    array = np.broadcast_to(np.arange(1.0, 31.0), grid.size)  # 1 mm by 1 mm towards the head
    path = turned_copy(write(tmp_path / "a.mha", array, grid), "PIR")
    assert sitk.ReadImage(str(path)).GetSpacing() == (1.0, 1.0, 5.0)
    plan = make_plan(spacing_mm=(1.0, 1.0, 5.0)).model_copy(update={"orientation": "LPS"})
    scan = prepare_image([path], plan, case_id="a")
    assert scan.image.shape == (1, 40, 20, 6)
    assert scan.meta.prepared.spacing_mm == (1.0, 1.0, 5.0)
    np.testing.assert_allclose(scan.image[0, 20, 10, 1:-1], [8, 13, 18, 23], atol=1e-3)
