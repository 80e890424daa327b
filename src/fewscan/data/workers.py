"""Work on many cases with several processes, so that one bad case stops no other.

Processes are spawned (the only way that works on every system, and beside threads), so functions and arguments must be
picklable. With one worker everything runs in this process.
"""

import math
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from fewscan.data.itk import simpleitk
from fewscan.errors import DataError, FewscanError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Given a description and a total, shows progress while its block runs; its ``advance`` counts (`fewscan.progress`).
ShowProgress = Callable[[str, int], AbstractContextManager[Any]]

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_workers() -> int:
    """Return how many processors this process may use: its affinity, and the quota of its container (cgroup v2)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _cgroup_quota(CPU_QUOTA)))


@contextmanager
def counting(progress: ShowProgress | None, description: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show progress while the block runs; yield what counts a case as done, by its id (nothing without progress)."""
    if progress is None:
        yield lambda case_id: None
        return
    with progress(description, total) as shown:
        yield lambda case_id: shown.advance(note=case_id)


def _cgroup_quota(path: Path) -> int:
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no container, or "max": no limit
        return 2**31


def map_cases(
    function: Callable[[Task], Result],
    tasks: Mapping[str, Task],
    *,
    workers: int,
    description: str = "",
    progress: ShowProgress | None = None,
    keeps: bool = True,
) -> dict[str, Result]:
    """Apply ``function`` to the task of every case; all cases are tried before any failure is reported.

    Parameters
    ----------
    function : callable
        A top-level function of one argument.
    tasks : mapping from case id to argument
        In the order of work.
    workers : int
        Processes; 1 works in this one.
    description : str
        What is done, for the progress.
    progress : ShowProgress, optional
        Counts the cases that are done, failed ones included.
    keeps : bool
        Whether what is done outlives a failure, so that another call does not repeat it; for the message.

    Returns
    -------
    dict
        Results by case id, in the order of ``tasks``.

    Raises
    ------
    UsageError
        For less than one worker.
    DataError
        One error that lists every case that failed, with its reason.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}", mend="leave it out to use all processors")
    results: dict[str, Result] = {}
    failures: dict[str, BaseException] = {}

    def finish(case_id: str, outcome: Callable[[], Result]) -> None:
        try:
            results[case_id] = outcome()
        except Exception as error:
            failures[case_id] = error
        count(case_id)

    with counting(progress, description, len(tasks)) as count:
        if min(workers, len(tasks)) <= 1:
            for case_id, task in tasks.items():
                finish(case_id, partial(function, task))
        else:
            suspects = _run_pool(function, tasks, workers=min(workers, len(tasks)), finish=finish)
            # A process died (killed for memory, most often) and took its pool along. Each case that may have been the
            # cause is tried once more on its own: with the memory to itself it may succeed; if not, its name is known.
            for case_id in suspects:
                if _run_pool(function, {case_id: tasks[case_id]}, workers=1, finish=finish):
                    finish(case_id, _killed)
    if failures:
        raise _summary(failures, total=len(tasks), keeps=keeps)
    return {case_id: results[case_id] for case_id in tasks}


def _run_pool(
    function: Callable[[Task], Result],
    tasks: Mapping[str, Task],
    *,
    workers: int,
    finish: Callable[[str, Callable[[], Result]], None],
) -> list[str]:
    """Run the tasks, with a new pool whenever one breaks; return the cases that were in work when one broke."""
    todo = deque(tasks.items())
    suspects: list[str] = []
    while todo:
        running: dict[Future[Result], str] = {}
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
            try:
                while todo or running:
                    # only as many in flight as there are workers, so that a dead one leaves few suspects
                    while todo and len(running) < workers:
                        running[pool.submit(function, todo[0][1])] = todo[0][0]
                        todo.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        if isinstance(error := future.exception(), BrokenProcessPool):
                            raise error
                        finish(running.pop(future), future.result)
            except BrokenProcessPool:
                suspects += running.values()
                if not running:  # not even the first task could be handed over
                    suspects.append(todo.popleft()[0])
    return suspects


def _one_thread() -> None:
    # the cases already fill the processors
    simpleitk().ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _killed() -> NoReturn:
    msg = "its worker process was killed, probably because memory ran out"
    raise DataError(msg, mend="use fewer workers, or a coarser spacing")


def reason_of(error: BaseException) -> str:
    """Return why a case failed and, where that is known, what to do about it, for a list of failures."""
    if isinstance(error, FewscanError):
        return f"{error.message} ({error.mend})" if error.mend else error.message
    return f"{type(error).__name__}: {error}"


def _summary(failures: Mapping[str, BaseException], *, total: int, keeps: bool) -> DataError:
    lines = []
    for case_id, error in failures.items():
        text = reason_of(error)
        lines.append(text if f"case {case_id}" in text else f"case {case_id}: {text}")
    msg = f"{len(failures)} of {total} cases failed:\n  " + "\n  ".join(lines)
    kept = "; finished cases are not repeated" if keeps else ""
    summary = DataError(msg, mend=f"mend or remove these cases and run again{kept}")
    summary.__cause__ = next(iter(failures.values()))
    return summary
