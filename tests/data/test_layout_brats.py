from collections.abc import Callable
from pathlib import Path

import pytest

from fewscan.data.layout_brats import has_case_folders, load_brats
from fewscan.errors import DataError

Factory = Callable[..., Path]


def test_flair_alone_by_default(brats_dataset: Factory) -> None:
    root = brats_dataset()
    dataset = load_brats(root)
    folder = root / "HGG" / "Brats18_0"
    assert dataset["Brats18_0"].images == (folder / "Brats18_0_flair.nii.gz",)
    assert dataset["Brats18_0"].label == folder / "Brats18_0_seg.nii.gz"
    assert dataset["Brats18_1"].images[0].parent.parent.name == "LGG"
    assert dataset["Brats18_2"].label is None
    assert dataset.channel_names == ("flair",)
    assert sorted(dataset.labels.values()) == [0, 1, 2, 4]


def test_chosen_channels_in_order(brats_dataset: Factory) -> None:
    dataset = load_brats(brats_dataset(), channels=("t2", "t1ce"))
    assert [path.name for path in dataset["Brats18_1"].images] == ["Brats18_1_t2.nii.gz", "Brats18_1_t1ce.nii.gz"]


def test_every_missing_channel_is_named(brats_dataset: Factory) -> None:
    root = brats_dataset()
    (root / "HGG" / "Brats18_0" / "Brats18_0_flair.nii.gz").unlink()
    (root / "LGG" / "Brats18_1" / "Brats18_1_flair.nii.gz").unlink()
    with pytest.raises(DataError, match=r"(?s)2 problems.*Brats18_0_flair is missing.*Brats18_1_flair is missing"):
        load_brats(root)


def test_other_folders_are_not_case_folders(folders_dataset: Factory, brats_dataset: Factory) -> None:
    assert not has_case_folders(folders_dataset())
    assert has_case_folders(brats_dataset())
