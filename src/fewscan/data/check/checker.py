"""The orchestrator: every check on every case, several cases at a time; one broken case stops no other."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil

from fewscan.data.case import Case, Dataset
from fewscan.data.check.case_check import CaseFindings, check_case
from fewscan.data.check.dataset_level import check_findings, check_listing
from fewscan.data.check.problem import Source, sort_key
from fewscan.data.check.report import CheckReport
from fewscan.data.check.summary import summarise
from fewscan.data.layouts import load_dataset
from fewscan.data.workers import ShowProgress, available_workers, counting
from fewscan.errors import DataError


def check_path(root: Path | str, *, workers: int | None = None, progress: ShowProgress | None = None) -> CheckReport:
    """Check the data set in a folder or manifest; a layout that cannot be read is an error of the report.

    Parameters
    ----------
    root : Path or str
        As in `fewscan.data.layouts.load_dataset`.
    workers : int, optional
        Cases that are checked at a time; one per processor unless told.
    progress : ShowProgress, optional
        Counts the cases that are checked.

    Raises
    ------
    UsageError
        When nothing is there.
    """
    try:
        dataset = load_dataset(root)
    except DataError as error:
        folder = Path(os.path.abspath(root))
        problem = Source().error("layout", error.message, mend=error.mend)
        return CheckReport(root=folder, problems=(problem,), case_count=0)
    return check_dataset(dataset, workers=workers, progress=progress)


def check_dataset(dataset: Dataset, *, workers: int | None = None, progress: ShowProgress | None = None) -> CheckReport:
    """Check every case of a data set, test cases and their labels included; parameters as in `check_path`."""
    findings = _check_cases(dataset, workers=workers or available_workers(), progress=progress)
    problems = [*check_listing(dataset), *check_findings(dataset, findings)]
    problems += [problem for finding in findings for problem in finding.problems]
    return CheckReport(
        root=dataset.root if dataset.root.is_dir() else dataset.root.parent,
        problems=tuple(sorted(problems, key=sort_key)),
        case_count=len(dataset),
        summary=summarise(dataset, findings),
    )


def _check_cases(dataset: Dataset, *, workers: int, progress: ShowProgress | None) -> Sequence[CaseFindings]:
    """Check the cases in threads: ITK reads one file at a time, and beside it numpy and hashing run for the others."""
    check = partial(
        _check_guarded,
        declared_labels=frozenset(dataset.labels.values()),
        available_bytes=psutil.virtual_memory().available // workers,
    )
    findings = []
    with counting(progress, "check", len(dataset)) as count, ThreadPoolExecutor(workers) as pool:
        try:
            for finding in pool.map(check, dataset):
                findings.append(finding)
                count(finding.case.id)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C must not wait for the cases in the queue
            raise
    return findings


def _check_guarded(case: Case, *, declared_labels: frozenset[int], available_bytes: int) -> CaseFindings:
    try:
        return check_case(case, declared_labels=declared_labels, available_bytes=available_bytes)
    except Exception as error:  # whatever one case does, the others are checked
        message = f"the check itself failed: {type(error).__name__}: {error}"
        mend = "please report this, with the file if you may share it"
        return CaseFindings(case=case, problems=[Source(case_id=case.id).error("check-failed", message, mend=mend)])
