import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fewscan.data.case import Part
from fewscan.data.layout_nnunet import load_nnunet
from fewscan.data.layouts import load_dataset
from fewscan.errors import DataError

Factory = Callable[..., Path]


def edit(root: Path, **changes: object) -> None:
    path = root / "dataset.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            data.pop(key)
        else:
            data[key] = value
    path.write_text(json.dumps(data))


def test_parts_labels_and_channels(nnunet_dataset: Factory) -> None:
    root = nnunet_dataset(labelled=2, unlabelled=1, test=1, channels=2)
    dataset = load_nnunet(root)
    assert dataset.channel_names == ("MRI 0", "MRI 1")
    assert dataset.labels == {"background": 0, "blob": 1}
    labels = root / "labelsTr"
    assert dataset["case_001"].label == labels / "case_001.nii.gz"
    assert dataset["case_002"].label is None
    assert dataset["case_002"].part is None
    test = dataset["case_003"]
    assert test.part is Part.TEST
    assert test.label == root / "labelsTs" / "case_003.nii.gz"
    assert test.images == tuple(root / "imagesTs" / f"case_003_000{k}.nii.gz" for k in range(2))


def test_test_scans_without_labels(nnunet_dataset: Factory) -> None:
    root = nnunet_dataset(test=1)
    (root / "labelsTs" / "case_005.nii.gz").unlink()
    assert load_nnunet(root)["case_005"].label is None


def test_every_missing_channel_is_named_at_once(nnunet_dataset: Factory) -> None:
    root = nnunet_dataset(channels=3)
    for name in ("case_000_0002", "case_001_0000", "case_001_0001"):
        (root / "imagesTr" / f"{name}.nii.gz").unlink()
    (root / "labelsTr" / "stray.nii.gz").touch()
    with pytest.raises(DataError) as caught:
        load_nnunet(root)
    for text in (
        "3 problems",
        "case case_000: channel _0002 is missing",
        "case case_001: channel _0000, _0001 is missing",
        "label stray.nii.gz belongs to no image",
    ):
        assert text in str(caught.value)


def test_old_dataset_json(nnunet_dataset: Factory) -> None:
    # version 1: modality, inverted labels, lists of files without channel numbers, no file_ending
    root = nnunet_dataset(labelled=2, unlabelled=0, test=0)
    edit(
        root,
        channel_names=None,
        file_ending=None,
        modality={"0": "MRI"},
        labels={"0": "background", "1": "blob"},
        training=[{"image": "./imagesTr/case_000.nii.gz", "label": "./labelsTr/case_000.nii.gz"}],
        test=[],
    )
    dataset = load_dataset(root)
    assert dataset.layout == "nnunet"
    assert [case.id for case in dataset] == ["case_000", "case_001"]
    assert dataset.labels == {"background": 0, "blob": 1}
    assert dataset.channel_names == ("MRI",)


def test_only_files_of_the_declared_ending(nnunet_dataset: Factory) -> None:
    root = nnunet_dataset()
    (root / "imagesTr" / "preview.png").touch()
    (root / "imagesTr" / "CASE_X_0000.NII.GZ").touch()
    assert [case.id for case in load_nnunet(root)][:2] == ["CASE_X", "case_000"]
    edit(root, file_ending=".npy")
    with pytest.raises(DataError, match=r"does not read files that end in '\.npy'"):
        load_nnunet(root)


def test_no_images(nnunet_dataset: Factory) -> None:
    root = nnunet_dataset(labelled=0, unlabelled=0, test=0)
    with pytest.raises(DataError, match=r"imagesTr holds no image that ends in \.nii\.gz"):
        load_nnunet(root)


def test_one_id_in_training_and_test(nnunet_dataset: Factory) -> None:
    root = nnunet_dataset(test=1)
    (root / "imagesTs" / "case_000_0000.nii.gz").touch()
    with pytest.raises(DataError, match="id 'case_000' stands for 2 scans"):
        load_dataset(root)
