"""prepare_store: from a data set and a plan to a folder of prepared arrays.

Safe against everything that happens to long jobs: finished cases are skipped on the next call (their keys say so),
every array is written atomically, the old arrays stay until the new index is in place, a lock keeps a second process
out, and a bad case does not stop the others. Labels are opened for the named cases alone.
"""

import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fewscan.data.case import Case, Dataset
from fewscan.data.grids import target_grid
from fewscan.data.orientation import turn_to
from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedCase, PreparedStore
from fewscan.data.scan_meta import ScanMeta
from fewscan.data.store_format import (
    CASE_FOLDER,
    CASES_NAME,
    INDEX_NAME,
    PLAN_NAME,
    CaseEntry,
    StoreIndex,
    case_files,
    case_folder,
    image_key,
    image_settings,
    label_key,
    label_settings,
    plan_digest,
    save_array,
    stamp,
)
from fewscan.data.workers import ShowProgress, map_cases
from fewscan.errors import DataError, FewscanError, UsageError
from fewscan.files import write_atomically
from fewscan.locking import folder_lock

__all__ = ["PreparedCase", "PreparedStore", "forecast_bytes", "prepare_store"]

MAX_FOREGROUND = 10_000


def prepare_store(
    dataset: Dataset,
    plan: Plan,
    out: Path,
    *,
    label_ids: Collection[str] | None = None,
    image_ids: Collection[str] | None = None,
    workers: int = 1,
    progress: ShowProgress | None = None,
) -> PreparedStore:
    """Prepare cases of ``dataset`` into the folder ``out``; what is there already and still right is kept.

    Cases and labels that an earlier call prepared under the same settings stay in the store as long as their files keep
    size and time, so that runs with different splits can share a store.

    Parameters
    ----------
    dataset : Dataset
        Where the files are.
    plan : Plan
        How to prepare them.
    out : Path
        A new or empty folder, or an earlier store.
    label_ids : collection of str, optional
        Cases whose labels may be opened; all that have one unless told.
    image_ids : collection of str, optional
        Cases to prepare; all unless told.
    workers : int
        Processes; 1 works in this one (see `fewscan.data.workers.available_workers`).
    progress : ShowProgress, optional
        Counts the cases that have to be prepared.

    Raises
    ------
    UsageError
        When ``out`` is in use by another process, holds other things, or its plan.yaml holds edits that ``plan`` lacks.
    DataError
        When the disk is too small, or cases failed; all of those are listed, and the others are not lost.
    """
    out = Path(out)
    cases = [case for case in dataset if image_ids is None or case.id in image_ids]
    if not cases:
        raise UsageError(f"data set {dataset.name!r}: no case to prepare", mend="choose at least one case")
    labelled = {case.id for case in cases if case.label and (label_ids is None or case.id in label_ids)}
    with folder_lock(out, purpose="preparation"):
        before = _open_or_begin(out, dataset, plan)
        tasks = {case.id: _Task(case, plan, case_folder(out, case.id), case.id in labelled) for case in cases}
        done = {case_id: entry for case_id, task in tasks.items() if (entry := task.finished()) is not None}
        todo = {case_id: task for case_id, task in tasks.items() if case_id not in done}
        _require_space(out, sum(forecast_bytes(task.case, plan, label=task.label) for task in todo.values()))
        done |= map_cases(prepare_case, todo, workers=workers, description="prepare", progress=progress)
        entries = _kept_entries(before, dataset, plan)
        for case_id, task in tasks.items():
            entries[case_id] = _with_kept_label(done[case_id], task, before, plan)
        plan.write(out / PLAN_NAME)
        _index(dataset, plan, complete=True, cases=dict(sorted(entries.items()))).save(out)
        _clean(out, entries)
    return PreparedStore(out)


def forecast_bytes(case: Case, plan: Plan, *, label: bool) -> int:
    """Return how much disk a case takes at most (cropping can only make it smaller); 0 for an unreadable header."""
    from fewscan.data.image_io import channel_volumes, read_geometry

    try:
        geometry = read_geometry(case.images[0], volume=channel_volumes(case.images)[0])
        turned = turn_to(geometry, plan.orientation).geometry(geometry)
        size = target_grid(turned, plan.preparation.spacing_mm).size
    except (FewscanError, OSError, ValueError):
        return 0  # preparing it tells what is wrong
    voxels = int(np.prod(size))
    foreground = min(voxels, MAX_FOREGROUND * (plan.class_count - 1)) * (1 + len(size)) * 4
    return 4 * len(plan.channels) * voxels + (voxels + foreground if label else 0)


@dataclass(frozen=True)
class _Task:
    """A case to prepare; picklable, because worker processes receive it."""

    case: Case
    plan: Plan
    folder: Path
    label: bool

    def entry(self) -> CaseEntry:
        """Read the input files and return the index entry that belongs to them."""
        image, label = image_key(self.case, self.plan), None
        path = self.case.label if self.label else None
        if path is not None:
            label = label_key(path, self.plan, image=image)
        return CaseEntry(
            group=self.case.group,
            part=self.case.part,
            image_key=image,
            label_key=label,
            image_stamp=stamp(self.case.images),
            label_stamp=None if path is None else stamp([path]),
        )

    def finished(self) -> CaseEntry | None:
        """Return the entry if all files of the case exist under the keys of its present input."""
        try:
            entry = self.entry()
        except OSError:
            return None  # preparing it tells what is wrong
        files = case_files(self.folder, image_key=entry.image_key, label_key=entry.label_key)
        return entry if all(path.is_file() for path in files.values()) else None


