"""Plain folders: ``images/`` and, for the annotated scans, ``labels/`` with files of equal stem.

``images_test/`` and ``labels_test/`` are the test part. ``imagesTr``, ``labelsTr``, ``imagesTs``, ``labelsTs`` without
a dataset.json are read alike. A scan is an image file or a folder with one DICOM series. Where all names end in
``_0000``, ``_0001``, ... these are channels, as in nnU-Net.
"""

from pathlib import Path

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.image_files import image_stem
from fewscan.data.layout_files import (
    by_stem,
    count_channels,
    group_channels,
    list_images,
    match_labels,
    raise_problems,
)

_NAMES = (("images", "labels", "images_test", "labels_test"), ("imagesTr", "labelsTr", "imagesTs", "labelsTs"))


def has_image_folder(root: Path) -> bool:
    """Tell whether ``root`` looks like this layout."""
    return any((root / names[0]).is_dir() for names in _NAMES)


def load_folders(root: Path) -> Dataset:
    """Read plain folders; raises `DataError` that lists labels without image and ids that stand for two files."""
    images, labels, test_images, test_labels = next(names for names in _NAMES if (root / names[0]).is_dir())
    problems: list[str] = []
    listed = {name: list_images(root / name) for name in (images, labels, test_images, test_labels)}
    channels = max(count_channels(listed[images]), count_channels(listed[test_images]))
    if {image_stem(path) for path in listed[images]} & {image_stem(path) for path in listed[labels]}:
        channels = 0  # labels named like the images: the number belongs to the id
    cases: list[Case] = []
    for folder, label_folder, part in ((images, labels, None), (test_images, test_labels, Part.TEST)):
        files = listed[folder]
        if channels:
            scans = group_channels(files, problems, channels=channels)
        else:
            scans = {stem: (path,) for stem, path in by_stem(files, problems).items()}
        cases += match_labels(scans, by_stem(listed[label_folder], problems), problems, part=part)
    if not cases and not problems:
        problems.append(f"{images}/ holds no image files and no DICOM folders")
    raise_problems(root, problems, mend="give image and label the same name, one of each per scan")
    return Dataset(
        name=root.name,
        root=root,
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channel_names=("image",) if channels < 2 else tuple(f"channel {k}" for k in range(channels)),
        layout="folders",
    )
