import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewscan.data.nifti_file import put_back_not_finite, read_nifti_fields, verify_nifti_payload
from fewscan.errors import DataError


@pytest.fixture(params=[nib.Nifti1Image, nib.Nifti2Image], ids=["nifti1", "nifti2"])
def scan(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    array = np.random.default_rng(0).integers(0, 999, (6, 5, 4)).astype(np.int16)
    nib.save(request.param(array, np.eye(4)), tmp_path / "scan.nii")
    return tmp_path / "scan.nii"


def test_whole_files_pass(scan: Path) -> None:
    assert verify_nifti_payload(scan) is True
    packed = scan.with_name("scan.nii.gz")
    packed.write_bytes(gzip.compress(scan.read_bytes()))
    assert verify_nifti_payload(packed) is True


def test_one_byte_short(scan: Path) -> None:
    # header 352 (NIfTI-1) or 544 (NIfTI-2) bytes + 6 * 5 * 4 voxels of 2 bytes = 240
    whole = scan.read_bytes()
    assert len(whole) in (352 + 240, 544 + 240)
    scan.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=f"truncated: the header promises {len(whole)} bytes, .* {len(whole) - 1}"):
        verify_nifti_payload(scan)
    read_nifti_fields(scan)


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
    with pytest.raises(DataError, match=r"raw\.nii\.gz: is not compressed.*\n.*\.nii, or export it again$"):
        read_nifti_fields(packed)
    scan.write_bytes(gzip.compress(scan.read_bytes()))
    with pytest.raises(DataError, match=r"scan\.nii: is gzip-compressed.*\n.*\.nii\.gz, or export it again$"):
        read_nifti_fields(scan)


def test_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"\0" * 1000)
    with pytest.raises(DataError, match="has no NIfTI header"):
        read_nifti_fields(tmp_path / "a.nii")


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("version", [nib.Nifti1Image, nib.Nifti2Image])
def test_fields(tmp_path: Path, version: type[nib.Nifti1Image], endianness: str) -> None:
    affine = np.array([[2.0, 0, 0, 5], [0, 3, 0, -6], [0, 0, 4, 7], [0, 0, 0, 1]])
    header = version.header_class(endianness=endianness)
    nib.save(version(np.zeros((3, 4, 5, 2), np.float64), affine, header, dtype=np.float64), tmp_path / "a.nii")
    fields = read_nifti_fields(tmp_path / "a.nii")
    assert fields.shape == (3, 4, 5, 2)
    # header and the 4 bytes of an empty extension; 3 * 4 * 5 * 2 voxels of 8 bytes
    assert (fields.voxel_start, fields.voxel_bytes) == (header.sizeof_hdr + 4, 960)
    assert fields.float_type == np.dtype(endianness + "f8")
    assert fields.sform is not None
    np.testing.assert_array_equal(fields.sform, affine[:3])


def test_no_sform_and_no_floats(scan: Path) -> None:
    image = nib.load(scan)
    image.set_sform(None, code=0)
    nib.save(image, scan.with_name("q.nii"))
    fields = read_nifti_fields(scan.with_name("q.nii"))
    assert fields.sform is None
    assert fields.float_type is None


class TestNotFinite:
    """1.5 million voxels: several chunks of 2^20 bytes."""

    ARRAY = np.arange(120 * 110 * 115, dtype=np.float64).reshape(120, 110, 115)

    @pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize(("index", "value"), [((0, 0, 0), np.nan), ((119, 109, 114), np.inf)])
    def test_found_and_put_back(
        self, tmp_path: Path, dtype: str, suffix: str, index: tuple[int, int, int], value: float
    ) -> None:
        path = tmp_path / f"a{suffix}"
        self.save(path, self.ARRAY, dtype)
        assert verify_nifti_payload(path)
        expected = self.ARRAY.copy()
        expected[index] = value
        self.save(path, expected, dtype)
        assert not verify_nifti_payload(path)
        as_itk_reads = self.ARRAY.astype(np.float32)
        as_itk_reads[index] = 0
        put_back_not_finite(as_itk_reads, path)
        np.testing.assert_array_equal(as_itk_reads, expected.astype(np.float32))

    @staticmethod
    def save(path: Path, array: np.ndarray, dtype: str) -> None:
        header = nib.Nifti1Header(endianness=dtype[0])
        content = nib.Nifti1Image(array.astype(dtype), np.eye(4), header, dtype=np.dtype(dtype)).to_bytes()
        path.write_bytes(gzip.compress(content, compresslevel=0) if path.suffix == ".gz" else content)

    def test_bytes_after_the_voxels_do_not_count(self, tmp_path: Path) -> None:
        self.save(tmp_path / "a.nii", np.zeros((2, 2, 2)), "<f4")
        with (tmp_path / "a.nii").open("ab") as file:
            file.write(struct.pack("<f", np.nan))
        assert verify_nifti_payload(tmp_path / "a.nii")

    def test_voxels_of_an_uncompressed_integer_file_are_not_read(
        self, scan: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise AssertionError

        monkeypatch.setattr("fewscan.data.nifti_file._all_finite", fail)
        monkeypatch.setattr("fewscan.data.nifti_file._CHUNK", "no size to read")
        assert verify_nifti_payload(scan)


def test_impossible_sizes_and_orientation(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), tmp_path / "a.nii")
    whole = bytearray((tmp_path / "a.nii").read_bytes())
    sizes = whole.copy()
    sizes[42:44] = struct.pack("<h", -3)
    (tmp_path / "sizes.nii").write_bytes(bytes(sizes))
    with pytest.raises(DataError, match="impossible sizes"):
        read_nifti_fields(tmp_path / "sizes.nii")
    start = whole.copy()
    start[108:112] = struct.pack("<f", 1e30)
    (tmp_path / "start.nii").write_bytes(bytes(start))
    with pytest.raises(DataError, match=r"start\.nii: the header puts the voxels at byte 1e\+30"):
        verify_nifti_payload(tmp_path / "start.nii")
    sform = whole.copy()
    sform[280:284] = struct.pack("<f", float("nan"))
    (tmp_path / "sform.nii").write_bytes(bytes(sform))
    with pytest.raises(DataError, match="NaN or infinity"):
        read_nifti_fields(tmp_path / "sform.nii")
    sform = whole.copy()
    sform[280:292] = bytes(12)  # the x axis of the world is zero for all voxels
    (tmp_path / "flat.nii").write_bytes(bytes(sform))
    with pytest.raises(DataError, match=r"flat\.nii: the header's orientation is singular"):
        read_nifti_fields(tmp_path / "flat.nii")
