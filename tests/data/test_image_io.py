import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import channel_volumes, read_channel_images, read_geometry, read_image, write_image
from fewscan.errors import DataError, UsageError

ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
ROTATION = Rotation.from_euler("zyx", [20, -35, 50], degrees=True).as_matrix()
OBLIQUE = Geometry((4, 5, 6), (0.5, 1.25, 5.0), (-31.5, 12.0, 7.25), tuple(float(v) for v in ROTATION.ravel()))
FLIPPED = Geometry((4, 5, 6), (1.0, 2.0, 3.0), (9.0, 8.0, 7.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
GRID = Geometry.identity((4, 5, 6), (1.0, 2.0, 3.0))


def nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".NII.GZ", ".Nii.gz", ".MHA", ".Nrrd"])
@pytest.mark.parametrize("geometry", [OBLIQUE, FLIPPED], ids=["oblique", "flipped"])
def test_round_trip_keeps_voxels_and_geometry(tmp_path: Path, suffix: str, geometry: Geometry) -> None:
    path = tmp_path / f"scan{suffix}"
    write_image(path, ARRAY, geometry)
    image = read_image(path)
    np.testing.assert_array_equal(image.array, ARRAY)
    assert image.array.flags.c_contiguous
    assert image.geometry.size == (4, 5, 6)
    # NIfTI stores float32, of 24 bits: 1e-5 of the grid's 40 mm is far above that
    np.testing.assert_allclose(image.geometry.affine(), geometry.affine(), atol=1e-5)
    assert read_geometry(path) == image.geometry
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_nrrd_and_metaimage_keep_the_geometry_in_double_precision(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", ARRAY, OBLIQUE)
    np.testing.assert_allclose(read_geometry(tmp_path / f"a{suffix}").affine(), OBLIQUE.affine(), atol=1e-12)


def test_array_axes_are_the_axes_of_the_header(tmp_path: Path) -> None:
    # nibabel keeps the header's order: voxel (1, 2, 3) must be the same number in both
    image = read_image(nifti(tmp_path / "a.nii.gz", ARRAY, np.diag([2.0, 3.0, 4.0, 1.0])))
    assert image.array[1, 2, 3] == ARRAY[1, 2, 3] == 1 * 30 + 2 * 6 + 3
    assert image.geometry.spacing_mm == (2.0, 3.0, 4.0)
    # RAS+ (nibabel) to LPS+ (ITK) turns the first two world axes round
    np.testing.assert_allclose(image.geometry.affine(), np.diag([-2.0, -3.0, 4.0, 1.0]))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_dtype_is_kept(tmp_path: Path, dtype: str, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", ARRAY.astype(dtype), GRID)
    assert read_image(tmp_path / f"a{suffix}").array.dtype == dtype


def test_floats_become_float32_and_wide_integers_stay(tmp_path: Path) -> None:
    assert read_image(nifti(tmp_path / "d.nii", ARRAY.astype(np.float64))).array.dtype == np.float32
    nib.save(nib.Nifti1Image(ARRAY.astype(np.int64), np.eye(4), dtype=np.int64), tmp_path / "l.nii")
    assert read_image(tmp_path / "l.nii").array.dtype == np.int64


@settings(max_examples=25, deadline=None)
@given(
    size=st.lists(st.integers(1, 6), min_size=2, max_size=3),
    spacing=st.lists(st.floats(0.125, 8, width=32), min_size=3, max_size=3),
    suffix=st.sampled_from([".nii.gz", ".nrrd", ".mha"]),
)
def test_any_size_and_spacing_survives(
    tmp_path_factory: pytest.TempPathFactory, size: list[int], spacing: list[float], suffix: str
) -> None:
    grid = Geometry.identity(tuple(size), tuple(spacing[: len(size)]))
    array = np.arange(np.prod(size), dtype=np.uint8).reshape(size)
    path = tmp_path_factory.mktemp("any") / f"scan{suffix}"
    write_image(path, array, grid)
    image = read_image(path)
    np.testing.assert_array_equal(image.array, array)
    np.testing.assert_allclose(image.geometry.spacing_mm, grid.spacing_mm, rtol=1e-6)


@pytest.mark.parametrize("name", ["with space.nii.gz", "Schädel_脳.nii.gz", "a.b.c.nrrd"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / "Ordner mit Ü" / name
    write_image(path, ARRAY, GRID)
    np.testing.assert_array_equal(read_image(path).array, ARRAY)


def test_detached_headers_are_read(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(ARRAY.transpose())
    for name in ("a.mhd", "b.nhdr"):
        SimpleITK.WriteImage(image, str(tmp_path / name))
        np.testing.assert_array_equal(read_image(tmp_path / name).array, ARRAY)


class TestPlanar:
    @pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
    def test_label_round_trip_without_geometry(self, tmp_path: Path, suffix: str) -> None:
        array = np.arange(12, dtype=np.uint8).reshape(3, 4)
        write_image(tmp_path / f"a{suffix}", array, Geometry.identity((3, 4), (0.35, 0.35)))
        image = read_image(tmp_path / f"a{suffix}")
        np.testing.assert_array_equal(image.array, array)
        assert image.geometry == Geometry.identity((3, 4))

    def test_2d_nifti_keeps_its_geometry(self, tmp_path: Path) -> None:
        grid = Geometry((3, 4), (0.5, 2.0), (5.0, -7.0), (0.0, -1.0, 1.0, 0.0))
        write_image(tmp_path / "a.nii.gz", np.ones((3, 4), np.uint8), grid)
        np.testing.assert_allclose(read_geometry(tmp_path / "a.nii.gz").affine(), grid.affine(), atol=1e-6)

    def test_colour_needs_grey_scale(self, tmp_path: Path) -> None:
        image = SimpleITK.GetImageFromArray(np.zeros((4, 3, 3), np.uint8), isVector=True)
        SimpleITK.WriteImage(image, str(tmp_path / "rgb.png"))
        with pytest.raises(DataError, match=r"rgb\.png: is a colour image.*grey-scale"):
            read_image(tmp_path / "rgb.png")

    def test_stack_of_pages(self, tmp_path: Path) -> None:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((5, 4, 3), np.uint8)), str(tmp_path / "s.tif"))
        with pytest.raises(DataError, match=r"s\.tif: holds 5 pages"):
            read_image(tmp_path / "s.tif")


class TestAxes:
    def test_4d_says_how_to_pick_a_volume(self, tmp_path: Path) -> None:
        path = nifti(tmp_path / "t.nii.gz", np.zeros((4, 5, 6, 7), np.int16))
        with pytest.raises(DataError, match=r"t\.nii\.gz: has 4 axes \(4 x 5 x 6 x 7\)[^$]*a file of its own"):
            read_image(path)
        with pytest.raises(DataError, match="has 4 axes"):
            read_geometry(path)

    def test_declared_channels_of_a_4d_file(self, tmp_path: Path) -> None:
        path = nifti(tmp_path / "c.nii.gz", np.stack([ARRAY, ARRAY + 1000], axis=-1))
        volumes = channel_volumes([path, path])
        assert volumes == ((0, 2), (1, 2))
        images = read_channel_images([path, path])
        for image, volume, offset in zip(images, volumes, (0, 1000), strict=True):
            np.testing.assert_array_equal(image.array, ARRAY + offset)
            assert image.array.flags.c_contiguous
            assert image.geometry == read_geometry(path, volume=volume)
            assert image.geometry.size == (4, 5, 6)

    def test_each_file_of_a_case_is_decoded_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stack = nifti(tmp_path / "c.nii.gz", np.stack([ARRAY, ARRAY + 1000, ARRAY + 2000], axis=-1))
        single = nifti(tmp_path / "s.nii.gz", ARRAY + 500)
        decoded = []
        execute = SimpleITK.ImageFileReader.Execute

        def counted(reader: SimpleITK.ImageFileReader) -> SimpleITK.Image:
            decoded.append(reader.GetFileName())
            return execute(reader)

        monkeypatch.setattr(SimpleITK.ImageFileReader, "Execute", counted)
        images = list(read_channel_images([stack, single, stack, stack]))
        assert [image.array[0, 0, 0] for image in images] == [0, 500, 1000, 2000]
        assert decoded == [str(stack), str(single)]

    def test_channels_of_any_format(self, tmp_path: Path) -> None:
        image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray((ARRAY + k).transpose()) for k in (0, 1)])
        SimpleITK.WriteImage(image, str(tmp_path / "c.nrrd"))
        for k, channel in enumerate(read_channel_images([tmp_path / "c.nrrd"] * 2)):
            np.testing.assert_array_equal(channel.array, ARRAY + k)

    def test_a_channel_with_a_file_of_its_own_is_no_volume(self) -> None:
        assert channel_volumes([Path("a"), Path("b")]) == (None, None)

    @pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 3)])
    def test_other_volumes_than_declared(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        path = nifti(tmp_path / "c.nii.gz", np.zeros(shape, np.int16))
        with pytest.raises(DataError, match=r"c\.nii\.gz: 2 channels are declared"):
            list(read_channel_images([path, path]))

    def test_trailing_singleton_is_dropped(self, tmp_path: Path) -> None:
        assert read_image(nifti(tmp_path / "a.nii.gz", ARRAY[..., None])).array.shape == (4, 5, 6)

    def test_one_slice_stays_3d(self, tmp_path: Path) -> None:
        assert read_image(nifti(tmp_path / "a.nii.gz", ARRAY[:, :, :1])).array.shape == (4, 5, 1)
        assert read_image(nifti(tmp_path / "b.nii.gz", ARRAY[:, :, :1, None])).array.shape == (4, 5, 1)

    def test_sheared_axes(self, tmp_path: Path) -> None:
        affine = np.eye(4)
        affine[0, 1] = 0.3
        with pytest.raises(DataError, match=r"shear\.nii\.gz: its axes are not at right angles[^$]*--fix-geometry"):
            read_image(nifti(tmp_path / "shear.nii.gz", ARRAY, affine))


class TestPixels:
    def test_displacement_field_round_trip(self, tmp_path: Path) -> None:
        field = np.arange(3 * 120, dtype=np.float32).reshape(3, 4, 5, 6)
        for name in ("f.nii.gz", "f.nrrd", "f.mha"):
            write_image(tmp_path / name, field, OBLIQUE)
            image = read_image(tmp_path / name, vector=True)
            np.testing.assert_array_equal(image.array, field)
            assert image.geometry.size == (4, 5, 6)
            with pytest.raises(DataError, match="is a vector image with 3 numbers per voxel"):
                read_image(tmp_path / name)

    def test_scalar_is_no_field(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="displacement field is needed"):
            read_image(nifti(tmp_path / "a.nii.gz", ARRAY), vector=True)

    def test_complex_and_rgb(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"c\.nii\.gz: holds complex numbers"):
            read_image(nifti(tmp_path / "c.nii.gz", ARRAY.astype(np.complex64)))
        rgb = np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        with pytest.raises(DataError, match="colour image"):
            read_image(nifti(tmp_path / "r.nii.gz", rgb))

    @pytest.mark.parametrize(
        ("slope", "intercept", "expected"),
        # NIfTI: value = slope * stored + intercept, and slope 0 (or NaN) means unscaled; 3 is stored
        [(2.0, 1.0, 7.0), (0.5, 0.0, 1.5), (0.0, 0.0, 3.0), (np.nan, np.nan, 3.0)],
    )
    def test_scl_slope(self, tmp_path: Path, slope: float, intercept: float, expected: float) -> None:
        path = nifti(tmp_path / "a.nii", np.full((4, 5, 6), 3, np.int16))
        data = bytearray(path.read_bytes())
        data[112:120] = struct.pack("<ff", slope, intercept)
        path.write_bytes(bytes(data))
        np.testing.assert_array_equal(read_image(path).array, expected)

    def test_big_endian(self, tmp_path: Path) -> None:
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(np.int16)
        nib.save(nib.Nifti1Image(ARRAY, np.eye(4), header), tmp_path / "b.nii")
        assert (tmp_path / "b.nii").read_bytes()[:4] == struct.pack(">i", 348)
        np.testing.assert_array_equal(read_image(tmp_path / "b.nii").array, ARRAY)


class TestNotFinite:
    FLOATS = ARRAY.astype(np.float32)

    @pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_refused_and_named(self, tmp_path: Path, suffix: str, value: float) -> None:
        array = self.FLOATS.copy()
        array[3, 0, 2] = array[1, 4, 5] = value
        write_image(tmp_path / f"n{suffix}", array, OBLIQUE)
        message = r": 2 of 120 voxels are NaN or infinite, the first at index \(1, 4, 5\)\n  export the scan again"
        with pytest.raises(DataError, match=rf"n\{suffix}{message}"):
            read_image(tmp_path / f"n{suffix}")
        np.testing.assert_array_equal(read_image(tmp_path / f"n{suffix}", finite=False).array, array)

    def test_in_the_plane_and_beyond_float32(self, tmp_path: Path) -> None:
        array = np.zeros((3, 4))
        array[2, 1] = 1e300  # finite as float64, infinite as float32
        for name in ("a.nii.gz", "a.mha"):
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array.transpose()), str(tmp_path / name))
            with pytest.raises(DataError, match=r"1 of 12 voxels is NaN or infinite, the first at index \(2, 1\)"):
                read_image(tmp_path / name)

    def test_in_one_channel(self, tmp_path: Path) -> None:
        stack = np.stack([self.FLOATS, self.FLOATS], axis=-1)
        stack[3, 2, 1, 1] = np.nan
        path = nifti(tmp_path / "c.nii.gz", stack)
        with pytest.raises(DataError, match=r"1 of 240 voxels is .* the first at index \(3, 2, 1, 1\)"):
            list(read_channel_images([path, path]))
        first, second = read_channel_images([path, path], finite=False)
        np.testing.assert_array_equal(first.array, stack[..., 0])
        np.testing.assert_array_equal(second.array, stack[..., 1])

    def test_in_a_displacement_field(self, tmp_path: Path) -> None:
        field = np.arange(3 * 120, dtype=np.float32).reshape(3, 4, 5, 6)
        field[1, 3, 2, 5] = np.nan
        write_image(tmp_path / "f.nii.gz", field, OBLIQUE)
        with pytest.raises(DataError, match=r"the first at index \(3, 2, 5, 1\)"):
            read_image(tmp_path / "f.nii.gz", vector=True)
        found = read_image(tmp_path / "f.nii.gz", vector=True, finite=False).array
        np.testing.assert_array_equal(found, field)


