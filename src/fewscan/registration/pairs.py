"""Which scan is registered to which: from the paths of the command to a list of pairs.

- one moving scan, or a folder of them, to one fixed scan;
- every ordered pair of a folder;
- the rows of a CSV file with the columns ``moving`` and ``fixed``: ids of scans of the folders given beside it, or
  files (relative to the CSV file's folder, which they may not leave, or absolute).

Scans with several channels are cases as everywhere: ``ID_0000``, ``ID_0001``, ...
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fewscan.data.case import Case
from fewscan.data.dicom import holds_dicom
from fewscan.data.image_files import is_image_file
from fewscan.data.layout_files import by_stem, count_channels, list_images, raise_problems
from fewscan.data.layout_manifest import parse_path, read_rows
from fewscan.data.layouts import load_dataset
from fewscan.errors import DataError, UsageError
from fewscan.inference.outputs import find_scans


@dataclass(frozen=True)
class ScanPair:
    """One registration to do."""

    moving: Case
    fixed: Case

    @property
    def id(self) -> str:
        """Stem of the files that are written for the pair."""
        return f"{self.moving.id}_to_{self.fixed.id}"

    @property
    def image_stems(self) -> tuple[str, ...]:
        """Stems of the warped channels: the id itself where there is one."""
        count = len(self.moving.images)
        return (self.id,) if count == 1 else tuple(f"{self.id}_{k:04d}" for k in range(count))

    @property
    def labels_stem(self) -> str:
        """Stem of the warped labels."""
        return f"{self.id}_labels"

    @property
    def field_stem(self) -> str:
        """Stem of the displacement field."""
        return f"{self.id}_field"

    @property
    def stems(self) -> tuple[str, ...]:
        """All stems that may be written."""
        return (*self.image_stems, self.labels_stem, self.field_stem)


def find_pairs(
    *, moving: Path | None, fixed: Path | None, all_pairs: Path | None, pairs: Path | None, channels: int
) -> list[ScanPair]:
    """Return the pairs that the paths mean.

    Parameters
    ----------
    moving, fixed : Path, optional
        A scan or a folder of scans, and one scan. With ``pairs``: where its ids are looked up; both in ``moving`` when
        ``fixed`` is left out.
    all_pairs : Path, optional
        A folder of scans: every ordered pair of it.
    pairs : Path, optional
        CSV file of pairs.
    channels : int
        Of each scan.

    Raises
    ------
    UsageError
        For a combination that means nothing, a path that does not exist, or a scan to be registered to itself.
    DataError
        If listed scans are missing or two pairs have one name.
    """
    if all_pairs is not None:
        if moving is not None or fixed is not None or pairs is not None:
            raise UsageError("--all-pairs takes no --moving, --fixed or --pairs", mend="give the folder alone")
        scans = find_scans(all_pairs, channels=channels)
        found = [ScanPair(a, b) for b in scans for a in scans if a is not b]
        if not found:
            raise UsageError(f"--all-pairs {all_pairs}: holds a single scan", mend="two at least make a pair")
    elif pairs is not None:
        found = _listed(pairs, moving, fixed, channels)
    elif moving is None or fixed is None:
        raise UsageError("nothing to register", mend="give --moving and --fixed, --all-pairs FOLDER, or --pairs FILE")
    else:
        targets = find_scans(fixed, channels=channels)
        if len(targets) > 1:
            mend = "give one scan; --pairs FILE for several, --all-pairs FOLDER for every pair of a folder"
            raise UsageError(f"--fixed {fixed}: holds {len(targets)} scans", mend=mend)
        scans = find_scans(moving, channels=channels)
        found = [ScanPair(a, targets[0]) for a in scans if not _same(a, targets[0])]
        if not found:
            raise UsageError(f"--moving {moving}: is the fixed scan itself", mend="give two scans")
    twice = [stem for stem, count in Counter(stem for pair in found for stem in pair.stems).items() if count > 1]
    if twice:
        raise DataError(
            f"the results of several pairs would have the same name and replace one another: {', '.join(twice[:3])}",
            mend="rename scans, or register the pairs into different folders",
        )
    return found


def scan_channels(place: Path) -> int:
    """Return how many channels the scans at ``place`` have, where no model tells: as their names number them, or 1.

    A single file ``ID_0000`` counts as one channel, whatever lies beside it.
    """
    if not place.exists():
        raise UsageError(f"{place}: no such file or folder", mend="check the path")
    if not place.is_dir() or holds_dicom(place):
        return 1 if is_image_file(place) or place.is_dir() else len(load_dataset(place).channel_names)
    files = list_images(place)
    return count_channels(files) or 1 if files else len(load_dataset(place).channel_names)


def find_labels(place: Path | None, cases: Iterable[Case], *, option: str) -> dict[str, Path]:
    """Return the label file of each scan that has one at ``place``.

    Parameters
    ----------
    place : Path or None
        A label file, for a single scan; or a folder of label files named like the scans' ids.
    cases : iterable of Case
        The scans, with repetitions or without.
    option : str
        For messages: "--moving-labels".

    Raises
    ------
    UsageError
        If there is no such file or folder, or for one file and several scans.
    DataError
        If it has no label of any of the scans, or two scans have one id.
    """
    if place is None:
        return {}
    cases = list(cases)
    ids = sorted({case.id for case in cases})
    if not place.exists():
        raise UsageError(f"{option} {place}: no such file or folder", mend="check the path")
    if place.is_file():
        count = len({case.images for case in cases})
        if count > 1:
            raise UsageError(f"{option} {place}: one label file for {count} scans", mend="give a folder of labels")
        return {ids[0]: place}
    files = {(case.id, case.images) for case in cases}
    twice = sorted(case_id for case_id, count in Counter(name for name, _ in files).items() if count > 1)
    if twice:
        raise DataError(
            f"{option} {place}: several scans are called {twice[0]!r}, so it is unclear whose labels these are",
            mend="rename the scans, or register them in calls of their own",
        )
    problems: list[str] = []
    labels = by_stem(list_images(place), problems)
    raise_problems(place, problems, mend="keep one label file per scan")
    found = {case_id: labels[case_id] for case_id in ids if case_id in labels}
    if not found:
        shown = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
        raise DataError(f"{option} {place}: holds no label of {shown}", mend="a label is named like the id of its scan")
    return found


def _listed(table: Path, moving: Path | None, fixed: Path | None, channels: int) -> list[ScanPair]:
    """Return the pairs of a CSV file."""
    if not table.is_file():
        raise UsageError(f"--pairs {table}: no such file", mend="check the path")
    header, rows = read_rows(table)
    missing = {"moving", "fixed"} - set(header)
    if missing:
        raise DataError(
            f"{table}: the column {' and '.join(sorted(missing))} is missing", mend="the columns are moving and fixed"
        )
    pools = {
        "moving": {} if moving is None else {case.id: case for case in find_scans(moving, channels=channels)},
    }
    pools["fixed"] = (
        pools["moving"] if fixed is None else {case.id: case for case in find_scans(fixed, channels=channels)}
    )
    problems: list[str] = []
    found: list[ScanPair] = []
    for number, row in rows:
        fields = dict(zip(header, (value.strip() for value in row), strict=False))
        chosen = [
            _scan(fields.get(side, ""), pools[side], table, f"row {number}: {side}", problems, channels)
            for side in ("moving", "fixed")
        ]
        if chosen[0] is None or chosen[1] is None:
            continue
        if _same(chosen[0], chosen[1]):
            problems.append(f"row {number}: {chosen[0].id} is to be registered to itself")
            continue
        found.append(ScanPair(chosen[0], chosen[1]))
    if not rows:
        problems.append("lists no pairs")
    raise_problems(table, problems, mend="correct these rows: ids of scans (with --moving FOLDER), or files")
    return found


def _scan(
    text: str, pool: Mapping[str, Case], table: Path, where: str, problems: list[str], channels: int
) -> Case | None:
    if not text:
        problems.append(f"{where} is empty")
        return None
    if text in pool:
        return pool[text]
    if pool and not is_image_file(Path(text)):
        problems.append(f"{where} {text}: no such scan")
        return None
    path = parse_path(Path(os.path.abspath(table)).parent, text, where, problems)
    if path is None or not os.path.lexists(path):  # which parse_path has noted
        return None
    try:
        scans = find_scans(path, channels=channels)
    except DataError as error:
        problems.append(f"{where}: {error.message}")
        return None
    if len(scans) > 1:
        problems.append(f"{where} {text}: holds {len(scans)} scans")
        return None
    return scans[0]


def _same(first: Case, second: Case) -> bool:
    return [os.path.realpath(path) for path in first.images] == [os.path.realpath(path) for path in second.images]
