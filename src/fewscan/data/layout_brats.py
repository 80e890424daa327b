"""BraTS case folders: ``ID/ID_flair.nii.gz``, ``_t1``, ``_t1ce``, ``_t2``, ``_seg``; also nested in HGG/ and LGG/.

Source: Menze et al. 2015, https://doi.org/10.1109/TMI.2014.2377694 (form of the years 2017 to 2021). Paper 2 uses the
FLAIR channel alone, and so does this layout unless told otherwise. A folder without ``_seg`` is an unlabelled case.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fewscan.data.case import Case, Dataset
from fewscan.data.image_files import image_stem
from fewscan.data.layout_files import list_images, raise_problems

MODALITIES = ("flair", "t1", "t1ce", "t2")
LABELS = {"background": 0, "necrotic core": 1, "oedema": 2, "enhancing tumour": 4}


def has_case_folders(root: Path) -> bool:
    """Tell whether ``root`` looks like this layout."""
    return next(_case_folders(root), None) is not None


def load_brats(root: Path, *, channels: Sequence[str] = ("flair",)) -> Dataset:
    """Read BraTS case folders.

    Parameters
    ----------
    root : Path
        Holds the case folders, directly or one level down.
    channels : sequence of str
        Which of `MODALITIES` to use, in this order.

    Raises
    ------
    DataError
        When cases lack one of the channels; all are listed.
    """
    problems: list[str] = []
    cases = []
    for folder, files in _case_folders(root):
        missing = [channel for channel in channels if channel not in files]
        if missing:
            problems.append(f"case {folder.name}: {folder.name}_{', _'.join(missing)} is missing")
        else:
            images = tuple(files[channel] for channel in channels)
            cases.append(Case(id=folder.name, images=images, label=files.get("seg")))
    raise_problems(root, problems, mend="add the files, or take the case folders out")
    return Dataset(
        name=root.name,
        root=root,
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channel_names=tuple(channels),
        labels=LABELS,
        layout="brats",
    )


def _case_folders(root: Path) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Give each case folder with its files by modality, ``seg`` included."""
    below = _subfolders(root)
    for folder in [*below, *(inner for outer in below for inner in _subfolders(outer))]:
        prefix = folder.name + "_"
        files = {image_stem(path).removeprefix(prefix).lower(): path for path in list_images(folder)}
        if not files.keys().isdisjoint({*MODALITIES, "seg"}):
            yield folder, files


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
