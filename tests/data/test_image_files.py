from pathlib import Path

import pytest

from fewscan.data.image_files import check_file, files_of, image_stem, image_suffix, is_image_file
from fewscan.errors import DataError


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [
        ("a.nii.gz", "a", ".nii.gz"),
        ("a.NII.GZ", "a", ".nii.gz"),
        ("a.b.nii", "a.b", ".nii"),
        ("with space.Nrrd", "with space", ".nrrd"),
        ("series_1.2.840", "series_1.2.840", ""),
        ("a.gz", "a.gz", ""),
        ("a.png", "a", ".png"),
    ],
)
def test_stem_and_suffix(name: str, stem: str, suffix: str) -> None:
    assert image_stem(Path("folder.nii") / name) == stem
    assert image_suffix(Path("folder.nii") / name) == suffix
    assert is_image_file(Path(name)) == bool(suffix)


def test_hidden_files_are_no_images() -> None:
    assert not is_image_file(Path("._scan.nii.gz"))


def test_files_of_an_image(tmp_path: Path) -> None:
    for name in ("a [1].mhd", "a [1].raw", "a [1]b.raw", "s.nii", "s.raw"):
        (tmp_path / name).touch()
    assert [path.name for path in files_of(tmp_path / "a [1].mhd")] == ["a [1].mhd", "a [1].raw"]
    assert files_of(tmp_path / "s.nii") == [tmp_path / "s.nii"]
    assert files_of(tmp_path / "gone.nhdr") == [tmp_path / "gone.nhdr"]
    assert len(files_of(tmp_path)) == 5


def test_check_file_names_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.MHA").write_bytes(b"x")
    assert check_file(tmp_path / "a.MHA") == ".mha"
    with pytest.raises(DataError, match="no such file"):
        check_file(tmp_path / "b.mha")
