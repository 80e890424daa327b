import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewscan.data.nifti_file import verify_nifti_header, verify_nifti_payload
from fewscan.errors import DataError


@pytest.fixture(params=[nib.Nifti1Image, nib.Nifti2Image], ids=["nifti1", "nifti2"])
def scan(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    array = np.random.default_rng(0).integers(0, 999, (6, 5, 4)).astype(np.int16)
    nib.save(request.param(array, np.eye(4)), tmp_path / "scan.nii")
    return tmp_path / "scan.nii"


def test_whole_files_pass(scan: Path) -> None:
    verify_nifti_payload(scan)
    packed = scan.with_name("scan.nii.gz")
    packed.write_bytes(gzip.compress(scan.read_bytes()))
    verify_nifti_payload(packed)


def test_one_byte_short(scan: Path) -> None:
    # header 352 (NIfTI-1) or 544 (NIfTI-2) bytes + 6 * 5 * 4 voxels of 2 bytes = 240
    whole = scan.read_bytes()
    assert len(whole) in (352 + 240, 544 + 240)
    scan.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=f"truncated: the header promises {len(whole)} bytes, .* {len(whole) - 1}"):
        verify_nifti_payload(scan)
    verify_nifti_header(scan)


@pytest.mark.parametrize("cut", [3, 9, 100])
def test_gzip_stream_cut_off(scan: Path, cut: int) -> None:
    # the last 8 bytes are checksum and length: without them the voxels are all there, but nothing vouches for them
    packed = scan.with_name("scan.nii.gz")
    packed.write_bytes(gzip.compress(scan.read_bytes())[:-cut])
    with pytest.raises(DataError, match=r"scan\.nii\.gz: the file is truncated"):
        verify_nifti_payload(packed)


def test_gzip_stream_with_a_flipped_bit(scan: Path) -> None:
    packed = scan.with_name("scan.nii.gz")
    data = bytearray(gzip.compress(scan.read_bytes(), compresslevel=0))  # stored as it is: only the checksum can tell
    data[-20] ^= 1
    packed.write_bytes(bytes(data))
    with pytest.raises(DataError, match="damaged"):
        verify_nifti_payload(packed)


def test_name_and_content_disagree(scan: Path) -> None:
    packed = scan.with_name("raw.nii.gz")
    packed.write_bytes(scan.read_bytes())
    with pytest.raises(DataError, match=r"raw\.nii\.gz: is not compressed.*\n.*\.nii$"):
        verify_nifti_header(packed)
    scan.write_bytes(gzip.compress(scan.read_bytes()))
    with pytest.raises(DataError, match=r"scan\.nii: is gzip-compressed.*\n.*\.nii\.gz$"):
        verify_nifti_header(scan)


def test_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"\0" * 1000)
    with pytest.raises(DataError, match="has no NIfTI header"):
        verify_nifti_header(tmp_path / "a.nii")


def test_impossible_sizes_and_orientation(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), tmp_path / "a.nii")
    whole = bytearray((tmp_path / "a.nii").read_bytes())
    sizes = whole.copy()
    sizes[42:44] = struct.pack("<h", -3)
    (tmp_path / "sizes.nii").write_bytes(bytes(sizes))
    with pytest.raises(DataError, match="impossible sizes"):
        verify_nifti_header(tmp_path / "sizes.nii")
    sform = whole.copy()
    sform[280:284] = struct.pack("<f", float("nan"))
    (tmp_path / "sform.nii").write_bytes(bytes(sform))
    with pytest.raises(DataError, match="NaN or infinity"):
        verify_nifti_header(tmp_path / "sform.nii")
