import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewscan.data.case import Case
from fewscan.data.check.case_check import check_case
from fewscan.data.check.nifti_header import read_nifti_header

SHEAR = np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def test_clean_case(save, voxels, label, examine):
    found = examine(save("scan.nii.gz", voxels), save("label.nii.gz", label))
    assert found.problems == []
    assert found.geometry.size == (12, 11, 10)
    assert found.label_voxels == {0: 1256, 1: 64}
    assert len(found.digests[0]) == 64


def test_fault_14_to_16_label_on_another_grid(save, voxels, label, examine, codes):
    image = save("scan.nii.gz", voxels)
    assert codes(examine(image, save("a.nii.gz", label[:-1]))) == ["error label-shape"]
    assert codes(examine(image, save("b.nii.gz", label, np.diag([1, 1, 1.5, 1])))) == ["error label-geometry"]
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = 11
    found = examine(image, save("c.nii.gz", label, flip))
    assert codes(found) == ["error label-flipped"]
    assert found.problems[0].file.endswith("c.nii.gz")


def test_channels_on_different_grids(save, voxels, codes):
    images = (save("t1.nii.gz", voxels), save("t2.nii.gz", voxels + 1, np.diag([1, 2, 1, 1])))
    found = check_case(Case(id="one", images=images), declared_labels=(), available_bytes=2**40)
    assert codes(found) == ["error channel-geometry"]
    assert found.problems[0].file == str(images[1])


@pytest.mark.parametrize("code", [1, 2, 4])
def test_fault_17_qform_differs_from_sform_names_the_one_in_use(save, voxels, examine, codes, code):
    moved = np.eye(4)
    moved[0, 3] = 5
    found = examine(save("scan.nii", voxels, sform=(np.eye(4), code), qform=(moved, 1)))
    assert codes(found) == ["warning qform-differs"]
    assert "up to 5 mm apart; the sform is used, as its code is above 0" in found.problems[0].message
    assert found.geometry.origin_mm == (0, 0, 0)


def test_fault_17_broken_qform(save, voxels, examine, codes):
    path = save("scan.nii", voxels, sform=(np.eye(4), 1), qform=(np.eye(4), 1))
    header = read_nifti_header(path)
    header["quatern_b"], header["quatern_c"] = 0.9, 0.9  # longer than a unit quaternion
    path.write_bytes(header.binaryblock + path.read_bytes()[348:])
    assert "warning qform-differs" in codes(examine(path))


def test_fault_17_spacing_differs_from_sform(save, voxels, examine, codes):
    found = examine(save("scan.nii", voxels, sform=(np.diag([2, 2, 2, 1.0]), 1)))
    assert codes(found) == ["warning spacing-differs"]
    assert "the sform is used, as its code is above 0: 2 x 2 x 2 mm" in found.problems[0].message
    assert found.geometry.spacing_mm == (2, 2, 2)


@pytest.mark.parametrize("qform", [None, (np.eye(4), 1)])
def test_fault_19_sheared_affine_is_reported_once(save, voxels, examine, codes, qform):
    assert codes(examine(save("scan.nii", voxels, sform=(SHEAR, 1), qform=qform))) == ["error sheared-affine"]


def test_fault_20_21_oblique_and_anisotropic_case_is_clean(save, voxels, label, examine):
    c, s = np.cos(0.5), np.sin(0.5)
    affine = np.array([[c, -s, 0, 3], [s, c, 0, -70], [0, 0, 1, 12], [0, 0, 0, 1]]) @ np.diag([0.5, 0.5, 5, 1])
    found = examine(save("scan.nii.gz", voxels, affine), save("label.nii.gz", label, affine))
    assert found.problems == []
    np.testing.assert_allclose(found.geometry.spacing_mm, (0.5, 0.5, 5), atol=1e-6)


def test_fault_24_trailing_axis_is_dropped_with_a_note(save, voxels, label, examine, codes):
    found = examine(save("scan.nii.gz", voxels[..., None]), save("label.nii.gz", label))
    assert codes(found) == ["note trailing-axis"]
    assert found.geometry.size == (12, 11, 10)


def test_fault_27_huge_volume_is_not_read(save, voxels, label, examine, codes):
    found = examine(save("scan.nii.gz", voxels), save("label.nii.gz", label), available_bytes=1000)
    assert codes(found) == ["warning huge-volume", "warning huge-volume"]
    assert found.intensities == (None,)
    assert found.label_voxels is None


def test_fault_27_a_size_that_no_file_holds_is_an_error(save, voxels, examine, codes):
    path = save("scan.nii", voxels, sform=(np.eye(4), 1))
    header = read_nifti_header(path)
    header.set_data_shape((30000, 30000, 30000))
    path.write_bytes(header.binaryblock + path.read_bytes()[348:])
    found = examine(path)
    assert codes(found) == ["error unreadable-image"]
    assert "truncated" in found.problems[0].message


