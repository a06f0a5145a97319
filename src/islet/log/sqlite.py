"""The embedded log: one encrypted SQLite file, segments of columnar blobs."""

import math
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any, Final

import apsw
import numpy as np
import pyarrow as pa

from islet.errors import LogDamaged, OffsetExpired, SettingError
from islet.log import compaction
from islet.log.base import Commit, Companion, CursorMove, Slice
from islet.log.checkpoints import Checkpoints
from islet.log.connection import Readers, open_database, plain_errors, transaction
from islet.log.partitioning import Piece, joined, pieces, slices, with_received
from islet.log.segment import Format, Rows, decode, encode
from islet.log.tail import MOST_BYTES, Tail
from islet.log.watch import SELDOM_S, Watch
from islet.model.topics import Topic

_LAYOUT: Final = 1
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segment (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL, partition INTEGER NOT NULL, base INTEGER NOT NULL, rows INTEGER NOT NULL,
    received_min_us INTEGER NOT NULL, received_max_us INTEGER NOT NULL,
    format INTEGER NOT NULL, blob BLOB NOT NULL,
    UNIQUE (topic, partition, base)
) STRICT;
CREATE TABLE IF NOT EXISTS extent (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, begin INTEGER NOT NULL, next INTEGER NOT NULL,
    newest_received_us INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursor (
    consumer TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, blob BLOB NOT NULL) STRICT;
"""
_GROW: Final = """
INSERT INTO extent VALUES (?1, ?2, 0, ?3, ?4) ON CONFLICT DO UPDATE
SET next = ?3, newest_received_us = max(newest_received_us, ?4)
"""
_FROM: Final = """
SELECT base, rows, received_min_us, format, CASE WHEN format <> 2 THEN blob END FROM segment
WHERE topic = ?1 AND partition = ?2 AND base >= coalesce(
    (SELECT max(base) FROM segment WHERE topic = ?1 AND partition = ?2 AND base <= ?3), 0)
ORDER BY base
"""
_BLOB: Final = "SELECT blob FROM segment WHERE topic = ? AND partition = ? AND base = ?"
_MOVE: Final = 'INSERT OR REPLACE INTO cursor (consumer, topic, partition, "offset") VALUES (?, ?, ?, ?)'
_TOPICS: Final = {topic.value: topic for topic in Topic}
_CACHED_SEGMENTS: Final = 8
_SLACK_PAGES: Final = 2_048  # 8 MB of free pages stay for the next commits


class SqliteLog:
    """Implements `islet.log.base.Log`; several processes may have the same file open."""

    def __init__(self, path: Path, key: bytes, *, partitions: int = 0, tail_bytes: int = MOST_BYTES) -> None:
        """Open the log at `path`, made with that many partitions where there is none; 0: as it is, a new one with 1.

        The newest `tail_bytes` of each topic that are appended here stay in memory for who follows closely.

        Raises KeyUnavailable for a wrong key, SettingError when it was made with another number of partitions.
        """
        self._path = path
        self._writing = threading.Lock()
        self._compacting = threading.Lock()
        self._decoded: dict[tuple[Topic, int, int, int], Rows] = {}  # by place; last used at the end
        self._decoding = threading.Lock()
        self._writer = open_database(path, key)
        self._checkpoints = Checkpoints(path, key, self._writer, self._writing)
        self._readers = Readers(path, key)
        self._watcher = open_database(path, key, synchronous="NORMAL")
        self._looking = threading.Lock()
        self._data_version = -1
        self._polled_at = -math.inf
        self._ends: dict[Topic, tuple[int, ...]] = {}
        self._watch = Watch(self._poll)
        try:
            self._partitions = self._make_tables(partitions)
        except BaseException:
            self.close()
            raise
        self._tail = Tail(tail_bytes // self._partitions)

    def _make_tables(self, wanted: int) -> int:
        """How many partitions there are."""
        with plain_errors(self._path.name), transaction(self._writer):
            self._writer.execute(_TABLES)
            self._writer.execute(
                "INSERT OR IGNORE INTO meta VALUES ('layout', ?), ('partitions', ?)", (_LAYOUT, wanted or 1)
            )
            made_with = dict(self._writer.execute("SELECT name, value FROM meta"))
        if made_with["layout"] != _LAYOUT:
            raise LogDamaged(f"{self._path.name}: layout {made_with['layout']} is not known to this version of Islet")
        partitions: int = made_with["partitions"]
        if wanted not in (0, partitions):
            raise SettingError(
                f"setting partitions: this log was made with {partitions}, which cannot change later; "
                f"got {wanted}. Set it back, or start a new log"
            )
        return partitions

    @property
    def partitions(self) -> int:
        return self._partitions

    def commit(self, commits: Sequence[Commit], companion: Companion | None = None) -> None:
        appended, encoded = self._encoded(commits)
        with self._writing, plain_errors(self._path.name):
            with transaction(self._writer):
                ends = self._ends_stored()
                placed = slices(appended, ends)
                self._put(commits, appended, placed, encoded)
                more = companion.follow(placed) if companion is not None else None
                if more is not None:
                    further, encoded = self._encoded([more])
                    behind = slices(further, ends)
                    self._put([more], further, behind, encoded)
                    appended, placed = appended + further, placed + behind
            for piece, one in zip(appended, placed, strict=True):
                self._tail.add(one.topic, one.partition, one.offset, one.batch, piece.size)
            self._reached(ends)
            self._watch.grown_to(sum(ends.values()))

    def _encoded(self, commits: Sequence[Commit]) -> tuple[list[Piece], list[tuple[Format, bytes]]]:
        appended = list(pieces(commits, self._partitions))
        return appended, [encode(piece.batch) for piece in appended]

    def _ends_stored(self) -> dict[tuple[Topic, int], int]:
        """Where the partitions end, as the transaction sees it."""
        rows = self._writer.execute("SELECT topic, partition, next FROM extent")
        return {(_TOPICS[topic], partition): end for topic, partition, end in rows}

    def _put(
        self,
        commits: Sequence[Commit],
        appended: Sequence[Piece],
        placed: Sequence[Slice],
        encoded: Sequence[tuple[Format, bytes]],
    ) -> None:
        """Write the segments, the cursors and the states of commits."""
        for piece, one, (format, packed) in zip(appended, placed, encoded, strict=True):
            rows, received = piece.batch.num_rows, piece.received_at_us
            at = (one.topic, one.partition)
            self._writer.execute(compaction.INSERT, (*at, one.offset, rows, received, received, format, packed))
            self._writer.execute(_GROW, (*at, one.next_offset, received))
        for commit in commits:
            moves = [(move.consumer, move.topic, move.partition, move.offset) for move in commit.cursors]
            self._writer.executemany(_MOVE, moves)
            for name, blob in commit.states.items():
                self._put_state(name, blob)

    def _reached(self, reached: Mapping[tuple[Topic, int], int]) -> None:
        """Note where the partitions end now: also what another process has appended and nobody has looked for yet."""
        with self._looking:
            ends = {topic: list(of_topic) for topic, of_topic in self._ends.items()}
            for (topic, partition), end in reached.items():
                of_topic = ends.setdefault(topic, [0] * self._partitions)
                of_topic[partition] = max(of_topic[partition], end)
            self._ends = {topic: tuple(of_topic) for topic, of_topic in ends.items()}

    def _put_state(self, name: str, blob: bytes | None) -> None:
        if blob is None:
            self._writer.execute("DELETE FROM state WHERE name = ?", (name,))
        else:
            self._writer.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, blob))

    def read(self, topic: Topic, partition: int, offset: int, max_rows: int = 50_000) -> Slice | None:
        wanted = max(1, max_rows)
        batches = self._tail.read(topic, partition, offset, wanted)
        if not batches and offset < self.end(topic)[partition]:  # most reads of who follows closely end before that
            batches = self._stored(topic, partition, offset, wanted)
        return Slice(topic=topic, partition=partition, offset=offset, batch=joined(batches)) if batches else None

    def _stored(self, topic: Topic, partition: int, offset: int, wanted: int) -> list[pa.RecordBatch]:
        """Entries from `offset` on, from the file; empty where there are none yet."""
        found: list[Rows] = []
        with closing(self._segments(topic, partition, offset)) as segments:
            for base, rows in segments:
                if not found and offset < base:
                    raise OffsetExpired(topic, partition, offset, base)
                part = _cut(rows, max(0, offset - base), wanted)
                if part.batch.num_rows:
                    found.append(part)
                wanted -= part.batch.num_rows
                if wanted <= 0:
                    break
        if not found:
            begin = self.begin(topic)[partition]
            if offset < begin:
                raise OffsetExpired(topic, partition, offset, begin)
            return []
        batch = joined([part.batch for part in found])
        received_at_us = np.concatenate([part.received_at_us for part in found])
        return [with_received(batch, received_at_us)]

    def _segments(self, topic: Topic, partition: int, offset: int) -> Generator[tuple[int, Rows], None, None]:
        """Base and rows of the segments from the one with `offset` on, all of one moment."""
        with self._readers.one() as reader, closing(reader.execute(_FROM, (topic, partition, offset))) as segments:
            for base, count, received_us, format, blob in segments:  # a sorted one's blob only if need be
                try:
                    if blob is None:
                        rows = self._sorted(reader, topic, partition, base, count)
                    else:
                        rows = decode(topic, format, blob, received_us, count)
                except ValueError as error:
                    where = f"{topic}/{partition}: the segment at offset {base}"
                    raise LogDamaged(f"{where} does not decode") from error
                yield base, rows

    def _sorted(self, reader: apsw.Connection, topic: Topic, partition: int, base: int, count: int) -> Rows:
        """A large segment; the last few stay decoded, because each is read in many slices."""
        place = (topic, partition, base, count)
        with self._decoding:
            rows = self._decoded.pop(place, None)
            if rows is None:
                blob = reader.execute(_BLOB, place[:3]).get
                rows = decode(topic, Format.SORTED, blob, 0, count)
            self._decoded[place] = rows
            if len(self._decoded) > _CACHED_SEGMENTS:
                del self._decoded[next(iter(self._decoded))]
            return rows

    def begin(self, topic: Topic) -> tuple[int, ...]:
        return self._by_partition("SELECT partition, begin FROM extent WHERE topic = ?", topic)

    def end(self, topic: Topic) -> tuple[int, ...]:
        if monotonic() - self._polled_at > SELDOM_S:  # our own commits are known without a look
            self._look()
        return self._ends.get(topic, (0,) * self._partitions)

    def cursor(self, consumer: str, topic: Topic) -> tuple[int, ...]:
        query = 'SELECT partition, "offset" FROM cursor WHERE consumer = ? AND topic = ?'
        return self._by_partition(query, consumer, topic)

    def _by_partition(self, query: str, *values: str) -> tuple[int, ...]:
        with self._readers.one() as reader:
            found = dict(reader.execute(query, values))
        return tuple(found.get(partition, 0) for partition in range(self._partitions))

    def cursors(self) -> Sequence[CursorMove]:
        with self._readers.one() as reader:
            rows: list[Any] = reader.execute('SELECT consumer, topic, partition, "offset" FROM cursor').fetchall()
        return [
            CursorMove(consumer=consumer, topic=Topic(topic), partition=partition, offset=offset)
            for consumer, topic, partition, offset in rows
        ]

    def state(self, name: str) -> bytes | None:
        with self._readers.one() as reader:
            blob: bytes | None = reader.execute("SELECT blob FROM state WHERE name = ?", (name,)).get
            return blob

    def wait(self, seen: int, timeout_s: float) -> int:
        return self._watch.wait(seen, timeout_s)

    def _look(self) -> int:
        """The version on the disk. Who follows the log asks often; the file is asked only when somebody has committed."""
        with self._looking, plain_errors(self._path.name):
            data_version = self._watcher.pragma("data_version")
            if data_version != self._data_version:
                ends: dict[Topic, list[int]] = {}
                for topic, partition, end in self._watcher.execute("SELECT topic, partition, next FROM extent"):
                    ends.setdefault(Topic(topic), [0] * self._partitions)[partition] = end
                self._ends = {topic: tuple(of_topic) for topic, of_topic in ends.items()}
                self._data_version = data_version
            return sum(map(sum, self._ends.values()))

    def _poll(self) -> int:
        version = self._look()
        self._polled_at = monotonic()
        return version

    def expire(self, before_us: int) -> int:
        gone = 0
        for topic, partition in self._parts():
            with self._writing, plain_errors(self._path.name), transaction(self._writer):
                expired = compaction.expire(self._writer, topic, partition, before_us)
            if expired:
                self._tail.forget(topic, partition)
            gone += expired
        self._shrink()
        return gone

    def compact(self) -> int:
        rewritten = 0
        with self._compacting:
            for topic, partition in self._parts():
                with self._readers.one() as reader:
                    runs = compaction.runs(compaction.segments(reader, topic, partition))
                for run in runs:
                    rewritten += self._rewrite(topic, partition, run)
        self._shrink()
        return rewritten

    def _rewrite(self, topic: Topic, partition: int, run: Sequence[compaction.Stored]) -> int:
        """Make one sorted segment of a run; 0 when it was expired meanwhile. Writers wait for the last step only."""
        with self._readers.one() as reader:
            blob = compaction.sorted_blob(reader, topic, partition, run)
        if blob is None:
            return 0
        with self._writing, plain_errors(self._path.name), transaction(self._writer):
            return compaction.replace(self._writer, topic, partition, run, blob)

    def _parts(self) -> list[tuple[Topic, int]]:
        with self._readers.one() as reader:
            return [(Topic(topic), part) for topic, part in reader.execute("SELECT topic, partition FROM extent")]

    def _shrink(self) -> None:
        """Give free pages back to the file system, a few at a time."""
        with self._writing, plain_errors(self._path.name):
            spare = self._writer.pragma("freelist_count") - _SLACK_PAGES
        while spare > 0:
            with self._writing, plain_errors(self._path.name):
                self._writer.execute(f"PRAGMA incremental_vacuum({min(spare, 1_000)})").fetchall()
            spare -= 1_000

    def newest_received_us(self) -> int:
        with self._readers.one() as reader:
            newest: int = reader.execute("SELECT coalesce(max(newest_received_us), 0) FROM extent").get
            return newest

    def close(self) -> None:
        self._watch.close()
        self._checkpoints.close()
        with self._writing:
            self._watcher.close()
            self._readers.close()
            self._writer.close()


def _cut(rows: Rows, first: int, count: int) -> Rows:
    return Rows(rows.batch.slice(first, count), rows.received_at_us[first : first + count])
