"""What a prepared store looks like on disk.

    STORE/plan.yaml                               the plan; a person may edit it and prepare again
    STORE/store.json                              the index: settings, and one entry per case
    STORE/cases/<name>-<8 hex>/image.<key>.npy    float32 (channels, *axes)
    STORE/cases/<name>-<8 hex>/image.<key>.json   ScanMeta; written after the array, so it vouches for it
    STORE/cases/<name>-<8 hex>/foreground.<key>.npy  int32 (n, 1 + axes): class, then voxel index
    STORE/cases/<name>-<8 hex>/label.<key>.npy    uint8 (*axes); written last

A key is the start of a SHA-256 over everything that the file depends on: content of the input files, preparation
settings, format version. So a file that exists under its key is right, whatever happened before.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.case import Case, Part
from fewscan.data.image_files import files_of
from fewscan.data.plan import Plan
from fewscan.errors import DataError
from fewscan.files import atomic_file, write_json
from fewscan.settings import Settings

FORMAT_VERSION = 1
INDEX_NAME = "store.json"
PLAN_NAME = "plan.yaml"
CASES_NAME = "cases"
KEY_LENGTH = 12
CASE_FOLDER = re.compile(r"[A-Za-z0-9._-]*-[0-9a-f]{8}")


class CaseEntry(Settings):
    """One case of the index.

    Attributes
    ----------
    group, part : str or None, Part or None
        As in `fewscan.data.case.Case`.
    image_key, label_key : str, str or None
        Keys of the files; no label key where no label was prepared.
    image_stamp, label_stamp : str, str or None
        Names, sizes and times of the input files, see `stamp`.
    """

    group: str | None = None
    part: Part | None = None
    image_key: str
    label_key: str | None = None
    image_stamp: str
    label_stamp: str | None = None


class StoreIndex(Settings):
    """The content of store.json.

    Attributes
    ----------
    name : str
        The data set's.
    format_version : int
        `FORMAT_VERSION` of the writer.
    complete : bool
        False until the first preparation has ended.
    image_settings, label_settings : str
        Digests of the settings behind the arrays; a plan.yaml that was edited since does not match them.
    plan : str
        Digest of plan.yaml as it was written, to notice an edit.
    cases : mapping from case id to CaseEntry
        Sorted by id.
    """

    name: str
    format_version: int = FORMAT_VERSION
    complete: bool
    image_settings: str
    label_settings: str
    plan: str
    cases: dict[str, CaseEntry]

    @classmethod
    def load(cls, store: Path) -> "StoreIndex":
        """Read the index of a store; `DataError` where there is none, or one of another version."""
        path = store / INDEX_NAME
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            raise DataError(f"{store}: not a prepared store", mend="make one with `fewscan prepare`") from None
        except ValueError as error:
            raise DataError(f"{path}: damaged: {error}", mend="run `fewscan prepare` again") from None
        version = data.get("format_version") if isinstance(data, dict) else None
        if version != FORMAT_VERSION:
            msg = f"{store}: made by another version of fewscan (store format {version}, needed {FORMAT_VERSION})"
            raise DataError(msg, mend="run `fewscan prepare` again")
        return cls.parse(data, source=str(path))

    def save(self, store: Path) -> None:
        """Write store.json, atomically."""
        write_json(store / INDEX_NAME, self.model_dump(mode="json"))


def case_folder(store: Path, case_id: str) -> Path:
    """Return the folder of a case; it lies in the store whatever the id holds.

    The hash keeps ids apart that differ only in letter case, unicode form or in what had to be left out.
    """
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", case_id).lstrip(".")[:40]
    return store / CASES_NAME / f"{readable}-{hashlib.sha256(case_id.encode()).hexdigest()[:8]}"


def case_files(folder: Path, *, image_key: str, label_key: str | None) -> dict[str, Path]:
    """Return the files of a case by role, in the order in which they are written."""
    files = {"image": folder / f"image.{image_key}.npy", "meta": folder / f"image.{image_key}.json"}
    if label_key is not None:
        files["foreground"] = folder / f"foreground.{label_key}.npy"
        files["label"] = folder / f"label.{label_key}.npy"
    return files


def image_settings(plan: Plan) -> str:
    """Return a digest of what prepared images depend on beside their files."""
    parts = (FORMAT_VERSION, plan.preparation.model_dump(mode="json"), plan.image_dimensions, len(plan.channels))
    # images taken as they lie keep the keys that they had before there were orientations
    return _digest(*parts) if plan.orientation is None else _digest(*parts, plan.orientation)


def label_settings(plan: Plan) -> str:
    """Return a digest of what prepared labels depend on beside their files; names of classes do not count."""
    return _digest(FORMAT_VERSION, [sorted(item.values) for item in plan.classes])


def plan_digest(plan: Plan) -> str:
    """Return a digest of the whole plan."""
    return _digest(plan.model_dump(mode="json"))


def image_key(case: Case, plan: Plan) -> str:
    """Return the key of a case's prepared image; reads its files."""
    return _digest(image_settings(plan), [content_digest(path) for path in case.images])[:KEY_LENGTH]


def label_key(path: Path, plan: Plan, *, image: str) -> str:
    """Return the key of a prepared label; ``image`` is that of its image, which decides crop and grid."""
    return _digest(label_settings(plan), image, content_digest(path))[:KEY_LENGTH]


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of the files of an image that has several."""
    files = files_of(path)
    return _file_digest(path) if files == [path] else _digest(*[(item.name, _file_digest(item)) for item in files])


def stamp(paths: Sequence[Path]) -> str:
    """Return a digest of names, sizes and times of files: tells without opening them whether they were touched."""
    files = [file for path in paths for file in files_of(path)]
    facts = [(str(file), (info := file.stat()).st_size, info.st_mtime_ns) for file in files]
    return _digest(facts)


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as .npy so that a reader sees all of it or nothing, even after a power cut."""
    with atomic_file(path) as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
