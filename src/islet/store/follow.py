"""Keeps a store up to date with the log."""

import structlog

from islet.log.base import CursorMove, Log, Slice
from islet.model.topics import STORED
from islet.store.base import Store

_log = structlog.get_logger("islet.store")


class Follower:
    """Reads every topic from where the store is, and applies what is new. Where the log ends before that, it is another
    one (of an older backup, or new), and its next entries are new."""

    def __init__(self, log: Log, store: Store) -> None:
        self._log, self._store = log, store
        another = [topic.value for topic in STORED if store.go_back(topic, log.end(topic))]
        if another:
            _log.warning("log_is_older_than_the_store", topics=another)
        self._seen = 0
        self._positions = {topic: list(store.applied(topic, log.partitions)) for topic in STORED}

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
