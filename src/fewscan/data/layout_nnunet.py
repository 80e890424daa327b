"""nnU-Net v2 raw: ``imagesTr/ID_0000.nii.gz``, ``labelsTr/ID.nii.gz``, ``imagesTs``, ``labelsTs`` and dataset.json.

Source: Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z, and the format notes of its repository. The
older form (``modality`` for ``channel_names``, no ``file_ending``) is read too. ``imagesTs`` is the test part, with
labels where ``labelsTs`` has them.
"""

from pathlib import Path

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.dataset_json import parse_channels, parse_labels, read_dataset_json
from fewscan.data.image_files import is_image_file
from fewscan.data.layout_files import by_stem, group_channels, list_images, match_labels, raise_problems
from fewscan.errors import DataError


def load_nnunet(root: Path) -> Dataset:
    """Read a folder in nnU-Net's raw format.

    Raises
    ------
    DataError
        When dataset.json is not as it should be, or images, channels and labels do not fit together; all such files
        are listed.
    """
    header = root / "dataset.json"
    data = read_dataset_json(header)
    channel_names = parse_channels(header, data)
    labels = parse_labels(header, data)
    ending = str(data.get("file_ending", ""))
    if ending and not is_image_file(Path("image" + ending)):
        raise DataError(f"{header}: fewscan does not read files that end in {ending!r}", mend="convert them to .nii.gz")
    problems: list[str] = []
    cases: list[Case] = []
    for suffix, part in (("Tr", None), ("Ts", Part.TEST)):
        images = group_channels(
            list_images(root / f"images{suffix}", ending=ending), problems, channels=len(channel_names)
        )
        found = by_stem(list_images(root / f"labels{suffix}", ending=ending), problems)
        cases += match_labels(images, found, problems, part=part)
    if not cases and not problems:
        problems.append(f"imagesTr holds no image{' that ends in ' + ending if ending else ''}")
    raise_problems(root, problems, mend="add or rename the files, or correct dataset.json")
    return Dataset(
        name=root.name,
        root=root,
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channel_names=channel_names,
        labels=labels,
        layout="nnunet",
    )
