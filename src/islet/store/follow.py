"""Keeps a store up to date with the log."""

from operator import sub
from typing import Final

import structlog

from islet.log.base import CursorMove, Log, Slice
from islet.model.topics import STORED, Topic
from islet.store.base import Store

_log = structlog.get_logger("islet.store")
_NEVER_US: Final = 2**62


class Follower:
    """Reads every topic from where the store is, and applies what is new. A log that ends before that is not the one that
    the store knows: it was begun anew, or restored from an earlier copy, and is read from its begin."""

    def __init__(self, log: Log, store: Store) -> None:
        self._log, self._store = log, store
        self._seen = 0
        self._positions = self._applied()
        if any(max(map(sub, offsets, log.end(topic))) > 0 for topic, offsets in self._positions.items()):
            _log.warning("log_is_another", says="it ends before what the store has of it; it is read from its begin")
            store.reset(_NEVER_US)  # the cursors alone: what the store has of the other log stays
            self._positions = self._applied()

    def run_once(self, timeout_s: float) -> int:
        """Apply what is there, at most one slice a partition; wait for some up to `timeout_s` when there is nothing.

        How many entries were applied.
        """
        slices = self._unread()
        if not slices:
            self._seen = self._log.wait(self._seen, timeout_s)
            slices = self._unread()
        if not slices:
            return 0
        self._store.apply(slices)
        for one in slices:
            self._positions[one.topic][one.partition] = one.next_offset
        return sum(one.batch.num_rows for one in slices)

    def _applied(self) -> dict[Topic, list[int]]:
        return {topic: list(self._store.applied(topic, self._log.partitions)) for topic in STORED}

    def cursors(self) -> list[CursorMove]:
        """Where the store is, for the lag gauges."""
        return [
            CursorMove(consumer="store", topic=topic, partition=partition, offset=offset)
            for topic, offsets in self._positions.items()
            for partition, offset in enumerate(offsets)
        ]

    def _unread(self) -> list[Slice]:
        found = []
        for topic, offsets in self._positions.items():
            ends = self._log.end(topic)
            if all(offset >= end for offset, end in zip(offsets, ends, strict=True)):
                continue  # most topics, most of the time
            begin = self._log.begin(topic)
            for partition, offset in enumerate(offsets):
                one = self._log.read(topic, partition, max(offset, begin[partition]))
                if one is not None:
                    found.append(one)
        return found
