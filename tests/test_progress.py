"""Progress as plain lines, and the time left."""

import pytest

from fewscan import progress as module
from fewscan.progress import Progress, clock


@pytest.fixture
def now(monkeypatch):
    """Return a list whose one entry is the time in seconds."""
    time = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: time[0])
    return time


def test_the_time_left_is_that_of_the_pace_so_far(now):
    shown = Progress("training", 100, quiet=True)
    assert shown.line() == "training: 0/100"
    now[0] += 50
    shown.advance(25, note="loss 1.0")
    assert shown.line() == "training: 25/100, 2:30 left  loss 1.0"


def test_what_an_earlier_process_did_says_nothing_of_the_pace(now):
    shown = Progress("training", 10_000, quiet=True)
    now[0] += 7  # reading the checkpoint
    shown.go_on_from(5000)
    assert shown.line() == "training: 5000/10000"
    now[0] += 10
    shown.advance(10)
    assert shown.line() == "training: 5010/10000, 1:23:10 left"


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0:00"), (59.6, "1:00"), (3725, "1:02:05")])
def test_clock(seconds, shown):
    assert clock(seconds) == shown
