from collections.abc import Callable
from pathlib import Path

import pytest

from fewscan.data.case import Part
from fewscan.data.layout_folders import has_image_folder, load_folders
from fewscan.errors import DataError

Factory = Callable[..., Path]


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_labels_match_by_stem(folders_dataset: Factory) -> None:
    root = folders_dataset()
    dataset = load_folders(root)
    assert dataset["scan1"].label == root / "labels" / "scan1.nii.gz"
    assert dataset["scan2"].label is None
    assert dataset.labels == {}
    assert dataset.channel_names == ("image",)


def test_label_in_another_format(tmp_path: Path) -> None:
    root = touch(tmp_path, "images/a.nii.gz", "labels/a.nrrd")
    assert load_folders(root)["a"].label == root / "labels" / "a.nrrd"


def test_test_folders(tmp_path: Path) -> None:
    root = touch(tmp_path, "images/a.png", "images_test/b.png", "images_test/c.png", "labels_test/b.png")
    dataset = load_folders(root)
    assert [(case.id, case.part, case.label is not None) for case in dataset] == [
        ("a", None, False),
        ("b", Part.TEST, True),
        ("c", Part.TEST, False),
    ]


def test_nnunet_names_without_dataset_json(tmp_path: Path) -> None:
    names = [f"imagesTr/{case}_000{k}.nii.gz" for case in "ab" for k in range(2)]
    dataset = load_folders(touch(tmp_path, *names, "labelsTr/a.nii.gz"))
    assert [case.id for case in dataset] == ["a", "b"]
    assert [path.name for path in dataset["a"].images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert dataset.channel_names == ("channel 0", "channel 1")
    assert dataset["a"].label is not None


def test_numbers_that_belong_to_the_id(tmp_path: Path) -> None:
    names = [f"{folder}/{case}_0000.nii.gz" for folder in ("images", "labels") for case in "ab"]
    assert [case.id for case in load_folders(touch(tmp_path, *names))] == ["a_0000", "b_0000"]


def test_dicom_folders_are_scans(tmp_path: Path) -> None:
    (tmp_path / "images" / "p1").mkdir(parents=True)
    (tmp_path / "images" / "p1" / "0001").write_bytes(b"\0" * 128 + b"DICM")
    dataset = load_folders(touch(tmp_path, "labels/p1.nii.gz"))
    assert dataset["p1"].images == (tmp_path / "images" / "p1",)
    assert dataset["p1"].label is not None


def test_problems_are_listed_together(tmp_path: Path) -> None:
    root = touch(tmp_path, "images/a.nii", "images/a.nrrd", "labels/x.nii", "labels/y.nii")
    with pytest.raises(DataError, match=r"(?s)3 problems.*same id 'a'.*x\.nii belongs to no.*y\.nii belongs to no"):
        load_folders(root)


def test_empty(tmp_path: Path) -> None:
    assert not has_image_folder(tmp_path)
    (tmp_path / "images").mkdir()
    assert has_image_folder(tmp_path)
    with pytest.raises(DataError, match="images/ holds no image files"):
        load_folders(tmp_path)
