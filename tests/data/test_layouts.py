import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fewscan.data.case import Part
from fewscan.data.layouts import list_scans, load_dataset
from fewscan.errors import DataError, UsageError

Factory = Callable[..., Path]


@pytest.mark.parametrize(
    ("fixture", "layout", "ids"),
    [
        ("nnunet_dataset", "nnunet", [f"case_{k:03d}" for k in range(6)]),
        ("decathlon_dataset", "decathlon", ["blob_0", "blob_1", "blob_2"]),
        ("folders_dataset", "folders", ["scan0", "scan1", "scan2"]),
        ("manifest_dataset", "manifest", ["s0", "s1", "s2", "s3"]),
        ("brats_dataset", "brats", ["Brats18_0", "Brats18_1", "Brats18_2"]),
    ],
)
def test_layouts_are_recognised(fixture: str, layout: str, ids: list[str], request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(fixture)()
    dataset = load_dataset(str(root))
    assert dataset.layout == layout
    assert [case.id for case in dataset] == ids
    assert all(path.is_absolute() and path.is_file() for case in dataset for path in case.images)


def test_relative_roots_give_absolute_paths(folders_dataset: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folders_dataset()
    monkeypatch.chdir(root)
    dataset = load_dataset(".")
    assert dataset.name == "plain"
    assert dataset["scan0"].images == (root / "images" / "scan0.nii.gz",)


def test_dataset_json_and_folder_with_a_manifest(nnunet_dataset: Factory, manifest_dataset: Factory) -> None:
    assert load_dataset(nnunet_dataset() / "dataset.json").layout == "nnunet"
    assert load_dataset(manifest_dataset().parent).layout == "manifest"


def test_nothing_recognised(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError, match=r"(?s)folder holds holiday\.jpg.*nnU-Net raw.*Decathlon.*manifest.*BraTS"):
        load_dataset(tmp_path)
    (tmp_path / "scans.csv").touch()
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path)
    assert (
        f"is scans.csv the manifest? Give {tmp_path / 'scans.csv'} itself, or call it manifest.csv" in caught.value.mend
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="The folder is empty"):
        load_dataset(tmp_path / "empty")
    with pytest.raises(DataError, match=r"holiday\.jpg' is neither a manifest"):
        load_dataset(tmp_path / "holiday.jpg")
    with pytest.raises(UsageError, match="no such file or folder"):
        load_dataset(tmp_path / "absent")


def test_leaks_are_refused_in_every_layout(folders_dataset: Factory) -> None:
    root = folders_dataset()
    (root / "images_test").mkdir()
    (root / "images_test" / "again.nii.gz").symlink_to(root / "images" / "scan0.nii.gz")
    with pytest.raises(DataError, match=r"scan0\.nii\.gz is listed for 'again'|listed for 'again' and for 'scan0'"):
        load_dataset(root)


class TestScans:
    def test_one_file(self, tmp_path: Path) -> None:
        (tmp_path / "a b.nii.gz").touch()
        (scan,) = list_scans(tmp_path / "a b.nii.gz")
        assert (scan.id, scan.images, scan.label) == ("a b", (tmp_path / "a b.nii.gz",), None)

    def test_numbers_of_a_single_channel_are_dropped(self, nnunet_dataset: Factory) -> None:
        # so that predictions have the names of labelsTs
        root = nnunet_dataset(test=2)
        assert [scan.id for scan in list_scans(root / "imagesTs")] == ["case_005", "case_006"]
        assert list_scans(root / "imagesTs" / "case_005_0000.nii.gz")[0].id == "case_005"

    def test_channels_are_grouped(self, nnunet_dataset: Factory) -> None:
        folder = nnunet_dataset(test=2, channels=2) / "imagesTs"
        scans = list_scans(folder, channels=2)
        assert [scan.id for scan in scans] == ["case_005", "case_006"]
        assert [path.name for path in scans[0].images] == ["case_005_0000.nii.gz", "case_005_0001.nii.gz"]
        assert list_scans(folder / "case_006_0001.nii.gz", channels=2) == scans[1:]

    def test_missing_channels_are_listed(self, nnunet_dataset: Factory) -> None:
        folder = nnunet_dataset(test=2, channels=2) / "imagesTs"
        (folder / "case_005_0001.nii.gz").unlink()
        (folder / "case_006_0000.nii.gz").unlink()
        with pytest.raises(DataError, match=r"(?s)2 problems.*case_005.*_0001.*case_006.*_0000"):
            list_scans(folder, channels=2)

    def test_more_channels_than_the_model_takes(self, nnunet_dataset: Factory) -> None:
        root = nnunet_dataset(test=2, channels=2)
        with pytest.raises(DataError, match="number 2 channels, the model takes 1"):
            list_scans(root / "imagesTs")
        with pytest.raises(DataError, match="have 2 channels, the model takes 1"):
            list_scans(root)

    def test_numbered_patients_are_no_channels(self, tmp_path: Path) -> None:
        for k in range(3):
            (tmp_path / f"patient_{k:04d}.nii.gz").touch()
        assert [scan.id for scan in list_scans(tmp_path)] == ["patient_0000", "patient_0001", "patient_0002"]

    def test_unnumbered_files_for_several_channels_are_4d(self, tmp_path: Path) -> None:
        path = tmp_path / "a.nii.gz"
        path.touch()
        assert list_scans(tmp_path, channels=4)[0].images == (path,) * 4

    def test_dicom_folders(self, tmp_path: Path) -> None:
        for name in ("s1", "s2"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "0001").write_bytes(b"\0" * 128 + b"DICM")
        assert [scan.id for scan in list_scans(tmp_path)] == ["s1", "s2"]
        assert list_scans(tmp_path / "s1")[0].images == (tmp_path / "s1",)

    def test_data_set(self, folders_dataset: Factory) -> None:
        scans = list_scans(folders_dataset())
        assert [scan.id for scan in scans] == ["scan0", "scan1", "scan2"]

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no such file or folder"):
            list_scans(tmp_path / "absent.nii.gz")
        with pytest.raises(DataError, match=r"(?s)The folder is empty.*An image is a file that ends in \.nii\.gz"):
            list_scans(tmp_path)

    def test_same_name_in_two_formats(self, tmp_path: Path) -> None:
        for name in ("a.nii.gz", "a.nrrd"):
            (tmp_path / name).touch()
        with pytest.raises(DataError, match="have the same id 'a'"):
            list_scans(tmp_path)


@pytest.mark.real
def test_the_real_hippocampus() -> None:
    base = os.environ.get("FEWSCAN_TEST_DATA")
    data = Path(base) if base else Path(__file__).parents[3] / "shared" / "data"
    root = data / "hippocampus" / "Dataset004_Hippocampus"
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    dataset = load_dataset(root)
    assert len(dataset) == 220
    assert sum(case.part is Part.TEST for case in dataset) == 40
    assert sum(case.part is None for case in dataset) == 180
    assert all(case.label is not None for case in dataset)
    assert dataset.labels == {"background": 0, "anterior hippocampus": 1, "posterior hippocampus": 2}
    assert dataset.channel_names == ("T1w MRI",)
