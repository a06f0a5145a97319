"""A log in memory, for tests and for looking at the contract in its shortest form."""

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from islet.errors import OffsetExpired
from islet.log.base import Commit, Companion, CursorMove, Slice
from islet.log.partitioning import Piece, joined, pieces, slices
from islet.model.topics import Topic


@dataclass(slots=True)
class _Segment:
    base: int
    batch: pa.RecordBatch
    newest_received_us: int


@dataclass(slots=True)
class _Part:
    """One partition of one topic; `end` outlives the segments."""

    segments: list[_Segment] = field(default_factory=list)
    end: int = 0

    @property
    def begin(self) -> int:
        return self.segments[0].base if self.segments else self.end


class MemoryLog:
    """Implements `islet.log.base.Log`; nothing survives the process."""

    def __init__(self, *, partitions: int = 1) -> None:
        self._partitions = partitions
        self._changed = threading.Condition()
        self._parts = {(topic, number): _Part() for topic in Topic for number in range(partitions)}
        self._cursors: dict[tuple[str, Topic, int], int] = {}
        self._states: dict[str, bytes] = {}
        self._newest_received_us = 0

    @property
    def partitions(self) -> int:
        return self._partitions

    def commit(self, commits: Sequence[Commit], companion: Companion | None = None) -> None:
        appended = list(pieces(commits, self._partitions))  # may raise, so it comes before any change
        with self._changed:
            ends = {at: part.end for at, part in self._parts.items()}
            more = companion.follow(slices(appended, ends)) if companion is not None else None
            if more is not None:
                commits = [*commits, more]
                appended += pieces([more], self._partitions)
            for piece in appended:
                self._append(piece)
            for commit in commits:
                for move in commit.cursors:
                    self._cursors[move.consumer, move.topic, move.partition] = move.offset
                for name, blob in commit.states.items():
                    self._put_state(name, blob)
            self._changed.notify_all()

    def _append(self, piece: Piece) -> None:
        part = self._parts[piece.topic, piece.partition]
        rows = piece.batch.num_rows
        part.segments.append(_Segment(part.end, piece.entries, piece.received_at_us))
        part.end += rows
        self._newest_received_us = max(self._newest_received_us, piece.received_at_us)

    def _put_state(self, name: str, blob: bytes | None) -> None:
        if blob is None:
            self._states.pop(name, None)
        else:
            self._states[name] = blob

    def read(self, topic: Topic, partition: int, offset: int, max_rows: int = 50_000) -> Slice | None:
        with self._changed:
            part = self._parts[topic, partition]
            if offset < part.begin:
                raise OffsetExpired(topic, partition, offset, part.begin)
            if offset >= part.end:
                return None
            first = bisect_right(part.segments, offset, key=lambda segment: segment.base) - 1
            segment = part.segments[first]
            batch = segment.batch.slice(offset - segment.base, max(1, max_rows))
        return Slice(topic=topic, partition=partition, offset=offset, batch=batch)

    def begin(self, topic: Topic) -> tuple[int, ...]:
        with self._changed:
            return tuple(self._parts[topic, number].begin for number in range(self._partitions))

    def end(self, topic: Topic) -> tuple[int, ...]:
        with self._changed:
            return tuple(self._parts[topic, number].end for number in range(self._partitions))

    def cursor(self, consumer: str, topic: Topic) -> tuple[int, ...]:
        with self._changed:
            return tuple(self._cursors.get((consumer, topic, number), 0) for number in range(self._partitions))

    def cursors(self) -> Sequence[CursorMove]:
        with self._changed:
            return [
                CursorMove(consumer=consumer, topic=topic, partition=partition, offset=offset)
                for (consumer, topic, partition), offset in sorted(self._cursors.items())
            ]

    def state(self, name: str) -> bytes | None:
        with self._changed:
            return self._states.get(name)

    def wait(self, seen: int, timeout_s: float) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._version() > seen, timeout_s)
            return self._version()

    def _version(self) -> int:
        return sum(part.end for part in self._parts.values())

    def expire(self, before_us: int) -> int:
        gone = 0
        with self._changed:
            for part in self._parts.values():
                while part.segments and part.segments[0].newest_received_us < before_us:
                    gone += part.segments.pop(0).batch.num_rows
        return gone

    def compact(self) -> int:
        rewritten = 0
        with self._changed:
            for part in self._parts.values():
                if len(part.segments) > 1:
                    batch = joined([segment.batch for segment in part.segments])
                    newest = max(segment.newest_received_us for segment in part.segments)
                    part.segments = [_Segment(part.begin, batch, newest)]
                    rewritten += batch.num_rows
        return rewritten

    def newest_received_us(self) -> int:
        with self._changed:
            return self._newest_received_us

    def close(self) -> None:
        """Nothing to release."""
