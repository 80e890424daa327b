"""What the layouts share: listing image files, grouping channels, matching labels, and checks on the list of cases.

Nothing here opens an image. Problems are gathered and raised together, so that one run shows all of them.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fewscan.data.case import Case, Part
from fewscan.data.dicom import holds_dicom
from fewscan.data.image_files import image_stem, is_image_file
from fewscan.errors import DataError

_CHANNEL = re.compile(r"(?P<id>.+)_(?P<channel>\d{4})")


def raise_problems(source: Path, problems: Sequence[str], *, mend: str) -> None:
    """Raise one `DataError` that lists all ``problems`` of ``source``; do nothing when there are none."""
    if not problems:
        return
    if len(problems) == 1:
        raise DataError(f"{source}: {problems[0]}", mend=mend)
    raise DataError(f"{source}: {len(problems)} problems:" + "".join(f"\n  - {item}" for item in problems), mend=mend)


def list_images(folder: Path, *, ending: str = "") -> list[Path]:
    """Return the image files and DICOM folders in ``folder``, sorted by name; an absent folder has none.

    Parameters
    ----------
    folder : Path
        Where to look; not in its subfolders.
    ending : str
        Only files whose names end like this, in any letter case (nnU-Net's ``file_ending``).
    """
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        if ending:
            wanted = path.name.lower().endswith(ending.lower()) and not path.name.startswith(".")
        else:
            wanted = is_image_file(path) or (path.is_dir() and holds_dicom(path))
        if wanted:
            found.append(path)
    return found


def by_stem(files: Iterable[Path], problems: list[str]) -> dict[str, Path]:
    """Map each file's stem to it; two files with one stem (``a.nii`` and ``a.nrrd``) are a problem."""
    result: dict[str, Path] = {}
    for path in files:
        stem = image_stem(path)
        if stem in result:
            problems.append(f"{result[stem].name} and {path.name} have the same id {stem!r}")
        result.setdefault(stem, path)
    return result


def channel_number(path: Path) -> tuple[str, int] | None:
    """Split ``ID_0003.nii.gz`` into ``("ID", 3)``; None when the name does not end in a channel number."""
    match = _CHANNEL.fullmatch(image_stem(path))
    return (match["id"], int(match["channel"])) if match else None


def group_channels(files: Iterable[Path], problems: list[str], *, channels: int) -> dict[str, tuple[Path, ...]]:
    """Group ``ID_0000``, ``ID_0001``, ... by id; missing, surplus and unnumbered files are problems."""
    groups: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in by_stem(files, problems).values():
        numbered = channel_number(path)
        if numbered is None:
            problems.append(f"{path.name}: its name does not end in a channel number such as _0000")
        else:
            groups[numbered[0]][numbered[1]] = path
    for case_id, found in groups.items():
        missing = [f"_{k:04d}" for k in range(channels) if k not in found]
        surplus = [f"_{k:04d}" for k in found if k >= channels]
        if missing:
            problems.append(f"case {case_id}: channel {', '.join(missing)} is missing")
        if surplus:
            problems.append(f"case {case_id}: channel {', '.join(surplus)} is more than the {channels} declared")
    return {case_id: tuple(found[k] for k in sorted(found)) for case_id, found in groups.items()}


def count_channels(files: Iterable[Path]) -> int:
    """Return how many channels the names number, or 0 when they do not.

    They do when every name ends in four digits and every id starts at ``_0000``, or some id has ``_0000`` and ``_0001``
    while others lack a file. So ``scan_2019`` and ``scan_2020`` are two scans; and so are ``patient_0000`` and
    ``patient_0001``, a lone id that only counts the patients.
    """
    groups: dict[str, set[int]] = defaultdict(set)
    for path in files:
        numbered = channel_number(path)
        if numbered is None:
            return 0
        groups[numbered[0]].add(numbered[1])
    count = max((max(found) + 1 for found in groups.values()), default=0)
    begun = all(0 in found for found in groups.values()) or any({0, 1} <= found for found in groups.values())
    return count if begun and not (len(groups) == 1 and count > 1) else 0


def match_labels(
    images: Mapping[str, tuple[Path, ...]], labels: Mapping[str, Path], problems: list[str], *, part: Part | None = None
) -> list[Case]:
    """Return one case per id of ``images``, with its label where there is one; labels of no image are problems."""
    problems.extend(f"label {labels[stem].name} belongs to no image" for stem in sorted(set(labels) - set(images)))
    return [Case(id=key, images=images[key], label=labels.get(key), part=part) for key in sorted(images)]


def inside(folder: Path, name: str) -> Path | None:
    """Return the path of relative ``name`` in ``folder``; None when it is absolute or climbs out by ``..``.

    Links inside the folder are followed: whoever may put a link there may also put the file there.
    """
    path = Path(os.path.normpath(folder / name))
    return path if not Path(name).is_absolute() and path.is_relative_to(os.path.normpath(folder)) else None


def is_file_name(case_id: str) -> bool:
    """Tell whether files may be called by the id; what climbs out of a folder is no name."""
    return case_id not in {"", ".", ".."} and not re.search(r"[/\\\x00-\x1f]", case_id)


def check_cases(source: Path, cases: Sequence[Case]) -> None:
    """Raise `DataError` with all problems of a list of cases.

    Ids must be fit for file names and unique even where the file system ignores letter case; no image may stand in two
    cases; a patient with scans in the test or validation part may have none elsewhere.
    """
    problems: list[str] = []
    ids: dict[str, list[str]] = defaultdict(list)
    owners: dict[str, str] = {}
    parts: dict[str, set[Part]] = defaultdict(set)
    for case in cases:
        ids[case.id.casefold()].append(case.id)
        if not is_file_name(case.id):
            problems.append(f"id {case.id!r} cannot be used in a file name")
        for image in set(case.images):
            owner = owners.setdefault(os.path.realpath(image), case.id)
            if owner != case.id:
                problems.append(f"image {image} is listed for {owner!r} and for {case.id!r}")
        if case.group is not None and case.part is not None:
            parts[case.group].add(case.part)
    for same in ids.values():
        if len(set(same)) > 1:
            problems.append(f"ids {', '.join(map(repr, sorted(set(same))))} differ only in letter case")
        elif len(same) > 1:
            problems.append(f"id {same[0]!r} stands for {len(same)} scans")
    for group, found in parts.items():
        if len(found) > 1 and found & {Part.TEST, Part.VALIDATION}:
            problems.append(f"group {group!r} has scans in the parts {', '.join(sorted(found))}: that is a leak")
    raise_problems(source, problems, mend="give every case its own id and image, and every patient one part")
