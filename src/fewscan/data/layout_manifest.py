"""CSV manifest: one row per scan, columns ``id``, ``image``, and where wanted ``label``, ``part`` and ``group``.

Every column whose name begins with ``image`` is a channel (``image,image2`` or ``image_t1,image_t2``), in the order of
the header. Commas, semicolons and tabs, a byte-order mark, any line ends and blank lines are understood. ``part`` is
labelled, unlabelled, validation, test or empty; ``group`` is the patient. Other columns (age, site) are left alone.

Relative paths start at the manifest's folder and may not leave it: a ``..`` is more often a moved manifest than meant,
and in a manifest from elsewhere it could name any file. Absolute paths are taken as they are: they cannot be written by
accident, and scans on another disk need them.
"""

import csv
import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.layout_files import inside, is_file_name, raise_problems
from fewscan.errors import DataError

_FIXED = ("id", "label", "part", "group")
_IMAGE = re.compile(r"image[\s_]*(?P<name>.*)")
_SPELLINGS = {"labeled": Part.LABELLED, "unlabeled": Part.UNLABELLED, **{part.value: part for part in Part}}


def load_manifest(path: Path) -> Dataset:
    """Read a CSV manifest.

    Raises
    ------
    DataError
        With every wrong row and its number, counted as in a text editor.
    """
    header, rows = read_rows(path)
    images = [name for name in header if _IMAGE.fullmatch(name)]
    _check_header(path, header, images)
    problems: list[str] = []
    cases = []
    first_row: dict[str, int] = {}
    for number, row in rows:
        if len(row) > len(header):
            problems.append(f"row {number}: {len(row)} fields, the header has {len(header)}")
            continue
        fields = _fields(header, row)
        before = first_row.setdefault(fields.get("id", "").casefold(), number)
        if before != number:
            problems.append(f"row {number}: id {fields['id']!r} is already in row {before} (letter case aside)")
        case = _parse_row(path.parent, fields, images, number, problems)
        if case is not None:
            cases.append(case)
    problems.extend(_repeated_images(rows, header, images, path.parent))
    if not rows:
        problems.append("lists no scans")
    raise_problems(path, problems, mend="correct these rows")
    return Dataset(
        name=path.stem,
        root=path,
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channel_names=tuple(_channel_name(name) for name in images),
        layout="manifest",
    )


def read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the lower-case column names, and the other rows that are not blank with their line numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as UTF-8 text: {error}", mend="save it as CSV in UTF-8") from None
    lines = text.splitlines()
    head = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
    except csv.Error as error:
        mend = "look for a quotation mark that is not closed"
        raise DataError(f"{path}: not readable as CSV, line {reader.line_num}: {error}", mend=mend) from None
    if not rows:
        raise DataError(f"{path}: the file is empty", mend="write a header such as id,image,label and one row per scan")
    return [name.strip().lower() for name in rows[0][1]], rows[1:]


def _fields(header: list[str], row: list[str]) -> dict[str, str]:
    """Return the values of a row by column; a row that is too short lacks the last ones."""
    return dict(zip(header, (value.strip() for value in row), strict=False))


def _check_header(path: Path, header: list[str], images: list[str]) -> None:
    problems = []
    if "id" not in header:
        problems.append("the column id is missing")
    if not images:
        problems.append("the column image is missing")
    problems.extend(f"the column {name} is there twice" for name in sorted({n for n in header if header.count(n) > 1}))
    for name in header:
        # a misspelt "label" would silently make every scan unlabelled
        near = difflib.get_close_matches(name, _FIXED, n=1, cutoff=0.75)
        if near and near[0] not in header:
            problems.append(f"the column {name} looks like {near[0]!r} misspelt")
    raise_problems(path, problems, mend=f"the columns are id, image, label, part, group; found: {', '.join(header)}")


def _parse_row(
    folder: Path, fields: Mapping[str, str], images: list[str], number: int, problems: list[str]
) -> Case | None:
    before = len(problems)
    if not fields.get("id"):
        problems.append(f"row {number}: id is empty")
    elif not is_file_name(fields["id"]):
        problems.append(f"row {number}: id {fields['id']!r} cannot be used in a file name")
    paths = {name: parse_path(folder, fields.get(name, ""), f"row {number}: {name}", problems) for name in images}
    if not all(fields.get(name) for name in images):
        kind = "label without image" if fields.get("label") else "no image"
        empty = ", ".join(name for name in images if not fields.get(name))
        problems.append(f"row {number}: {kind} ({empty} is empty)")
    label = parse_path(folder, fields.get("label", ""), f"row {number}: label", problems)
    word = fields.get("part", "").lower()
    part = _SPELLINGS.get(word)
    if word and part is None:
        problems.append(f"row {number}: part {word!r} is none of {', '.join(Part)}")
    if part in (Part.LABELLED, Part.VALIDATION) and not fields.get("label"):
        problems.append(f"row {number}: part {word} needs a label")
    if len(problems) > before:
        return None
    channels = tuple(path for path in paths.values() if path is not None)
    return Case(id=fields["id"], images=channels, label=label, group=fields.get("group") or None, part=part)


def parse_path(folder: Path, name: str, where: str, problems: list[str]) -> Path | None:
    """Return the file that one field of a table names, None for an empty field; add what is wrong with it."""
    if not name:
        return None
    path = Path(name) if Path(name).is_absolute() else inside(folder, name)
    if path is None:
        problems.append(f"{where} {name} leaves the manifest's folder; write an absolute path if that is meant")
    elif not os.path.lexists(path):
        problems.append(f"{where} {name}: no such file")
    return path


def _repeated_images(
    rows: list[tuple[int, list[str]]], header: list[str], images: list[str], folder: Path
) -> list[str]:
    """Return a problem for each image file that is listed more than once."""
    first: dict[str, int] = {}
    problems = []
    for number, row in rows:
        fields = _fields(header, row)
        for name in images:
            if not fields.get(name):
                continue
            key = os.path.realpath(folder / fields[name])
            if key in first:
                problems.append(f"row {number}: image {fields[name]} is already in row {first[key]}")
            first.setdefault(key, number)
    return problems


def _channel_name(column: str) -> str:
    match = _IMAGE.fullmatch(column)
    name = match["name"] if match else ""
    return name if name and not name.isdigit() else column
