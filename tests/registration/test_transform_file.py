from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.errors import DataError, UsageError
from fewscan.registration.transform_file import read_displacement, write_displacement

NAMES = ("2-D", "2-D oblique", "3-D", "3-D oblique")


def make_field(geometry: Geometry) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(geometry.dimensions, *geometry.size)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd", ".h5"])
def test_simpleitk_maps_points_as_meant(
    name: str, suffix: str, tmp_path: Path, grids: dict[str, Geometry], points: Callable[[Geometry], np.ndarray]
) -> None:
    geometry = grids[name]
    field = make_field(geometry)
    path = tmp_path / f"field{suffix}"
    write_displacement(path, field, geometry)
    if suffix == ".h5":
        transform = sitk.ReadTransform(str(path))
    else:
        transform = sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    world = points(geometry)
    for index in np.random.default_rng(1).integers(1, np.array(geometry.size) - 1, (20, geometry.dimensions)):
        here = world[(slice(None), *index)]
        there = transform.TransformPoint(here.tolist())
        np.testing.assert_allclose(there, here + field[(slice(None), *index)], atol=2e-4)


@pytest.mark.parametrize(("name", "shape"), [("2-D", (24, 28, 1, 1, 2)), ("3-D oblique", (18, 22, 12, 1, 3))])
def test_the_nifti_header_says_vector(
    name: str, shape: tuple[int, ...], tmp_path: Path, grids: dict[str, Geometry]
) -> None:
    field = make_field(grids[name])
    write_displacement(tmp_path / "f.nii.gz", field, grids[name])
    image = nibabel.load(tmp_path / "f.nii.gz")
    assert image.shape == shape
    assert int(image.header["intent_code"]) == 1007
    # ANTs reads the stored numbers as LPS
    np.testing.assert_array_equal(np.asarray(image.dataobj).reshape(*grids[name].size, -1), np.moveaxis(field, 0, -1))


@pytest.mark.parametrize("name", NAMES)
def test_written_and_read_again(name: str, tmp_path: Path, grids: dict[str, Geometry]) -> None:
    field = make_field(grids[name])
    write_displacement(tmp_path / "f.mha", field, grids[name])
    again = read_displacement(tmp_path / "f.mha")
    np.testing.assert_array_equal(again.array, field)
    assert again.geometry == grids[name]


def test_what_is_no_field_is_refused(tmp_path: Path) -> None:
    geometry = Geometry.identity((4, 5, 6))
    write_image(tmp_path / "scalar.nii.gz", np.zeros((4, 5, 6), np.float32), geometry)
    with pytest.raises(DataError, match="a displacement field is needed"):
        read_displacement(tmp_path / "scalar.nii.gz")
    write_image(tmp_path / "two.mha", np.zeros((2, 4, 5, 6), np.float32), geometry)
    with pytest.raises(DataError, match="2 components per voxel of a 3-D grid"):
        read_displacement(tmp_path / "two.mha")


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    geometry = Geometry.identity((4, 5))
    with pytest.raises(ValueError, match="does not fit the grid"):
        write_displacement(tmp_path / "f.nii.gz", np.zeros((3, 4, 5)), geometry)
    with pytest.raises(UsageError, match="does not write this format"):
        write_displacement(tmp_path / "f.txt", np.zeros((2, 4, 5)), geometry)
    assert list(tmp_path.iterdir()) == []
