from contextlib import contextmanager

import pytest

from fewscan.errors import DataError, UsageError
from fewscan.training.first_process import first_process, locked_by_first


class Standing:
    """As much of a Fabric as is asked for; notes when the others wait."""

    def __init__(self, *, first, broken=False):
        self.is_global_zero, self.broken, self.events = first, broken, []

    @contextmanager
    def rank_zero_first(self):
        self.events.append("before")
        if self.broken:
            raise RuntimeError("connection closed by peer")
        yield
        self.events.append("after")


@pytest.mark.parametrize("first", [True, False])
def test_every_process_is_told_whether_it_is_the_first(tmp_path, first):
    fabric = Standing(first=first)
    with first_process(tmp_path, fabric) as told:
        fabric.events.append(told)
    assert fabric.events == ["before", first, "after"]


def test_the_others_say_that_the_first_stopped(tmp_path):
    with (
        pytest.raises(DataError, match="the first process stopped while it prepared"),
        first_process(tmp_path, Standing(first=False, broken=True)),
    ):
        pytest.fail("nothing is done then")


def test_what_goes_wrong_in_the_first_is_told_as_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="out of memory"), first_process(tmp_path, Standing(first=True)):
        raise RuntimeError("out of memory")


def test_the_lock_of_the_first_is_that_of_the_run(tmp_path):
    with locked_by_first(tmp_path, Standing(first=True)):
        assert (tmp_path / ".lock").is_file()
        with locked_by_first(tmp_path, Standing(first=False)):
            pass
        with pytest.raises(UsageError), locked_by_first(tmp_path, Standing(first=True)):
            pytest.fail("another run of the same folder")
    assert not (tmp_path / ".lock").exists()
