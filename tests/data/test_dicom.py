import locale
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from fewscan.data.dicom import holds_dicom
from fewscan.data.image_io import read_geometry, read_image
from fewscan.errors import DataError

VOLUME = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)


def write_series(
    folder: Path,
    *,
    positions_mm: Sequence[Sequence[float]] = ((1, 2, 10), (1, 2, 13), (1, 2, 16), (1, 2, 19)),
    series: str = "1.2.826.0.1.3680043.2.1125.1",
    prefix: str = "slice",
) -> Path:
    """Write VOLUME's slices, with spacing 0.5 x 0.75 mm, at ``positions_mm``; file names in reverse order."""
    folder.mkdir(exist_ok=True)
    before = locale.setlocale(locale.LC_CTYPE)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, position in enumerate(positions_mm):
        image = SimpleITK.GetImageFromArray(VOLUME[:, :, number % 4].transpose().copy())
        image.SetSpacing((0.5, 0.75))
        tags = {
            "0008|0060": "MR",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": f"{series}.{number + 1}",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0020|000e": series,
            "0020|0032": "\\".join(str(v) for v in position),
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(number + 1),
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{prefix}{9 - number}.dcm"))
        writer.Execute(image)
    locale.setlocale(locale.LC_CTYPE, before)  # GDCM's writer sets it to C, and later tests would read ASCII
    return folder


def test_series_is_read_in_spatial_order(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "scan")
    image = read_image(folder)
    np.testing.assert_array_equal(image.array, VOLUME)
    assert image.array.dtype == np.int16
    assert image.geometry.size == (6, 5, 4)
    assert image.geometry.spacing_mm == (0.5, 0.75, 3.0)
    assert image.geometry.origin_mm == (1.0, 2.0, 10.0)
    assert read_geometry(folder) == image.geometry


def test_geometry_is_what_itk_makes_of_the_series(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "scan")
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    itk = SimpleITK.ReadImage(names)
    geometry = read_geometry(folder)
    np.testing.assert_allclose(geometry.spacing_mm, itk.GetSpacing())
    np.testing.assert_allclose(geometry.origin_mm, itk.GetOrigin())
    np.testing.assert_allclose(geometry.direction, itk.GetDirection())


def test_single_slice_stays_3d(tmp_path: Path) -> None:
    image = read_image(write_series(tmp_path / "scan", positions_mm=[(0, 0, 0)]))
    np.testing.assert_array_equal(image.array, VOLUME[:, :, :1])


def test_several_series_are_listed(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "scan")
    write_series(folder, series="1.2.826.0.1.3680043.2.1125.2", prefix="other", positions_mm=[(0, 0, 0), (0, 0, 1)])
    with pytest.raises(DataError, match=r"scan: holds 2 DICOM series .*1125\.1.*: 4 files of 6 x 5; .*: 2 files"):
        read_image(folder)


@pytest.mark.parametrize(
    ("positions", "match"),
    [
        # steps 3, 6, 3: the median 3 is the spacing, the second step is off
        ([(0, 0, 0), (0, 0, 3), (0, 0, 9), (0, 0, 12)], "slices 2 and 3 are 6 mm apart, the others 3 mm"),
        ([(0, 0, 0), (0, 0, 0.0), (0, 0, 3), (0, 0, 3)], "several slices lie at one position"),
        ([(0, 0, 0), (0, 1, 3), (0, 2, 6), (0, 3, 9)], "shifted sideways"),
    ],
)
def test_slices_that_are_no_even_stack(tmp_path: Path, positions: Sequence[Sequence[float]], match: str) -> None:
    folder = write_series(tmp_path / "scan", positions_mm=positions)
    with pytest.raises(DataError, match=rf"scan: .*{match}"):
        read_image(folder)
    with pytest.raises(DataError, match=match):
        read_geometry(folder)


def test_folder_without_dicom(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no scan")
    assert not holds_dicom(tmp_path)
    with pytest.raises(DataError, match="is a folder without a DICOM series"):
        read_image(tmp_path)


def test_holds_dicom(tmp_path: Path) -> None:
    assert holds_dicom(write_series(tmp_path / "scan"))
    assert not holds_dicom(tmp_path)