def assert_unreadable(found, codes, words):
    """Assert that the image, and only the image, is reported, and that the message holds ``words``."""
    assert codes(found) == ["error unreadable-image"]
    problem = found.problems[0]
    assert words in problem.message
    assert not problem.message.startswith(problem.file)
    assert problem.mend
    assert found.label_voxels == {0: 1256, 1: 64}


def test_fault_28_truncated_gzip(save, voxels, label, examine, codes):
    path = save("scan.nii.gz", voxels)
    path.write_bytes(path.read_bytes()[:-50])
    assert_unreadable(examine(path, save("label.nii.gz", label)), codes, "truncated")


def test_fault_28_truncated_without_gzip(save, voxels, label, examine, codes):
    path = save("scan.nii", voxels)
    path.write_bytes(path.read_bytes()[:-50])
    assert_unreadable(examine(path, save("label.nii.gz", label)), codes, "truncated")


def test_fault_29_zero_bytes(tmp_path, save, label, examine, codes):
    path = tmp_path / "scan.nii.gz"
    path.touch()
    assert_unreadable(examine(path, save("label.nii.gz", label)), codes, "empty")


@pytest.mark.parametrize(("written", "named"), [("scan.nii", "scan.nii.gz"), ("scan.nii.gz", "scan.nii")])
def test_fault_30_wrong_extension(save, voxels, label, examine, codes, written, named):
    path = save(written, voxels)
    path = path.rename(path.with_name(named))
    assert_unreadable(examine(path, save("label.nii.gz", label)), codes, "unlike its name says")


@pytest.mark.parametrize("dtype", [">f4", ">i2", "<u2", "<i8", "<f8"])
def test_fault_31_byte_orders_and_widths_are_clean(tmp_path, voxels, examine, dtype):
    header = nib.Nifti1Header(endianness=dtype[0])
    image = nib.Nifti1Image(voxels.astype(dtype), np.eye(4), header, dtype=np.dtype(dtype))
    nib.save(image, tmp_path / "scan.nii.gz")
    found = examine(tmp_path / "scan.nii.gz")
    assert found.problems == []
    assert found.intensities[0].maximum == 1319


def test_fault_32_odd_names_are_clean(save, voxels, label, examine):
    found = examine(save("scan of Zoë (2).NII.GZ", voxels), save("наклейка 1.nii.gz", label))
    assert found.problems == []


def test_fault_34_dangling_link(tmp_path, save, label, examine, codes):
    (tmp_path / "scan.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    assert_unreadable(examine(tmp_path / "scan.nii.gz", save("label.nii.gz", label)), codes, "gone.nii.gz")


def test_fault_34_folder_with_the_name_of_an_image(tmp_path, save, label, examine, codes):
    (tmp_path / "scan.nii.gz").mkdir()
    assert_unreadable(examine(tmp_path / "scan.nii.gz", save("label.nii.gz", label)), codes, "is a folder")


def test_fault_34_no_permission(save, voxels, label, examine, codes, monkeypatch):
    path = save("scan.nii.gz", voxels)
    real = Path.open

    def refuse(self, *args, **kwargs):
        if self == path:
            raise PermissionError(13, os.strerror(13), str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    assert_unreadable(examine(path, save("label.nii.gz", label)), codes, "Permission denied")


def test_missing_label_file(tmp_path, save, voxels, examine, codes):
    found = examine(save("scan.nii.gz", voxels), tmp_path / "gone.nii.gz")
    assert codes(found) == ["error unreadable-image"]
    assert found.geometry is not None


def test_channels_in_one_4d_file(save, voxels, codes):
    path = save("scan.nii.gz", np.stack([voxels, voxels * 0], axis=-1))
    found = check_case(Case(id="one", images=(path, path)), declared_labels=(), available_bytes=2**40)
    assert codes(found) == ["error constant-image"]
    assert [item.maximum for item in found.intensities] == [1319, 0]


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii"])
def test_fault_01_02_not_finite_voxels_are_found_in_the_file(save, voxels, examine, codes, name):
    # ITK gives 0 for them
    voxels[1, 2, 3], voxels[4, 5, 6] = np.nan, -np.inf
    found = examine(save(name, voxels))
    assert codes(found) == ["error nan-voxels", "error inf-voxels"]
    assert "(1, 2, 3)" in found.problems[0].message
    assert "(4, 5, 6)" in found.problems[1].message


def test_fault_01_nan_in_a_label_and_in_one_channel_of_a_4d_file(save, voxels, label, examine, codes):
    label = label.astype(np.float32)
    label[0, 1, 0] = np.nan
    assert codes(examine(save("scan.nii.gz", voxels), save("label.nii.gz", label))) == ["error label-not-finite"]
    stack = np.stack([voxels, voxels + 1], axis=-1)
    stack[3, 2, 1, 1] = np.nan
    path = save("stack.nii.gz", stack)
    found = check_case(Case(id="one", images=(path, path)), declared_labels=(), available_bytes=2**40)
    assert codes(found) == ["error nan-voxels"]
    assert "1 voxel of 1320 is NaN, the first at index (3, 2, 1)" in found.problems[0].message
