"""A store made anew from the log."""

from collections.abc import Callable
from typing import Final

from islet.log.base import Log
from islet.model.time import DAY_US
from islet.model.topics import STORED
from islet.store.base import Store

Progress = Callable[[int, int], None]
"""Told (entries done, entries in all) after each step."""

_NEVER_US: Final = 2**63 - 1
_SEGMENT_SPAN_US: Final = DAY_US
"""What expires together was received within a day, at most (`log/compaction.py`)."""


def rebuild(store: Store, log: Log, progress: Progress | None = None) -> None:
    """Forget what the log still has, and take all of it in again. What is older than the log stays.

    Nobody else may apply to the store meanwhile. Interrupted, it may be begun again; a reading that was forgotten
    and not yet taken in again comes with the log in any case.
    """
    places = [(topic, partition) for topic in STORED for partition in range(log.partitions)]
    begins = {topic: log.begin(topic) for topic in STORED}
    total = sum(sum(log.end(topic)) - sum(begins[topic]) for topic in STORED)
    done = 0
    store.reset(_kept_from_us(log))
    for topic, partition in places:
        offset = begins[topic][partition]
        while (one := log.read(topic, partition, offset)) is not None:
            store.apply([one])
            offset = one.next_offset
            done += one.batch.num_rows
            if progress is not None:
                progress(done, total)


def _kept_from_us(log: Log) -> int:
    """The instant from which on everything received is still in the log. Of one that never had anything, or not what the
    store has from before its first entry, the store has it from another log, which was lost."""
    firsts: list[int] = []
    bounds: list[int] = []
    emptied = False
    for topic in STORED:
        for partition, begin in enumerate(log.begin(topic)):
            first = log.read(topic, partition, begin, 1)
            if first is None:
                emptied = emptied or begin > 0
                continue
            received_us: int = first.batch.column("received_at_us")[0].as_py()
            firsts.append(received_us)
            if begin > 0:
                bounds.append(received_us)
    if not firsts:
        return log.newest_received_us() + 1 if emptied else _NEVER_US
    if emptied:
        bounds.append(min(firsts) + _SEGMENT_SPAN_US)
    return max(bounds, default=min(firsts))
