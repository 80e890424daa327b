import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fewscan.data.case import Part
from fewscan.data.image_io import read_channel_images
from fewscan.data.layout_decathlon import load_decathlon
from fewscan.errors import DataError

Factory = Callable[..., Path]


def test_parts_and_labels(decathlon_dataset: Factory) -> None:
    root = decathlon_dataset()
    dataset = load_decathlon(root)
    assert dataset.labels == {"background": 0, "blob": 1}
    assert dataset["blob_0"].images == (root / "imagesTr" / "blob_0.nii.gz",)
    assert dataset["blob_0"].label == root / "labelsTr" / "blob_0.nii.gz"
    assert dataset["blob_0"].part is None
    assert dataset["blob_2"].part is Part.TEST
    assert dataset["blob_2"].label is None


def test_channels_of_4d_files_can_be_read(decathlon_dataset: Factory) -> None:
    dataset = load_decathlon(decathlon_dataset(channels=3))
    assert dataset.channel_names == ("MRI 0", "MRI 1", "MRI 2")
    images = dataset["blob_1"].images
    arrays = [image.array for image in read_channel_images(images)]
    assert [array.shape for array in arrays] == [(8, 7, 6)] * 3
    assert not np.array_equal(arrays[0], arrays[2])


def test_every_wrong_entry_is_named_at_once(decathlon_dataset: Factory) -> None:
    root = decathlon_dataset()
    path = root / "dataset.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["training"][0]["label"] = "../../etc/passwd"
    data["training"].append({"image": "./imagesTr/gone.nii.gz"})
    data["training"].append({"label": "./labelsTr/blob_0.nii.gz"})
    data["test"] = ["/etc/passwd"]
    path.write_text(json.dumps(data))
    with pytest.raises(DataError) as caught:
        load_decathlon(root)
    for text in (
        "4 problems",
        "training entry 1: label '../../etc/passwd' is not a path inside",
        "training entry 3: image ./imagesTr/gone.nii.gz: no such file",
        "training entry 4: image None is not a path inside",
        "test entry 1: image '/etc/passwd' is not a path inside",
    ):
        assert text in str(caught.value)


def test_empty_or_misshapen_lists(decathlon_dataset: Factory) -> None:
    root = decathlon_dataset()
    path = root / "dataset.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "training": [], "test": []}))
    with pytest.raises(DataError, match="lists no scans"):
        load_decathlon(root)
    path.write_text(json.dumps({**data, "training": "imagesTr"}))
    with pytest.raises(DataError, match="training must be a list"):
        load_decathlon(root)