class TestBadFiles:
    @pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".tif"])
    def test_truncated(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"cut{suffix}"
        array = np.random.default_rng(0).integers(0, 250, (40, 50)).astype(np.uint8)
        write_image(path, array, Geometry.identity((40, 50)))
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        with pytest.raises(DataError, match=rf"cut\{suffix}: .*(truncated|damaged)"):
            read_image(path)

    @pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".png"])
    def test_empty(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"e{suffix}").touch()
        with pytest.raises(DataError, match=rf"e\{suffix}: the file is empty"):
            read_image(tmp_path / f"e{suffix}")

    def test_text_in_image_clothes(self, tmp_path: Path) -> None:
        for suffix in (".nii", ".nrrd", ".png"):
            path = tmp_path / f"text{suffix}"
            path.write_text("hello " * 200)
            with pytest.raises(DataError, match=rf"text\{suffix}: "):
                read_image(path)

    def test_missing_dangling_and_directory(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no\.nii\.gz: no such file"):
            read_image(tmp_path / "no.nii.gz")
        (tmp_path / "link.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
        with pytest.raises(DataError, match=r"link\.nii\.gz: the link points to .*gone\.nii\.gz"):
            read_image(tmp_path / "link.nii.gz")
        (tmp_path / "dir.nii.gz").mkdir()
        with pytest.raises(DataError, match=r"dir\.nii\.gz: is a folder without a DICOM series"):
            read_image(tmp_path / "dir.nii.gz")

    def test_unknown_format(self, tmp_path: Path) -> None:
        (tmp_path / "scan.npy").write_bytes(b"1234")
        with pytest.raises(DataError, match=r"scan\.npy: not an image format"):
            read_image(tmp_path / "scan.npy")

    def test_no_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = nifti(tmp_path / "a.nii", ARRAY)

        def refuse(*_: object, **__: object) -> None:  # root, as in many containers, may open everything
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(DataError, match=r"a\.nii: cannot be opened: Permission denied"):
            read_image(path)

    def test_reading_geometry_needs_no_voxels(self, tmp_path: Path) -> None:
        path = nifti(tmp_path / "a.nii.gz", ARRAY)
        whole = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(whole[:400]))
        assert read_geometry(path).size == (4, 5, 6)
        with pytest.raises(DataError, match="truncated"):
            read_image(path)


class TestWriting:
    @pytest.mark.parametrize("geometry", [OBLIQUE, FLIPPED, GRID], ids=["oblique", "flipped", "identity"])
    def test_both_transforms_of_nifti_are_the_grid(self, tmp_path: Path, geometry: Geometry) -> None:
        write_image(tmp_path / "a.nii.gz", ARRAY, geometry)
        header = nib.load(tmp_path / "a.nii.gz").header
        assert header["sform_code"] > 0
        assert header["qform_code"] > 0
        ras = np.diag([-1, -1, 1, 1]) @ geometry.affine()
        np.testing.assert_allclose(header.get_sform(), ras, atol=1e-5)
        np.testing.assert_allclose(header.get_qform(), ras, atol=1e-5)

    def test_array_must_fit_the_grid(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            write_image(tmp_path / "a.nii.gz", ARRAY[1:], GRID)

    @pytest.mark.parametrize(
        ("name", "array", "match"),
        [
            ("a.png", np.zeros((3, 4), np.int16), r"\.png cannot hold values of type int16"),
            ("a.nii.gz", np.zeros((3, 4), np.int64), "cannot hold values of type int64"),
            ("a.nii.gz", np.zeros((3, 4), bool), "cannot hold values of type bool"),
            ("a.tif", np.zeros((3, 4, 5), np.uint8), "single 2-D images only"),
            ("a.mhd", np.zeros((3, 4), np.uint8), "does not write this format"),
            ("a.jpg", np.zeros((3, 4), np.uint8), "does not write this format"),
        ],
    )
    def test_formats_that_cannot_hold_it(self, tmp_path: Path, name: str, array: np.ndarray, match: str) -> None:
        with pytest.raises(UsageError, match=match):
            write_image(tmp_path / name, array, Geometry.identity(array.shape))
        assert not list(tmp_path.iterdir())

    def test_overwrites_whole_or_not_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.nii.gz"
        write_image(path, ARRAY, GRID)
        before = path.read_bytes()

        def half(image: object, name: str, compress: bool) -> None:
            Path(name).write_bytes(before[:100])  # what ITK leaves on a full disk, without an error

        monkeypatch.setattr(SimpleITK, "WriteImage", half)
        with pytest.raises(DataError, match=r"a\.nii\.gz: cannot be written: the file came out incomplete"):
            write_image(path, ARRAY + 1, GRID)
        assert path.read_bytes() == before
        assert [item.name for item in tmp_path.iterdir()] == ["a.nii.gz"]

    def test_folder_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(DataError, match="cannot be written"):
            write_image(tmp_path / "file" / "a.nii.gz", ARRAY, GRID)

    def test_is_compressed(self, tmp_path: Path) -> None:
        zeros = np.zeros((40, 40, 40), np.int16)
        for name in ("a.nii.gz", "a.nrrd", "a.mha"):
            write_image(tmp_path / name, zeros, Geometry.identity(zeros.shape))
            assert (tmp_path / name).stat().st_size < zeros.nbytes / 20


def test_many_threads_read_at_once(tmp_path):
    """Without the lock around ITK's calls this crashes: its NIfTI reader is not safe for threads."""
    from concurrent.futures import ThreadPoolExecutor

    paths = [tmp_path / f"scan{number}.nii.gz" for number in range(8)]
    for number, path in enumerate(paths):
        write_image(path, np.full((24, 20, 16), number, np.uint8), Geometry.identity((24, 20, 16)))
    with ThreadPoolExecutor(4) as pool:
        values = list(pool.map(lambda path: int(read_image(path).array.max()), paths * 20))
    assert values == list(range(8)) * 20
