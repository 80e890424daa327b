"""Medical Segmentation Decathlon: dataset.json lists the files of ``training`` and ``test``.

Source: Antonelli et al. 2022, https://doi.org/10.1038/s41467-022-30695-9. Tasks with several modalities keep them in
the last axis of 4-D files; such a file stands once per channel in `Case.images` (see `image_io.channel_volumes`).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.dataset_json import parse_channels, parse_labels, read_dataset_json
from fewscan.data.image_files import image_stem
from fewscan.data.layout_files import inside, raise_problems


def load_decathlon(root: Path) -> Dataset:
    """Read a Decathlon task folder.

    Raises
    ------
    DataError
        When dataset.json is not as it should be, or names files that are not there or lie outside ``root``: such a file
        comes with a download, so it has no business elsewhere.
    """
    header = root / "dataset.json"
    data = read_dataset_json(header)
    channel_names = parse_channels(header, data)
    problems: list[str] = []
    cases = []
    for key, part in (("training", None), ("test", Part.TEST)):
        entries = data.get(key, [])
        if not isinstance(entries, list):
            problems.append(f"{key} must be a list")
            continue
        for number, entry in enumerate(entries, start=1):
            case = _parse_entry(root, entry, f"{key} entry {number}", part, len(channel_names), problems)
            if case is not None:
                cases.append(case)
    if not cases and not problems:
        problems.append("lists no scans")
    raise_problems(header, problems, mend="correct the list, or restore the files")
    return Dataset(
        name=root.name,
        root=root,
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channel_names=channel_names,
        labels=parse_labels(header, data),
        layout="decathlon",
    )


def _parse_entry(
    root: Path, entry: object, where: str, part: Part | None, channels: int, problems: list[str]
) -> Case | None:
    fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {"image": entry}
    paths: dict[str, Path | None] = {}
    for key in ("image", "label"):
        name = fields.get(key)
        if name is None and key == "label":
            continue
        path = inside(root, name) if isinstance(name, str) and name else None
        if path is None:
            problems.append(f"{where}: {key} {name!r} is not a path inside {root}")
        elif not os.path.lexists(path):
            problems.append(f"{where}: {key} {name}: no such file")
        paths[key] = path
    image = paths["image"]
    if image is None:
        return None
    return Case(id=image_stem(image), images=(image,) * channels, label=paths.get("label"), part=part)
