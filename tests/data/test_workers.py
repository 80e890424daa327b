import math
import os
import signal
from contextlib import contextmanager

import pytest

from fewscan.data import workers
from fewscan.data.workers import available_workers, map_cases
from fewscan.errors import DataError, UsageError


class Shown:
    """Stands in for `fewscan.progress.progress`."""

    def __init__(self):
        self.calls = []

    @contextmanager
    def __call__(self, description, total):
        self.calls.append((description, total))
        yield self

    def advance(self, n=1, *, note=""):
        self.calls.append(note)


@pytest.mark.parametrize("count", [1, 2])
def test_results_by_case_in_order(count):
    shown = Shown()
    result = map_cases(math.sqrt, {"b": 4, "a": 9, "c": 16}, workers=count, description="roots", progress=shown)
    assert list(result.items()) == [("b", 2), ("a", 3), ("c", 4)]
    assert shown.calls[0] == ("roots", 3)
    assert sorted(shown.calls[1:]) == ["a", "b", "c"]


def test_every_failure_is_listed_and_the_rest_is_done():
    done = []

    def work(number):
        if number == 1:
            raise DataError("case one: is torn", mend="sew it")
        if number == 2:
            raise OSError(28, "No space left on device")
        done.append(number)

    with pytest.raises(DataError) as error:
        map_cases(work, {"one": 1, "two": 2, "three": 3, "four": 4}, workers=1)
    assert done == [3, 4]
    assert error.value.message.splitlines() == [
        "2 of 4 cases failed:",
        "  case one: is torn (sew it)",
        "  case two: OSError: [Errno 28] No space left on device",
    ]
    assert isinstance(error.value.__cause__, DataError)


def test_failure_in_another_process_is_listed():
    with pytest.raises(DataError, match=r"1 of 3 cases failed:\n  case b: ValueError: math domain error"):
        map_cases(math.sqrt, {"a": 1, "b": -1, "c": 4}, workers=2)


def test_killed_worker_is_named_and_the_others_finish():
    shown = Shown()
    tasks = {"a": 0, "b": int(signal.SIGKILL), "c": 0, "d": 0}  # signal 0 does nothing
    with pytest.raises(
        DataError, match=r"1 of 4 cases failed:\n  case b: its worker process was killed.*fewer workers"
    ):
        map_cases(signal.raise_signal, tasks, workers=2, progress=shown)
    assert sorted(shown.calls[1:]) == ["a", "b", "c", "d"]


def test_ctrl_c_is_not_a_failure_of_a_case():
    def work(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_cases(work, {"a": 1}, workers=1)


def test_nothing_to_do():
    assert map_cases(math.sqrt, {}, workers=4) == {}


def test_no_worker_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        map_cases(math.sqrt, {"a": 1}, workers=0)


@pytest.mark.parametrize(
    ("content", "expected"), [("150000 100000", 2), ("20000 100000", 1), ("max 100000", 64), ("", 64), (None, 64)]
)
def test_container_quota(tmp_path, monkeypatch, content, expected):
    path = tmp_path / "cpu.max"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(workers, "CPU_QUOTA", path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert available_workers() == expected


def test_affinity_limits_the_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "CPU_QUOTA", tmp_path / "absent")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5}, raising=False)
    assert available_workers() == 2
