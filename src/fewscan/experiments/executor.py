"""Where cells run. `Executor` is the one seam: whatever can start a cell and tell whether it has ended.

`LocalExecutor` starts a process on this machine. On a cluster, either write an `Executor` of three short functions
(submit, poll, stop) around its scheduler, or let an array job run one cell per task:

    fewscan compare study.yaml --out STUDY --prepare-only            # once; lists the cells
    fewscan compare study.yaml --out STUDY --cell NAME               # one per task, in any order, as often as needed
    fewscan compare study.yaml --out STUDY --tables-only             # at any time
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fewscan.data.workers import available_workers
from fewscan.experiments.cells import Cell
from fewscan.experiments.state import LOG_FILE, State, cell_folder, note_failure, state_of
from fewscan.training.interrupt import StopRequest

POLL_SECONDS = 0.2
# the exit codes of fewscan itself (see fewscan.errors); after any other, nobody has written down what happened
KNOWN_EXITS = (0, 2, 3, 4)


class Job(Protocol):
    """A cell at work."""

    def poll(self) -> int | None:
        """Return the exit code, or None while the cell runs."""

    def stop(self) -> None:
        """Ask the cell to save and stop; it ends soon after."""

    def kill(self) -> None:
        """Stop the cell at once."""


class Executor(Protocol):
    """What starts cells."""

    def submit(self, cell: Cell) -> Job:
        """Start a cell and return at once."""


@dataclass(frozen=True)
class ProcessJob:
    """A cell in a process of this machine."""

    process: "subprocess.Popen[bytes]"

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self.process.poll()

    def stop(self) -> None:
        """Send what Ctrl-C sends; on Windows the console has already sent it to all processes."""
        if os.name == "posix":
            self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class LocalExecutor:
    """Runs each cell as ``fewscan compare --cell``, with an equal share of the processors.

    Attributes
    ----------
    study_file : Path
        The study as it stands in the study's folder.
    study_folder : Path
        Where the cells are.
    device : str
        Passed on.
    workers : int
        How many cells will run at once.
    """

    study_file: Path
    study_folder: Path
    device: str = "auto"
    workers: int = 1

    def submit(self, cell: Cell) -> ProcessJob:
        """Start the cell's process; what it prints goes into the cell's log."""
        folder = cell_folder(self.study_folder, cell)
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "fewscan", "compare", str(self.study_file), "--out", str(self.study_folder)]
        with (folder / LOG_FILE).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 (our own interpreter and arguments)
                [*command, "--cell", cell.name, "--device", self.device],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self._threads(),
                # Ctrl-C reaches this process alone, which then asks each worker once to save and stop
                start_new_session=True,
            )
        return ProcessJob(process)

    def _threads(self) -> dict[str, str]:
        if self.workers == 1:
            return {}
        share = str(max(1, available_workers() // self.workers))
        return {name: share for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name not in os.environ}


@dataclass
class Queue:
    """Runs cells, several at once, until all have ended or the user stops them.

    Attributes
    ----------
    executor : Executor
        Starts them.
    study_folder : Path
        Where the cells are.
    workers : int
        How many run at once.
    on_end : callable
        Called with each cell that has ended and its state.
    sleep : callable
        Waits between two looks at the jobs.
    """

    executor: Executor
    study_folder: Path
    workers: int
    on_end: Callable[[Cell, State], None]
    sleep: Callable[[float], None]
    running: list[tuple[Cell, Job]] = field(default_factory=list)
    stopping: bool = False

    def run(self, cells: Sequence[Cell], *, on_stop: Callable[[int], None]) -> None:
        """Run the cells in order, until all have ended or the user stops them.

        Parameters
        ----------
        cells : sequence of Cell
            What to run.
        on_stop : callable
            Called with the number of running cells when the first Ctrl-C comes; a second one kills them.
        """
        todo = list(reversed(cells))
        with StopRequest() as stop:
            try:
                while self.running or (todo and not stop.requested):
                    while len(self.running) < self.workers and not stop.requested:
                        cell = self._next(todo)
                        if cell is None:
                            break
                        self.running.append((cell, self.executor.submit(cell)))
                    if stop.requested and not self.stopping:
                        self.stopping = True
                        on_stop(len(self.running))
                        for _, job in self.running:
                            job.stop()
                    self._collect()
                    if self.running:
                        self.sleep(POLL_SECONDS)
            except BaseException:
                for _, job in self.running:
                    job.kill()
                raise

    def _next(self, todo: list[Cell]) -> Cell | None:
        """Take the last cell whose training is not at work in another one."""
        at_work = {cell.name for cell, _ in self.running}
        ready = [place for place, cell in enumerate(todo) if cell.trained_in not in at_work]
        return todo.pop(ready[-1]) if ready else None

    def _collect(self) -> None:
        still = []
        for cell, job in self.running:
            code = job.poll()
            if code is None:
                still.append((cell, job))
                continue
            folder = cell_folder(self.study_folder, cell)
            # a cell that was asked to stop before its training could listen ends by the signal: no failure of its own
            sudden = code not in KNOWN_EXITS and not self.stopping
            if sudden and state_of(folder) not in (State.FINISHED, State.FAILED):
                note_failure(folder, _sudden_end(code, folder))
            self.on_end(cell, state_of(folder))
        self.running = still


def _sudden_end(code: int, folder: Path) -> str:
    if code == -9:
        return "its process was killed, probably because memory ran out; use fewer workers or smaller patches"
    return f"its process ended with code {code}; see {folder / LOG_FILE}"
