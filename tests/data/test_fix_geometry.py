import gzip
import hashlib
import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.check import check_path
from fewscan.data.check.nifti_header import header_affine, read_nifti_header
from fewscan.data.fix_geometry import copy_with_fixed_geometry, nearest_orthonormal
from fewscan.errors import DataError, UsageError

SHEAR = np.array([[1, 0.2, 0, 4], [0, 1, 0, 5], [0, 0, 3, 6], [0, 0, 0, 1.0]])


def shear_file(path):
    """Give a NIfTI file a sheared sform, voxels untouched."""
    zipped = path.name.endswith(".gz")
    content = gzip.decompress(path.read_bytes()) if zipped else path.read_bytes()
    header = read_nifti_header(path)
    header["srow_x"], header["srow_y"], header["srow_z"] = SHEAR[:3]
    header["sform_code"], header["qform_code"], header["pixdim"][1:4] = 1, 0, (1, np.sqrt(1.04), 3)
    content = header.binaryblock + content[348:]
    path.write_bytes(gzip.compress(content) if zipped else content)


def digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(-180, 180), st.booleans())
def test_nearest_orthonormal_properties(a, b, degrees, mirrored):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, -1.0 if mirrored else 1.0]])
    affine[:3, :3] @= np.array([[1, a, b], [0, 1, a], [0, 0, 1.0]]) * (1, 2, 3)
    fixed = nearest_orthonormal(affine, (5, 6, 7))
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    rotation = fixed[:3, :3] / sizes
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.sign(np.linalg.det(rotation)) == np.sign(np.linalg.det(affine))  # never mirrors
    centre = np.array([2, 2.5, 3, 1])
    np.testing.assert_allclose(fixed @ centre, affine @ centre, atol=1e-12)
    np.testing.assert_allclose(nearest_orthonormal(fixed, (5, 6, 7)), fixed, atol=1e-12)


def test_nearest_orthonormal_of_a_known_shear():
    # unit columns (1, 0) and (sin 10, cos 10): the nearest rotation shares the 10 degrees, so x turns by 5
    shear, turn = np.radians(10), np.radians(5)
    affine = np.eye(4)
    affine[:2, 1] = np.sin(shear), np.cos(shear)
    expected = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    np.testing.assert_allclose(nearest_orthonormal(affine, (3, 3, 3))[:2, :2], expected, atol=1e-12)


def test_fault_19_copy_is_corrected_and_the_source_untouched(nnunet_dataset, tmp_path):
    root = nnunet_dataset(size=(9, 8, 10))
    sheared = [root / "imagesTr" / "case_000_0000.nii.gz", root / "labelsTr" / "case_000.nii.gz"]
    for path in sheared:
        shear_file(path)
    before = digests(root)
    assert {p.code for p in check_path(root).problems} == {"sheared-affine"}

    copied = copy_with_fixed_geometry(root, tmp_path / "copy")

    assert digests(root) == before
    assert [item.file for item in copied.corrected] == [copied.root / path.relative_to(root) for path in sheared]
    assert 0 < copied.corrected[0].moved_mm < 2
    assert check_path(copied.root).problems == ()
    for path in before:
        twin = copied.root / path.relative_to(root)
        if path not in sheared:
            assert twin.read_bytes() == path.read_bytes()
            continue
        new, old = nib.load(twin), nib.load(path)
        np.testing.assert_array_equal(np.asanyarray(new.dataobj), np.asanyarray(old.dataobj))
        header = read_nifti_header(twin)
        np.testing.assert_allclose(header_affine(header), nearest_orthonormal(SHEAR, (9, 8, 10)), atol=1e-5)
        np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-5)


def test_manifest_and_uncompressed_files(manifest_dataset, tmp_path):
    manifest = manifest_dataset()
    scan = manifest.parent / "scans" / "s0.nii.gz"
    plain = scan.with_name("s0.nii")
    plain.write_bytes(gzip.decompress(scan.read_bytes()))
    shear_file(plain)
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("s0.nii.gz,m", "s0.nii,m"), encoding="utf-8")
    copied = copy_with_fixed_geometry(manifest, tmp_path / "copy")
    assert copied.root == tmp_path / "copy" / "manifest.csv"
    assert [item.file.name for item in copied.corrected] == ["s0.nii"]
    assert not (tmp_path / "copy" / "scans" / "s0.nii.gz").exists()  # no case uses it
    assert check_path(copied.root).case_count == 4


def test_refusals(nnunet_dataset, tmp_path):
    root = nnunet_dataset()
    with pytest.raises(UsageError, match="must lie outside"):
        copy_with_fixed_geometry(root, root / "copy")
    with pytest.raises(UsageError, match="must lie outside"):
        copy_with_fixed_geometry(root, tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UsageError, match="not empty"):
        copy_with_fixed_geometry(root, tmp_path / "full")


def test_files_outside_the_folder_are_refused(manifest_dataset, tmp_path):
    manifest = manifest_dataset()
    elsewhere = tmp_path / "elsewhere.nii.gz"
    (manifest.parent / "scans" / "s3.nii.gz").rename(elsewhere)
    text = manifest.read_text(encoding="utf-8").replace("scans/s3.nii.gz", str(elsewhere))
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="outside its own folder"):
        copy_with_fixed_geometry(manifest, tmp_path / "copy")


def test_absolute_paths_inside_the_folder_are_refused(manifest_dataset, tmp_path):
    manifest = manifest_dataset()
    absolute = str(manifest.parent / "scans" / "s3.nii.gz")
    text = manifest.read_text(encoding="utf-8").replace("scans/s3.nii.gz", absolute)
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="absolute path"):
        copy_with_fixed_geometry(manifest, tmp_path / "copy")


def test_a_file_that_cannot_be_copied_is_named(nnunet_dataset, tmp_path):
    root = nnunet_dataset()
    (root / "imagesTr" / "case_000_0000.nii.gz").unlink()
    (root / "imagesTr" / "case_000_0000.nii.gz").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"case_000_0000\.nii\.gz: cannot be copied"):
        copy_with_fixed_geometry(root, tmp_path / "copy")


def test_headers_take_their_voxels_along(tmp_path):
    root = tmp_path / "plain"
    (root / "images").mkdir(parents=True)
    voxels = SimpleITK.GetImageFromArray(np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10))
    SimpleITK.WriteImage(voxels, str(root / "images" / "a [1].mhd"))
    SimpleITK.WriteImage(voxels + 1, str(root / "images" / "b.nhdr"))
    copied = copy_with_fixed_geometry(root, tmp_path / "copy")
    assert {path.name for path in (copied.root / "images").iterdir()} == {
        path.name for path in (root / "images").iterdir()
    }
    assert check_path(copied.root).exit_code == 0


def test_dicom_like_folders_are_copied_whole(tmp_path):
    root = tmp_path / "plain"
    series = root / "images" / "scan"
    series.mkdir(parents=True)
    (series / "slice").write_bytes(bytes(128) + b"DICM")
    (root / "notes.json").write_text(json.dumps({"site": 1}), encoding="utf-8")
    copied = copy_with_fixed_geometry(root, tmp_path / "copy")
    assert copied.corrected == ()
    assert (copied.root / "images" / "scan" / "slice").read_bytes().endswith(b"DICM")
    assert (copied.root / "notes.json").is_file()
