"""Items that are numbers in disguise: reading adds 1, work multiplies by 10, and what is written is kept in a list."""

from dataclasses import dataclass
from threading import Event
from typing import Any

import pytest

from fewscan.inference import pipeline
from fewscan.inference.outputs import Outcome
from fewscan.inference.pipeline import work_through


@dataclass(frozen=True)
class Number:
    """An item of work."""

    id: str
    value: int


ITEMS = [Number("a", 1), Number("b", 2), Number("c", 3), Number("d", 4)]


class Steps:
    """The three steps; ``trouble`` says what is raised in which step of which item."""

    def __init__(self, **trouble: BaseException) -> None:
        self.trouble, self.written = trouble, list[int]()

    def read(self, item: Number) -> int:
        self.meet("read", item)
        return item.value + 1

    def work(self, item: Number, value: int) -> int:
        self.meet("work", item)
        return 10 * value

    def write(self, item: Number, value: int) -> dict[str, Any]:
        self.meet("write", item)
        self.written.append(value)
        return {"id": item.id, "value": value}

    def meet(self, step: str, item: Number) -> None:
        if trouble := self.trouble.get(f"{step}_{item.id}"):
            raise trouble


def run(steps: Steps, outcome: Outcome) -> None:
    work_through(ITEMS, outcome, read=steps.read, work=steps.work, write=steps.write)


def test_every_item_is_read_worked_on_and_written_in_order() -> None:
    steps, outcome = Steps(), Outcome(len(ITEMS))
    run(steps, outcome)
    assert steps.written == [20, 30, 40, 50]
    assert outcome.done == [{"id": item.id, "value": 10 * item.value + 10} for item in ITEMS]
    assert outcome.ids == {"a", "b", "c", "d"}
    work_through([], outcome, read=steps.read, work=steps.work, write=steps.write)
    assert len(outcome.done) == 4


def test_what_fails_in_any_step_stops_none_of_the_others() -> None:
    steps = Steps(read_a=OSError("unreadable"), work_b=RuntimeError("no memory"), write_c=OSError("disk full"))
    outcome = Outcome(len(ITEMS))
    run(steps, outcome)
    assert [record["id"] for record in outcome.done] == ["d"]
    assert list(outcome.failures) == ["a", "b", "c"]
    assert "disk full" in outcome.failures["c"]
    assert outcome.ids == {"a", "b", "c", "d"}


def test_the_next_item_is_read_while_one_is_worked_on() -> None:
    steps, next_read = Steps(), Event()

    def read(item: Number) -> int:
        if item.id == "b":
            next_read.set()
        return item.value

    def work(item: Number, value: int) -> int:
        assert next_read.wait(30)
        return value

    outcome = Outcome(2)
    work_through(ITEMS[:2], outcome, read=read, work=work, write=steps.write)
    assert steps.written == [1, 2]


def test_what_is_written_is_told_when_the_work_is_stopped() -> None:
    steps, outcome = Steps(work_c=KeyboardInterrupt()), Outcome(len(ITEMS))
    with pytest.raises(KeyboardInterrupt):
        run(steps, outcome)
    assert steps.written == [20, 30]
    assert [record["id"] for record in outcome.done] == ["a", "b"]


def test_an_item_that_is_being_written_when_the_work_is_stopped_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing takes longer than working, so that most of the time is spent waiting for it."""

    def stopped(futures: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "wait", stopped)
    steps, outcome = Steps(), Outcome(len(ITEMS))
    with pytest.raises(KeyboardInterrupt):
        run(steps, outcome)
    assert steps.written == [20]
    assert [record["id"] for record in outcome.done] == ["a"]
