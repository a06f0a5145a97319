"""The newest entries in memory, as they were committed: who follows the log closely does not read the file."""

import threading
from collections import deque
from typing import NamedTuple

import pyarrow as pa

from islet.model.topics import Topic

MOST_BYTES = 8 * 1024 * 1024
"""Of one topic: some seconds of a million patients."""


class _Piece(NamedTuple):
    base: int
    batch: pa.RecordBatch
    size: int


class _Part:
    """Neighbouring pieces of one partition, the oldest first."""

    def __init__(self) -> None:
        self.pieces: deque[_Piece] = deque()
        self.size = 0
        self.end = 0


class Tail:
    """Entries never change, so what is here is what the file holds. Safe from any thread."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes` of each partition."""
        self._most_bytes = most_bytes
        self._parts: dict[tuple[Topic, int], _Part] = {}
        self._lock = threading.Lock()

    def add(self, topic: Topic, partition: int, base: int, batch: pa.RecordBatch, size: int) -> None:
        """Entries that are durable, in the log's order, of that size in bytes; after a gap (another process appended) it
        begins anew."""
        with self._lock:
            part = self._parts.get((topic, partition))
            if part is None:
                part = self._parts[topic, partition] = _Part()
            if base != part.end:
                part.pieces.clear()
                part.size = 0
            part.pieces.append(_Piece(base, batch, size))
            part.size += size
            part.end = base + batch.num_rows
            while part.size > self._most_bytes:
                part.size -= part.pieces.popleft().size

    def read(self, topic: Topic, partition: int, offset: int, max_rows: int) -> list[pa.RecordBatch]:
        """Entries from `offset` on, at most `max_rows`; empty when that one is not here."""
        with self._lock:
            part = self._parts.get((topic, partition))
            if part is None or offset >= part.end:
                return []
            found: list[_Piece] = []
            for piece in reversed(part.pieces):
                found.append(piece)
                if piece.base <= offset:
                    break
            else:
                return []
        return _cut(found[::-1], offset, max_rows)

    def forget(self, topic: Topic, partition: int) -> None:
        """Have nothing of that partition, because some of it has expired."""
        with self._lock:
            self._parts.pop((topic, partition), None)


def _cut(pieces: list[_Piece], offset: int, max_rows: int) -> list[pa.RecordBatch]:
    batches = []
    for piece in pieces:
        batch = piece.batch.slice(max(0, offset - piece.base), max_rows)
        batches.append(batch)
        max_rows -= batch.num_rows
        if max_rows <= 0:
            break
    return batches
