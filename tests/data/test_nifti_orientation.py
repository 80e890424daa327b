import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewscan.data.image_io import read_geometry, read_image, write_image
from fewscan.data.nifti_orientation import orthonormal_deviation
from fewscan.errors import DataError

SIZE = (4, 5, 6)
LPS = np.diag([-1.0, -1, 1, 1])
TURNED = np.eye(4)
TURNED[:3, :3] = Rotation.from_euler("zyx", [20, -35, 50], degrees=True).as_matrix() * (0.5, 1.25, 5)
TURNED[:3, 3] = -31.5, 12, 7.25


def scan(
    path: Path,
    sform: np.ndarray,
    sform_code: int,
    qform: np.ndarray | None = None,
    *,
    size: tuple[int, ...] = SIZE,
    spacing_mm: tuple[float, ...] | None = None,
) -> Path:
    """Write a file whose two transforms and voxel spacing (by default, the qform's) are set one by one."""
    header = nib.Nifti1Header()
    header.set_data_shape(size)
    header.set_data_dtype(np.int16)
    header.set_qform(np.eye(4) if qform is None else qform, 0 if qform is None else 1)
    header["srow_x"], header["srow_y"], header["srow_z"] = sform[:3]
    header["sform_code"], header["vox_offset"], header["magic"] = sform_code, 352, b"n+1"
    if spacing_mm is not None:
        header["pixdim"][1 : len(spacing_mm) + 1] = spacing_mm
    content = header.binaryblock + bytes(4) + np.arange(np.prod(size), dtype="<i2").tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("qform", [None, np.diag([1.0, 1, 1, 1]), np.diag([-2.0, 2, 3, 1])])
def test_the_sform_counts_whatever_its_code(tmp_path: Path, code: int, qform: np.ndarray | None) -> None:
    path = scan(tmp_path / "a.nii.gz", TURNED, code, qform)
    geometry = read_geometry(path)
    np.testing.assert_allclose(LPS @ geometry.affine(), TURNED, atol=1e-5)
    np.testing.assert_allclose(LPS @ geometry.affine(), nib.load(path).affine, atol=1e-6)
    np.testing.assert_allclose(geometry.spacing_mm, (0.5, 1.25, 5), rtol=1e-6)
    assert read_image(path).geometry == geometry
    assert read_image(path).array[1, 2, 3] == 1 + 4 * 2 + 20 * 3  # only the grid changes, the axes do not


def test_the_qform_counts_without_an_sform(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.nii", np.diag([9.0, 9, 9, 1]), 0, TURNED)
    np.testing.assert_allclose(LPS @ read_geometry(path).affine(), TURNED, atol=1e-5)


def test_nothing_changes_where_the_two_agree(tmp_path: Path) -> None:
    # a shift by 4e-4 mm is 8e-4 voxels of 0.5 mm at most: the qform's grid stays; with 6e-4 mm it is 1.2e-3
    for shift_mm, kept in ((4e-4, True), (6e-4, False)):
        moved = TURNED.copy()
        moved[:3, 3] += TURNED[:3, 0] / 0.5 * shift_mm
        path = scan(tmp_path / "a.nii", moved, 2, TURNED)
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        assert (read_geometry(path).origin_mm == reader.GetOrigin()) == kept


def test_spacing_is_that_of_the_sform(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.nii", TURNED, 1, spacing_mm=(1, 1, 1))
    np.testing.assert_allclose(read_geometry(path).spacing_mm, (0.5, 1.25, 5), rtol=1e-6)


def test_a_mirrored_sform(tmp_path: Path) -> None:
    mirrored = TURNED @ np.diag([-1.0, 1, 1, 1])
    path = scan(tmp_path / "a.nii", mirrored, 4, np.eye(4))
    np.testing.assert_allclose(LPS @ read_geometry(path).affine(), mirrored, atol=1e-5)


@pytest.mark.parametrize("qform", [None, np.eye(4)])
@pytest.mark.parametrize("code", [1, 2])
def test_a_sheared_sform_is_refused_even_beside_a_good_qform(
    tmp_path: Path, qform: np.ndarray | None, code: int
) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.2
    path = scan(tmp_path / "a.nii", sheared, code, qform)
    for read in (read_image, read_geometry):
        with pytest.raises(DataError, match=r"a\.nii: its axes are not at right angles[^$]*--fix-geometry"):
            read(path)


def test_deviation_of_a_known_shear() -> None:
    # columns (1, 0) and (3, 4) / 5: the cosine is 0.6
    assert orthonormal_deviation(np.array([[1.0, 3], [0, 4]])) == pytest.approx(0.6)


class TestPlanar:
    def test_an_sform_in_the_plane(self, tmp_path: Path) -> None:
        turned = np.array([[0.0, -2, 0, 5], [3, 0, 0, -7], [0, 0, 1, 4], [0, 0, 0, 1]])
        geometry = read_geometry(scan(tmp_path / "a.nii", turned, 2, np.eye(4), size=(4, 5)))
        # LPS turns both rows round: x runs to -y, y to +x
        np.testing.assert_allclose(geometry.affine(), [[0, 2, -5], [-3, 0, 7], [0, 0, 1]], atol=1e-6)

    def test_a_tilted_plane_is_read_without_its_tilt(self, tmp_path: Path) -> None:
        tilted = np.eye(4)
        tilted[1:3, 1:3] = [[0.8, -0.6], [0.6, 0.8]]
        path = scan(tmp_path / "a.nii", tilted, 1, size=(4, 5))
        assert read_geometry(path).spacing_mm == (1, 1)


@settings(max_examples=25, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.25, 8)] * 3),
    mirrored=st.booleans(),
    code=st.integers(1, 5),
)
def test_what_is_read_and_written_again_lies_where_nibabel_sees_it(
    tmp_path_factory: pytest.TempPathFactory,
    angles: tuple[float, float, float],
    spacing: tuple[float, float, float],
    mirrored: bool,
    code: int,
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("zyx", angles, degrees=True).as_matrix() * spacing
    affine[:3, 3] = 10, -20, 30
    affine[:, 0] *= -1 if mirrored else 1
    folder = tmp_path_factory.mktemp("any")
    image = read_image(scan(folder / "a.nii", affine, code, np.diag([2.0, 1, 1, 1])))
    write_image(folder / "b.nii", image.array, image.geometry)
    # 1e-3 voxel, the tolerance of the rule, is at most 8e-3 mm
    np.testing.assert_allclose(nib.load(folder / "b.nii").affine, affine, atol=1e-5)
