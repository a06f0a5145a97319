"""Old small segments become large sorted ones; expired ones go."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import apsw
import numpy as np

from islet.errors import LogDamaged
from islet.log.partitioning import joined
from islet.log.segment import Format, Rows, decode, encode_sorted
from islet.model.time import DAY_US
from islet.model.topics import Topic

MAX_ROWS: Final = 262_144
"""Rows of the largest sorted segment; it is decoded as a whole. Four times as many save 2 % of the bytes."""

_NEWEST: Final = 8  # segments at the end that are left alone: they are being read, and would be rewritten soon
_SMALL: Final = 1_024  # rows; up to here rewriting costs nothing that matters
_WORTH_ALONE: Final = 4_096  # rows; a single commit (an import) that is worth sorting by itself


INSERT: Final = """
INSERT INTO segment (topic, partition, base, rows, received_min_us, received_max_us, format, blob)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_IN_RUN: Final = "FROM segment WHERE topic = ? AND partition = ? AND base BETWEEN ? AND ?"


class Stored(NamedTuple):
    """A segment's row without its blob."""

    base: int
    rows: int
    received_min_us: int
    received_max_us: int
    format: int


def segments(reader: apsw.Connection, topic: Topic, partition: int) -> list[Stored]:
    """All segments of a partition, oldest first."""
    query = """SELECT base, rows, received_min_us, received_max_us, format FROM segment
               WHERE topic = ? AND partition = ? ORDER BY base"""
    return [Stored(*row) for row in reader.execute(query, (topic, partition))]


def runs(stored: Sequence[Stored], newest: int = _NEWEST) -> list[list[Stored]]:
    """Neighbours that are to become one, each list oldest first.

    Going back in time, a segment joins while it is no larger than what has been gathered: so a row is rewritten
    O(log n) times at most. A run stays within MAX_ROWS, and within a day, so that retention is exact to a day.
    """
    found: list[list[Stored]] = []
    run: list[Stored] = []
    for segment in reversed(stored[: len(stored) - newest]):
        if run and not _joins(run, segment):
            found.append(run[::-1])
            run = []
        run.append(segment)
    if run:
        found.append(run[::-1])
    return [run for run in found if len(run) > 1 or (run[0].format == Format.PLAIN and run[0].rows >= _WORTH_ALONE)]


def _joins(run: Sequence[Stored], segment: Stored) -> bool:
    gathered = sum(each.rows for each in run)
    newest_us = max(each.received_max_us for each in run)
    return (
        segment.rows <= max(gathered, _SMALL)
        and gathered + segment.rows <= MAX_ROWS
        and newest_us - segment.received_min_us <= DAY_US
    )


def sorted_blob(reader: apsw.Connection, topic: Topic, partition: int, run: Sequence[Stored]) -> bytes | None:
    """The run's rows as one sorted blob; None when some of it is no longer there."""
    query = f"SELECT base, rows, received_min_us, format, blob {_IN_RUN} ORDER BY base"
    parts = []
    for base, rows, received_us, kind, blob in reader.execute(query, _place(topic, partition, run)):
        try:
            parts.append(decode(topic, kind, blob, received_us, rows))
        except ValueError as error:
            raise LogDamaged(f"{topic}/{partition}: the segment at offset {base} does not decode") from error
    if sum(part.batch.num_rows for part in parts) != _rows(run):
        return None
    received_at_us = np.concatenate([part.received_at_us for part in parts])
    return encode_sorted(Rows(joined([part.batch for part in parts]), received_at_us))


def replace(writer: apsw.Connection, topic: Topic, partition: int, run: Sequence[Stored], blob: bytes) -> int:
    """Put the blob in the place of the run, inside the caller's transaction; how many rows it holds.

    0, and nothing changes, when some of it has expired meanwhile.
    """
    place = _place(topic, partition, run)
    rows = _rows(run)
    if writer.execute(f"SELECT sum(rows) {_IN_RUN}", place).get != rows:
        return 0
    writer.execute(f"DELETE {_IN_RUN}", place)
    oldest_us = min(segment.received_min_us for segment in run)
    newest_us = max(segment.received_max_us for segment in run)
    writer.execute(INSERT, (topic, partition, run[0].base, rows, oldest_us, newest_us, Format.SORTED, blob))
    return rows


def _place(topic: Topic, partition: int, run: Sequence[Stored]) -> tuple[str, int, int, int]:
    """Where a run is: a range of offsets holds the same entries for ever, whoever compacts it meanwhile."""
    return topic, partition, run[0].base, run[-1].base


def _rows(run: Sequence[Stored]) -> int:
    return sum(segment.rows for segment in run)


def expire(writer: apsw.Connection, topic: Topic, partition: int, before_us: int) -> int:
    """Remove whole segments from the front that were received before that instant, inside the caller's transaction;
    how many rows went."""
    expired = list(takewhile(lambda segment: segment.received_max_us < before_us, segments(writer, topic, partition)))
    if expired:
        writer.execute(f"DELETE {_IN_RUN}", _place(topic, partition, expired))
        begin = expired[-1].base + expired[-1].rows
        writer.execute("UPDATE extent SET begin = ? WHERE topic = ? AND partition = ?", (begin, topic, partition))
    return _rows(expired)
