"""From what a user points at (a data set or a prepared store) to a split, a plan and prepared scans."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.case import Case, Dataset
from fewscan.data.draw import Choice
from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedStore
from fewscan.data.split import Split, make_split
from fewscan.errors import DataError, UsageError
from fewscan.progress import progress


class TrainingData:
    """The scans behind a run.

    Labels are opened for labelled and validation cases alone; test scans are not opened at all.

    Parameters
    ----------
    path : Path
        A data set in any layout, or a prepared store, which is used as it is.
    workers : int
        Processes that read and prepare scans.
    quiet : bool
        Show no progress.
    """

    def __init__(self, path: Path, *, workers: int = 1, quiet: bool = False) -> None:
        self.path, self.workers, self.quiet = path, workers, quiet
        self.show = partial(progress, quiet=quiet)
        self.store = PreparedStore(path) if is_store(path) else None
        if self.store is not None:
            self.dataset = dataset_of(self.store)
        else:
            from fewscan.data.layouts import load_dataset

            self.dataset = load_dataset(path)

    def split(
        self,
        *,
        labelled: Choice | None,
        validation: Choice | None,
        test: Choice | None,
        seed: int,
        needs_labels: bool = True,
    ) -> Split:
        """Draw the parts; see `fewscan.data.split.make_split`."""
        return make_split(
            self.dataset,
            labelled=labelled,
            validation=0 if validation is None else validation,
            test=test,
            seed=seed,
            needs_labels=needs_labels,
        )

    def first_channels(self, ids: Sequence[str]) -> Iterator[npt.NDArray[np.float32]]:
        """Give the first channel (*axes) of one scan after the other, as stored or, from a prepared store, as prepared.

        Other channels are not read; scans as stored are turned to the orientation of the first. Scans that cannot be
        read are passed over: preparing them tells all that is wrong.
        """
        if self.store is not None:
            yield from (self.store.case(case_id).image()[0] for case_id in ids)
            return
        from fewscan.data.orientation import orientation_of, turn_to
        from fewscan.data.prepare import read_channels

        cases = {case.id: case for case in self.dataset}
        orientation: str | None = None
        for case_id in ids:
            with suppress(DataError):
                (channel,), geometry = read_channels(cases[case_id].images[:1], case_id=case_id)
                orientation = orientation or orientation_of(geometry)
                yield turn_to(geometry, orientation).array(channel)

    def plan(
        self, split: Split, plan: Plan | None, planning: Mapping[str, Any] | None, *, needs_labels: bool = True
    ) -> Plan:
        """Return ``plan`` if given, else the plan that the training scans suggest, with the wishes of ``planning``.

        ``needs_labels=False`` accepts scans of which no label is known.
        """
        if self.store is not None:
            if plan is not None or planning:
                raise UsageError(
                    f"{self.store.path}: a prepared store has its plan already",
                    mend="Prepare anew, or leave the plan options out.",
                )
            return self.store.plan
        if plan is not None:
            return plan
        from fewscan.data.fingerprint import take_fingerprint
        from fewscan.data.planning import derive_plan

        labels, images = _ids(split)
        fingerprint = take_fingerprint(
            self.dataset, sorted(images), label_ids=sorted(labels), workers=self.workers, progress=self.show
        )
        return derive_plan(self.dataset, fingerprint, needs_labels=needs_labels, **(planning or {}))

    def prepare(self, split: Split, plan: Plan, place: Path) -> PreparedStore:
        """Prepare what training reads of the data set into ``place``; a prepared store is returned as it is."""
        if self.store is not None:
            return self.store
        from fewscan.data.store import prepare_store

        labels, images = _ids(split)
        return prepare_store(
            self.dataset,
            plan,
            place,
            label_ids=labels,
            image_ids=images,
            workers=self.workers,
            progress=self.show,
        )


def is_store(path: Path) -> bool:
    """Whether ``path`` is a prepared store rather than a data set."""
    return (path / "store.json").is_file()


def dataset_of(store: PreparedStore) -> Dataset:
    """Describe a store's cases as a data set, so that splits are drawn the same way from both.

    A case whose label was not prepared counts as unlabelled.
    """
    cases = []
    for case_id in store.ids:
        case = store.case(case_id)
        label = store.path if case.has_label else None
        cases.append(Case(id=case.id, images=(store.path,), label=label, group=case.group, part=case.part))
    return Dataset(name=store.plan.name, root=store.path, cases=tuple(cases), channel_names=store.plan.channels)


def _ids(split: Split) -> tuple[set[str], set[str]]:
    """Return the ids whose labels, and those whose images, training reads."""
    labels = {*split.labelled, *split.validation}
    return labels, {*labels, *split.unlabelled}
