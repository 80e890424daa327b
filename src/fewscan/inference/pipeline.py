"""Items one after the other: while one is worked on, the next is read and the last is written, each in its thread.

An item that fails stops none of the others. When the work is stopped, what was handed to the writer is still written
and told, so that files and record agree.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, Protocol, TypeVar

from fewscan.inference.outputs import Outcome


class Item(Protocol):
    """What has an id: a scan, a pair of scans."""

    @property
    def id(self) -> str:
        """For the record and for messages."""


ItemT = TypeVar("ItemT", bound=Item)
Read = TypeVar("Read")
Done = TypeVar("Done")


class _Writing(NamedTuple):
    """A finished item on its way to the disk, and what there will be to record about it."""

    item_id: str
    record: Future[dict[str, Any]]


def work_through(
    items: Iterable[ItemT],
    outcome: Outcome,
    *,
    read: Callable[[ItemT], Read],
    work: Callable[[ItemT, Read], Done],
    write: Callable[[ItemT, Done], dict[str, Any]],
) -> None:
    """Read, work on and write every item, in their order.

    Parameters
    ----------
    items : iterable
        What to do.
    outcome : Outcome
        Takes the records of what is done, and what has failed.
    read : callable
        From an item to what work needs of it; in a thread of its own.
    work : callable
        From an item and what was read of it to what is to be written.
    write : callable
        Writes that, in another thread, and returns the record of the item (see `Outcome.succeeded`).
    """
    waiting: _Writing | None = None
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        try:
            for item, coming in _read_ahead(items, read, reader):
                try:
                    done = work(item, coming.result())
                except Exception as error:  # of whatever kind (torch reports a full memory in many ways)
                    outcome.failed(item.id, error)
                    continue
                if waiting is not None:  # at most one finished item waits in memory
                    wait([waiting.record])  # a stop while it is being written leaves it waiting, to be told below
                    last, waiting = waiting, None
                    _finish(last, outcome)
                waiting = _Writing(item.id, writer.submit(write, item, done))
        finally:  # also when it is stopped: the files of this item are written, so they belong on record
            if waiting is not None:
                _finish(waiting, outcome)


def _read_ahead(
    items: Iterable[ItemT], read: Callable[[ItemT], Read], reader: ThreadPoolExecutor
) -> Iterator[tuple[ItemT, Future[Read]]]:
    """Give each item with what is read of it, while the reader already reads the next one."""
    ahead: tuple[ItemT, Future[Read]] | None = None
    for item in items:
        current = (item, reader.submit(read, item))
        if ahead is not None:
            yield ahead
        ahead = current
    if ahead is not None:
        yield ahead


def _finish(writing: _Writing, outcome: Outcome) -> None:
    try:
        record = writing.record.result()
    except Exception as error:
        outcome.failed(writing.item_id, error)
    else:
        outcome.succeeded(record)
