"""From a folder or manifest to a `Dataset`: recognises the layout, and reads it without converting anything on disk."""

import os
from pathlib import Path

from fewscan.data.case import Case, Dataset
from fewscan.data.dataset_json import read_dataset_json
from fewscan.data.dicom import holds_dicom
from fewscan.data.image_files import IMAGE_SUFFIXES, is_image_file
from fewscan.data.layout_brats import has_case_folders, load_brats
from fewscan.data.layout_decathlon import load_decathlon
from fewscan.data.layout_files import (
    by_stem,
    channel_number,
    check_cases,
    count_channels,
    group_channels,
    list_images,
    raise_problems,
)
from fewscan.data.layout_folders import has_image_folder, load_folders
from fewscan.data.layout_manifest import load_manifest
from fewscan.data.layout_nnunet import load_nnunet
from fewscan.errors import DataError, UsageError

MANIFEST_NAME = "manifest.csv"

KNOWN_LAYOUTS = f"""fewscan reads
  - nnU-Net raw: dataset.json, imagesTr/ID_0000.nii.gz, labelsTr/ID.nii.gz
  - Decathlon: dataset.json with lists "training" and "test"
  - plain folders: images/ID.nii.gz and labels/ID.nii.gz; with several channels images/ID_0000.nii.gz, _0001, ...
    and labels/ID.nii.gz
  - a manifest: FILE.csv, or FOLDER/manifest.csv, with the columns id, image, label, part, group
  - BraTS case folders: ID/ID_flair.nii.gz and ID/ID_seg.nii.gz
An image is a file that ends in {", ".join(IMAGE_SUFFIXES)}, or a folder with one DICOM series"""


def load_dataset(root: Path | str) -> Dataset:
    """List the cases of a data set, in whichever layout it is.

    Parameters
    ----------
    root : Path or str
        A data-set folder, its dataset.json, or a CSV manifest.

    Returns
    -------
    Dataset
        Cases sorted by id, with absolute paths. No image is opened.

    Raises
    ------
    UsageError
        When nothing is there.
    DataError
        When no layout is recognised, or files do not fit together; all problems are listed.
    """
    root = Path(os.path.abspath(root))
    if not root.exists():
        raise UsageError(f"{root}: no such file or folder", mend="check the path")
    dataset = _recognise(root)
    if dataset is None:
        mend = "\n".join([*_bare_images_mend(root), *_table_mend(root), KNOWN_LAYOUTS])
        raise DataError(f"{root}: no scans in a layout that fewscan knows. {_what_is_there(root)}", mend=mend)
    check_cases(root, dataset.cases)
    return dataset


def list_scans(path: Path | str, *, channels: int = 1) -> tuple[Case, ...]:
    """List the scans to predict.

    Parameters
    ----------
    path : Path or str
        One image file, one folder with a DICOM series, a folder of either, or a data set as in `load_dataset` (all its
        cases).
    channels : int
        How many the model takes. Files ``ID_0000``, ``ID_0001``, ... are grouped; of a single file, its neighbours are
        the other channels. Files without such numbers are taken as 4-D when ``channels`` is above one.

    Raises
    ------
    UsageError
        When nothing is there.
    DataError
        When there are no scans, or their channels are not those of the model.
    """
    path = Path(os.path.abspath(path))
    if not os.path.lexists(path):
        raise UsageError(f"{path}: no such file or folder", mend="check the path")
    files = _scan_files(path, channels)
    if not files:
        return _dataset_scans(path, channels)
    problems: list[str] = []
    numbered = count_channels(files)
    if numbered == channels or (channels > 1 and all(channel_number(file) for file in files)):
        scans = group_channels(files, problems, channels=channels)
    elif numbered > channels:
        scans = {}
        problems.append(f"the names number {numbered} channels, the model takes {channels}")
    else:
        scans = {stem: (file,) * channels for stem, file in by_stem(files, problems).items()}
    raise_problems(path, problems, mend=f"give each scan once, its {channels} channel(s) as ID_0000, ID_0001, ...")
    cases = tuple(Case(id=key, images=scans[key]) for key in sorted(scans))
    check_cases(path, cases)
    return cases


def _scan_files(path: Path, channels: int) -> list[Path]:
    """Return the scans that ``path`` is or directly holds."""
    if path.is_dir():
        return [path] if holds_dicom(path) else list_images(path)
    numbered = channel_number(path)
    if channels > 1 and numbered is not None:
        return [file for file in list_images(path.parent) if (channel_number(file) or ("",))[0] == numbered[0]]
    return [path] if is_image_file(path) else []


def _dataset_scans(path: Path, channels: int) -> tuple[Case, ...]:
    dataset = load_dataset(path)
    if len(dataset.channel_names) != channels:
        raise DataError(
            f"{path}: its scans have {len(dataset.channel_names)} channels, the model takes {channels}",
            mend="give the scans that the model was trained for",
        )
    return dataset.cases


def _recognise(root: Path) -> Dataset | None:
    """Read ``root`` in the first layout that fits, from the most to the least explicit."""
    if root.is_file():
        if root.name == "dataset.json":
            return _recognise(root.parent)
        return load_manifest(root) if root.suffix.lower() in {".csv", ".tsv", ".txt"} else None
    if (root / "dataset.json").is_file():
        return load_decathlon(root) if _is_decathlon(root) else load_nnunet(root)
    if (root / MANIFEST_NAME).is_file():
        return load_manifest(root / MANIFEST_NAME)
    if has_image_folder(root):
        return load_folders(root)
    return load_brats(root) if has_case_folders(root) else None


def _is_decathlon(root: Path) -> bool:
    """Tell the two kinds of dataset.json apart; nnU-Net v1 wrote the lists as well, but numbers its channels."""
    data = read_dataset_json(root / "dataset.json")
    if "channel_names" in data or "file_ending" in data or "training" not in data:
        return False
    return count_channels(list_images(root / "imagesTr")) == 0


def _bare_images_mend(root: Path) -> list[str]:
    """Say where images belong that lie in the data-set folder itself."""
    if not root.is_dir() or not list_images(root):
        return []
    if root.name in {"images", "imagesTr"}:
        return [f"give the folder above, {root.parent}, or see below"]
    return [f"put the images into {root / 'images'} (and the labels into {root / 'labels'}), or see below"]


def _table_mend(root: Path) -> list[str]:
    """Say how a table in the folder is taken for its manifest."""
    tables = sorted(root.glob("*.csv")) if root.is_dir() else []
    return [f"is {tables[0].name} the manifest? Give {tables[0]} itself, or call it manifest.csv"] if tables else []


def _what_is_there(root: Path) -> str:
    if root.is_file():
        return f"A file {root.name!r} is neither a manifest nor dataset.json."
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"The folder holds {shown}." if names else "The folder is empty."
