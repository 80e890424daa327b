"""Soft masks on disk: float16, hashed, each file whole or absent, one folder per round.

    masks-0000.safetensors ...   the foreground probabilities (classes - 1, *size) of some scans, and their records
    masks.json                   round, records of all scans, seconds; written last, so it says that all are there

Which scans share a file does not depend on what a former process has written: a continued round makes the missing files
in the same batches as one that was never stopped, and therefore the same bits.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from torch import Tensor

from fewscan.data.boxes import cut
from fewscan.errors import DataError
from fewscan.files import write_json
from fewscan.recipes.mask_quality import MaskRecord
from fewscan.tensor_file import read_tensors, write_tensors

INDEX = "masks.json"


def shard_path(folder: Path, number: int) -> Path:
    """Return the file of one batch of scans."""
    return folder / f"masks-{number:04d}.safetensors"


def write_shard(
    path: Path,
    masks: Mapping[str, Tensor],
    records: Mapping[str, MaskRecord],
    *,
    round_number: int,
    seconds: float,
) -> None:
    """Write the masks (classes, *size) of some scans, their records, and the ``seconds`` that making them took.

    The background is what the other classes leave.
    """
    foreground = {case_id: mask[1:].to(torch.float16) for case_id, mask in masks.items()}
    described = {case_id: record.model_dump(mode="json") for case_id, record in records.items()}
    write_tensors(path, foreground, {"round": round_number, "records": described, "seconds": seconds})


def has_shard(path: Path, ids: Sequence[str], *, round_number: int) -> bool:
    """Tell whether the file is there, undamaged, and holds these scans of this round."""
    try:
        tensors, description = read_tensors(path)
    except DataError:
        return False
    return set(tensors) == set(ids) and description.get("round") == round_number


def finish_store(folder: Path, shards: Sequence[Sequence[str]], details: Mapping[str, Any], *, ranks: int = 1) -> None:
    """Write the index when all files of the round are there, also those that a process before this one wrote.

    Parameters
    ----------
    folder : Path
        Of the round.
    shards : sequence of sequence of str
        The ids in each file.
    details : mapping
        Plain data to keep beside: round, views.
    ranks : int
        Processes that shared the work, so that the round took the seconds of all files by their number.
    """
    described = [read_tensors(shard_path(folder, number))[1] for number in range(len(shards))]
    records = {case_id: record for each in described for case_id, record in each["records"].items()}
    seconds = round(sum(each["seconds"] for each in described) / ranks, 2)
    shown = {**details, "seconds": seconds, "shards": [list(ids) for ids in shards], "records": records}
    write_json(folder / INDEX, shown)


class MaskStore:
    """The finished masks of one round.

    Parameters
    ----------
    folder : Path
        With an index.

    Raises
    ------
    DataError
        If the round is not finished, or a file is damaged or of another round.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.details: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise DataError(f"{folder}: no finished pseudo-masks", mend="Continue the run with --resume.") from None
        self.round_number = int(self.details["round"])
        self._places: dict[str, Path] = {}
        for number, ids in enumerate(self.details["shards"]):
            path = shard_path(folder, number)
            if not has_shard(path, ids, round_number=self.round_number):
                raise DataError(
                    f"{path}: is missing, damaged or of another round",
                    mend=f"Delete {folder} and continue the run with --resume; the masks are made again.",
                )
            self._places |= dict.fromkeys(ids, path)

    @staticmethod
    def is_finished(folder: Path) -> bool:
        """Tell whether all masks of the round were written."""
        return (folder / INDEX).is_file()

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all scans, sorted."""
        return tuple(sorted(self._places))

    @cached_property
    def records(self) -> dict[str, MaskRecord]:
        """What is known about each mask."""
        found = self.details["records"]
        return {case_id: MaskRecord.parse(found[case_id], source=str(self.folder / INDEX)) for case_id in self.ids}

    def mask(self, case_id: str) -> npt.NDArray[np.float32]:
        """Return the class probabilities (classes, *size), background first, on the prepared grid of the scan.

        Raises
        ------
        DataError
            For a scan without a mask.
        """
        with safe_open(self._place(case_id), framework="np") as file:
            return _with_background(file.get_tensor(case_id))

    def cut(self, case_id: str, start: Sequence[int], size: Sequence[int]) -> npt.NDArray[np.float32]:
        """Return a box of the mask, plain background outside the scan; no more of it than that is read.

        Parameters
        ----------
        case_id : str
        start, size : sequence of int
            Of the box, in voxels; it may reach over the scan, but not lie outside.

        Raises
        ------
        DataError
            For a scan without a mask.
        """
        with safe_open(self._place(case_id), framework="np") as file:
            stored = file.get_slice(case_id)
            sides = zip(start, size, stored.get_shape()[1:], strict=True)
            inner = [slice(max(s, 0), min(s + b, n)) for s, b, n in sides]
            part = _with_background(stored[(slice(None), *inner)])
        background = np.eye(1, len(part), dtype=np.float32)[0]
        return cut(part, [s - i.start for s, i in zip(start, inner, strict=True)], size, background)

    def _place(self, case_id: str) -> Path:
        if case_id not in self._places:
            raise DataError(f"{self.folder}: has no mask of {case_id}")
        return self._places[case_id]


def _with_background(foreground: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    known = np.asarray(foreground, np.float32)
    # rounded to half precision, several classes may add up to a little more than 1
    return np.concatenate([np.maximum(1 - known.sum(0, keepdims=True), 0), known])
