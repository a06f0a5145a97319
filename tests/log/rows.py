"""Rows to put into a log, and what is in it, as plain tuples."""

from collections.abc import Iterable

import pyarrow as pa

from islet.log.base import Append, Commit, Log
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.topics import Topic

GLUCOSE = Topic.GLUCOSE_READINGS
MINUTE_US = 60_000_000


def reading(patient: str, minute: int, mg_dl: int = 100, *, device: str = "") -> ReadingRow:
    """A reading in mg/dL at a minute of 1970."""
    return ReadingRow(patient, device or f"sensor-of-{patient}", minute * MINUTE_US, mg_dl * 10, float(mg_dl), 0, 0, 0)


def append(*rows: ReadingRow) -> Append:
    return Append(topic=GLUCOSE, batch=readings_batch(rows))


def note(patient: str, minute: int, text: str) -> Append:
    row = DocumentRow(patient, "", minute * MINUTE_US, "note", f'{{"text": "{text}"}}')
    return Append(topic=Topic.CARE_EVENTS, batch=documents_batch([row]))


def commit(received_at_us: int, *appends: Append) -> Commit:
    return Commit(received_at_us=received_at_us, appends=appends)


def entries(log: Log, topic: Topic = GLUCOSE, *, max_rows: int = 50_000) -> list[list[tuple[object, ...]]]:
    """Per partition, all that is kept: the rows with `received_at_us` at their end. Others may append meanwhile."""
    return [list(_entries(log, topic, partition, begin, max_rows)) for partition, begin in enumerate(log.begin(topic))]


def _entries(log: Log, topic: Topic, partition: int, offset: int, max_rows: int) -> Iterable[tuple[object, ...]]:
    while (one := log.read(topic, partition, offset, max_rows)) is not None:
        assert one.offset == offset
        assert one.batch.num_rows > 0
        yield from tuples(one.batch)
        offset = one.next_offset
    assert offset <= log.end(topic)[partition]


def tuples(batch: pa.RecordBatch) -> list[tuple[object, ...]]:
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def patients_of(log: Log, topic: Topic = GLUCOSE) -> list[str]:
    """Who is in the log, in no order."""
    return sorted(str(row[0]) for rows in entries(log, topic) for row in rows)