def prepare_case(task: _Task) -> CaseEntry:
    """Write the missing files of one case and return its index entry."""
    from fewscan.data.prepare import prepare_image, prepare_label

    entry, case, plan = task.entry(), task.case, task.plan
    files = case_files(task.folder, image_key=entry.image_key, label_key=entry.label_key)
    task.folder.mkdir(parents=True, exist_ok=True)
    if not (files["image"].is_file() and files["meta"].is_file()):
        scan = prepare_image(case.images, plan, case_id=case.id)
        save_array(files["image"], scan.image)
        write_atomically(files["meta"], scan.meta.to_json().encode())
    if "label" in files and case.label is not None and not files["label"].is_file():
        meta = ScanMeta.from_json(files["meta"].read_text(encoding="utf-8"))
        label = prepare_label(case.label, plan, meta)
        save_array(files["foreground"], foreground_voxels(label))
        save_array(files["label"], label)
    return entry


def foreground_voxels(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return up to 10 000 voxels of each foreground class as rows (class, voxel index), drawn without replacement.

    Patch sampling needs places, not all of them; the draw is the same every time.
    """
    rows = [np.empty((0, 1 + label.ndim), dtype=np.int32)]
    for index in np.unique(label[label > 0]):
        flat = np.flatnonzero(label == index)
        if len(flat) > MAX_FOREGROUND:
            flat = np.sort(np.random.default_rng(int(index)).choice(flat, MAX_FOREGROUND, replace=False))
        voxels = np.stack(np.unravel_index(flat, label.shape), axis=1)
        rows.append(np.insert(voxels, 0, index, axis=1).astype(np.int32))
    return np.concatenate(rows)


def _open_or_begin(out: Path, dataset: Dataset, plan: Plan) -> StoreIndex | None:
    """Return the index of an earlier preparation, after making sure that nothing of the user's is overwritten."""
    if not (out / INDEX_NAME).is_file():
        if others := sorted(path.name for path in out.iterdir() if not path.name.startswith(".")):
            msg = f"{out}: holds other things ({', '.join(others[:3])}), but no prepared store"
            raise UsageError(msg, mend="give a new or empty folder")
        _index(dataset, plan, complete=False, cases={}).save(out)
        plan.write(out / PLAN_NAME)
        return None
    try:
        before = StoreIndex.load(out)
    except FewscanError:
        return None  # damaged, or of another version: nothing in it is trusted
    path = out / PLAN_NAME
    there = Plan.read(path) if path.is_file() else plan
    if there != plan and plan_digest(there) != before.plan:
        msg = f"{path}: was edited by hand, and would be overwritten by another plan"
        raise UsageError(msg, mend=f"give --plan {path} to use it, or delete it to plan anew")
    return before


def _index(dataset: Dataset, plan: Plan, *, complete: bool, cases: dict[str, CaseEntry]) -> StoreIndex:
    return StoreIndex(
        name=dataset.name,
        complete=complete,
        image_settings=image_settings(plan),
        label_settings=label_settings(plan),
        plan=plan_digest(plan),
        cases=cases,
    )


def _kept_entries(before: StoreIndex | None, dataset: Dataset, plan: Plan) -> dict[str, CaseEntry]:
    """Return the earlier entries that still hold, judged without opening a file of theirs."""
    if before is None or before.image_settings != image_settings(plan):
        return {}
    kept = {}
    for case in dataset:
        entry = before.cases.get(case.id)
        if entry is not None and _untouched(case.images, entry.image_stamp):
            kept[case.id] = _drop_stale_label(entry, case, before, plan)
    return kept


def _with_kept_label(entry: CaseEntry, task: _Task, before: StoreIndex | None, plan: Plan) -> CaseEntry:
    """Take over the label of an earlier call for a case whose label this call may not open."""
    earlier = before.cases.get(task.case.id) if before is not None else None
    if task.label or before is None or earlier is None or earlier.image_key != entry.image_key:
        return entry
    old = _drop_stale_label(earlier, task.case, before, plan)
    return entry.model_copy(update={"label_key": old.label_key, "label_stamp": old.label_stamp})


def _drop_stale_label(entry: CaseEntry, case: Case, before: StoreIndex, plan: Plan) -> CaseEntry:
    same_settings = before.label_settings == label_settings(plan)
    if same_settings and case.label is not None and _untouched([case.label], entry.label_stamp):
        return entry
    return entry.model_copy(update={"label_key": None, "label_stamp": None})


def _untouched(paths: Sequence[Path], expected: str | None) -> bool:
    try:
        return expected is not None and stamp(paths) == expected
    except OSError:
        return False


def _require_space(out: Path, needed: int) -> None:
    free = shutil.disk_usage(out).free
    if needed > free:
        msg = f"{out}: preparation needs up to {needed / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB left"
        raise DataError(msg, mend="make room, choose another disk, or prepare at a coarser spacing")


def _clean(out: Path, entries: dict[str, CaseEntry]) -> None:
    """Delete what no entry refers to: arrays under old keys, left-over temporary files, cases that are gone."""
    wanted = {
        path
        for case_id, entry in entries.items()
        for path in case_files(case_folder(out, case_id), image_key=entry.image_key, label_key=entry.label_key).values()
    }
    for folder in (out / CASES_NAME).iterdir():
        if folder.is_symlink() or not (folder.is_dir() and CASE_FOLDER.fullmatch(folder.name)):
            continue  # not ours
        for path in folder.iterdir():
            if path not in wanted:
                # a file that another system still holds open stays until the next preparation
                with suppress(OSError):
                    path.unlink()
        with suppress(OSError):
            folder.rmdir()  # only succeeds when empty
