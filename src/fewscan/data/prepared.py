"""PreparedStore and PreparedCase: reading prepared arrays, memory-mapped.

Neither SimpleITK nor nibabel is imported, so that a machine which only trains needs none of them.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.case import Part
from fewscan.data.plan import Plan
from fewscan.data.scan_meta import ScanMeta
from fewscan.data.store_format import (
    PLAN_NAME,
    CaseEntry,
    StoreIndex,
    case_files,
    case_folder,
    image_settings,
    label_settings,
)
from fewscan.errors import DataError, UsageError

_AGAIN = "run `fewscan prepare` again"


class PreparedCase:
    """One case of a store; its arrays are opened when asked for.

    Parameters
    ----------
    store : Path
        The store's folder.
    case_id : str
        The case.
    entry : CaseEntry
        From the store's index.
    """

    def __init__(self, store: Path, case_id: str, entry: CaseEntry) -> None:
        self.id = case_id
        self.group: str | None = entry.group
        self.part: Part | None = entry.part
        self.has_label = entry.label_key is not None
        # what image and label were made from, and how
        self.keys: tuple[str, str | None] = (entry.image_key, entry.label_key)
        folder = case_folder(store, case_id)
        self._files = case_files(folder, image_key=entry.image_key, label_key=entry.label_key)

    @cached_property
    def meta(self) -> ScanMeta:
        """Grids and background of the scan."""
        try:
            return ScanMeta.from_json(self._files["meta"].read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            msg = f"case {self.id}: {self._files['meta']} is missing or damaged ({type(error).__name__})"
            raise DataError(msg, mend=_AGAIN) from None

    @property
    def background(self) -> tuple[float, ...]:
        """Per channel, the value to pad with."""
        return self.meta.background

    def image(self) -> npt.NDArray[np.float32]:
        """Return the (channels, *axes) float32 array, memory-mapped and read-only."""
        return self._open("image", shape=(len(self.background), *self.meta.prepared.size), dtype=np.float32)

    def label(self) -> npt.NDArray[np.uint8]:
        """Return the (*axes) uint8 class indices, memory-mapped and read-only; `DataError` without a label."""
        self._require_label()
        return self._open("label", shape=self.meta.prepared.size, dtype=np.uint8)

    def foreground(self) -> dict[int, npt.NDArray[np.int32]]:
        """Return voxel indices (n, axes), at most 10 000, by foreground class; a class that is absent has no key."""
        self._require_label()
        rows = self._open("foreground", shape=None, dtype=np.int32)
        return {int(index): np.array(rows[rows[:, 0] == index, 1:]) for index in np.unique(rows[:, 0])}

    def _require_label(self) -> None:
        if not self.has_label:
            raise DataError(f"case {self.id}: no label was prepared", mend="prepare it with its label")

    def _open(self, role: str, *, shape: tuple[int, ...] | None, dtype: Any) -> npt.NDArray[Any]:
        path = self._files[role]
        try:
            array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            msg = f"case {self.id}: {path} is missing or damaged ({type(error).__name__})"
            raise DataError(msg, mend=_AGAIN) from None
        if array.dtype != dtype or (shape is not None and array.shape != shape):
            msg = f"case {self.id}: {path} holds {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}"
            raise DataError(msg, mend=_AGAIN)
        return array


class PreparedStore:
    """The prepared cases of one data set.

    Parameters
    ----------
    path : Path
        The folder that `fewscan.data.store.prepare_store` wrote.

    Raises
    ------
    DataError
        When the folder is no store, its preparation never ended, or plan.yaml was changed in a way that the arrays do
        not follow yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._index = StoreIndex.load(self.path)
        if not self._index.complete:
            raise DataError(f"{self.path}: its preparation was interrupted", mend=f"{_AGAIN}; finished cases are kept")
        self.plan = Plan.read(self.path / PLAN_NAME)
        if (image_settings(self.plan), label_settings(self.plan)) != (
            self._index.image_settings,
            self._index.label_settings,
        ):
            msg = f"{self.path / PLAN_NAME}: was edited since; the prepared arrays follow the plan before that"
            raise DataError(msg, mend=f"run `fewscan prepare DATA --out {self.path} --plan {self.path / PLAN_NAME}`")

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all prepared cases, sorted."""
        return tuple(sorted(self._index.cases))

    def __len__(self) -> int:
        return len(self._index.cases)

    def case(self, case_id: str) -> PreparedCase:
        """Return one case; `UsageError` for an id that is not in the store."""
        if case_id not in self._index.cases:
            raise UsageError(f"{self.path}: has no case {case_id!r}", mend="prepare it, or correct the id")
        return PreparedCase(self.path, case_id, self._index.cases[case_id])
