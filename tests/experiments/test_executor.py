"""The queue, with jobs that need no process."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from fewscan.experiments.executor import LocalExecutor, ProcessJob, Queue
from fewscan.experiments.state import FAILURE_FILE, State, cell_folder, failure_text, note_failure


class FakeJob:
    """Ends with ``code`` when it has been looked at often enough."""

    def __init__(self, code, looks=2, on_end=lambda: None):
        self.code, self.looks, self.on_end, self.stopped, self.killed = code, looks, on_end, 0, 0

    def poll(self):
        self.looks -= 1
        if self.looks > 0 and not self.stopped:
            return None
        self.on_end()
        return 4 if self.stopped else self.code

    def stop(self):
        self.stopped += 1

    def kill(self):
        self.killed += 1


class FakeExecutor:
    def __init__(self, make):
        self.make, self.jobs = make, {}

    def submit(self, cell):
        self.jobs[cell.name] = self.make(cell)
        return self.jobs[cell.name]


def _run(cells, executor, folder, *, workers=1, sleep=lambda seconds: None):
    ended, stops = [], []
    queue = Queue(executor, folder, workers, lambda cell, state: ended.append((cell.name, state)), sleep)
    queue.run(cells, on_stop=stops.append)
    return ended, stops


def test_cells_run_in_order(cells, finish, tmp_path):
    executor = FakeExecutor(lambda cell: FakeJob(0, on_end=lambda: finish(tmp_path, cell, 0.5)))
    ended, _ = _run(cells[:3], executor, tmp_path)
    assert ended == [(cell.name, State.FINISHED) for cell in cells[:3]]


def test_as_many_at_once_as_there_are_workers(cells, finish, tmp_path):
    running, most = set(), []

    def make(cell):
        running.add(cell.name)
        most.append(len(running))
        return FakeJob(0, looks=3, on_end=lambda: running.discard(cell.name))

    _run(cells[:5], FakeExecutor(make), tmp_path, workers=2)
    assert max(most) == 2


@pytest.mark.parametrize(("code", "text"), [(-9, "memory ran out"), (1, "ended with code 1")])
def test_a_sudden_end_is_written_down_and_the_others_run(cells, finish, tmp_path, code, text):
    def make(cell):
        return FakeJob(code) if cell is cells[0] else FakeJob(0, on_end=lambda: finish(tmp_path, cell, 0.5))

    ended, _ = _run(cells[:2], FakeExecutor(make), tmp_path)
    assert [state for _, state in ended] == [State.FAILED, State.FINISHED]
    assert text in failure_text(cell_folder(tmp_path, cells[0]))


def test_what_the_cell_wrote_itself_stays(cells, tmp_path):
    folder = cell_folder(tmp_path, cells[0])
    job = FakeJob(1, on_end=lambda: note_failure(folder, "its own words"))
    _run(cells[:1], FakeExecutor(lambda cell: job), tmp_path)
    assert failure_text(folder) == "its own words"


def test_exit_codes_of_fewscan_are_no_sudden_end(cells, tmp_path):
    cell_folder(tmp_path, cells[0]).mkdir(parents=True)
    ended, _ = _run(cells[:1], FakeExecutor(lambda cell: FakeJob(2)), tmp_path)
    assert ended == [(cells[0].name, State.STARTED)]
    assert not (cell_folder(tmp_path, cells[0]) / FAILURE_FILE).exists()


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself")
def test_one_interrupt_asks_each_running_cell_once_and_starts_no_other(cells, tmp_path):
    executor = FakeExecutor(lambda cell: FakeJob(0, looks=100))
    sent = []

    def sleep(seconds):
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))

    ended, stops = _run(cells[:4], executor, tmp_path, workers=2, sleep=sleep)
    assert [job.stopped for job in executor.jobs.values()] == [1, 1]
    assert len(ended) == 2
    assert stops == [2]


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself")
@pytest.mark.parametrize("code", [-signal.SIGINT, 130])
def test_a_cell_that_the_interrupt_ended_is_no_failure(cells, tmp_path, code):
    cell_folder(tmp_path, cells[0]).mkdir(parents=True)
    job = FakeJob(code, looks=3)
    job.stop = lambda: None  # ends by the signal, as a process does that is not training yet

    def sleep(seconds):
        if job.looks == 2:
            os.kill(os.getpid(), signal.SIGINT)

    ended, stops = _run(cells[:1], FakeExecutor(lambda cell: job), tmp_path, sleep=sleep)
    assert stops == [1]
    assert ended == [(cells[0].name, State.STARTED)]


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself")
def test_a_second_interrupt_kills(cells, tmp_path):
    job = FakeJob(0, looks=100)
    job.stop = lambda: None  # does not listen

    def sleep(seconds):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        _run(cells[:1], FakeExecutor(lambda cell: job), tmp_path, sleep=sleep)
    assert job.killed == 1


def test_workers_share_the_processors(cells, tmp_path, monkeypatch):
    monkeypatch.setattr("fewscan.experiments.executor.available_workers", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: started.append((command, options)))
    LocalExecutor(tmp_path / "study.yaml", tmp_path, device="cpu", workers=3).submit(cells[0])
    (command, options) = started[0]
    assert command[0] == sys.executable
    assert command[-4:] == ["--cell", cells[0].name, "--device", "cpu"]
    # 8 processors for 3 workers; what the user has set stays
    assert options["env"]["OMP_NUM_THREADS"] == "2"
    assert options["env"]["MKL_NUM_THREADS"] == "1"
    assert LocalExecutor(tmp_path / "s", tmp_path)._threads() == {}


def test_process_job_stops_and_kills():
    for end, code in (("stop", -signal.SIGINT), ("kill", -9)):
        if os.name != "posix":
            pytest.skip("exit codes of signals")
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import signal, time; signal.signal(2, signal.SIG_DFL); print('on', flush=True); time.sleep(60)",
            ],
            stdout=subprocess.PIPE,
        )
        assert process.stdout.readline() == b"on\n"
        assert ProcessJob(process).poll() is None
        getattr(ProcessJob(process), end)()
        process.wait()
        process.stdout.close()
        assert ProcessJob(process).poll() == code


def test_a_cell_waits_for_the_training_that_it_shares(cells, finish, tmp_path):
    shared = [cells[0], replace(cells[1], trained_in=cells[0].name), cells[2]]
    running, seen = set(), []

    def make(cell):
        running.add(cell.name)
        seen.append((cell.name, frozenset(running)))

        def end():
            running.discard(cell.name)
            finish(tmp_path, cell, 0.5)

        return FakeJob(0, looks=3, on_end=end)

    ended, _ = _run(shared, FakeExecutor(make), tmp_path, workers=2)
    assert {name for name, _ in ended} == {cell.name for cell in shared}
    assert [name for name, _ in seen][:2] == [shared[0].name, shared[2].name]
    assert shared[0].name not in dict(seen)[shared[1].name]
