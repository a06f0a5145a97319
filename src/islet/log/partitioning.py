"""Which rows of a commit go to which partition, found for all rows at once, by machine code: a commit of ten rows must
cost little, too."""

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.log.base import Append, Commit, Slice
from islet.model.batch import RECEIVED, column_of, schema_of
from islet.model.compiled import kernel
from islet.model.topics import Topic

_T = TypeVar("_T", bound=np.generic)
_POLYNOMIAL: Final = 0xEDB88320  # CRC-32 of ISO/IEC 3309, reflected: zlib's


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that go to one partition, in their order, and when all of them were received; `entries` are the same rows
    as they are read, with `received_at_us`, and `size` the bytes that these take in memory, about."""

    topic: Topic
    partition: int
    received_at_us: int
    batch: pa.RecordBatch
    entries: pa.RecordBatch
    size: int


def pieces(commits: Sequence[Commit], partitions: int) -> Iterator[Piece]:
    """What the commits append, as few pieces as possible, in the order of the commits within each partition.

    Neighbouring appends to one topic with one `received_at_us` become one piece per partition. Raises ValueError for
    a batch that has not its topic's schema, or has nulls.
    """
    runs: dict[Topic, list[tuple[int, list[pa.RecordBatch]]]] = {}
    for commit in commits:
        for append in commit.appends:
            if not append.is_whole:
                _check(append)
            if append.batch.num_rows == 0:
                continue
            of_topic = runs.setdefault(append.topic, [])
            if of_topic and of_topic[-1][0] == commit.received_at_us:
                of_topic[-1][1].append(append.batch)
            else:
                of_topic.append((commit.received_at_us, [append.batch]))
    for topic, of_topic in runs.items():
        for received_at_us, batches in of_topic:
            yield from _split(topic, received_at_us, joined(batches), partitions)


def slices(appended: Sequence[Piece], ends: MutableMapping[tuple[Topic, int], int]) -> list[Slice]:
    """The pieces as they will be read, behind `ends` (by topic and partition), which move."""
    found = []
    for piece in appended:
        at = (piece.topic, piece.partition)
        offset = ends.get(at, 0)
        found.append(Slice(topic=piece.topic, partition=piece.partition, offset=offset, batch=piece.entries))
        ends[at] = offset + piece.batch.num_rows
    return found


def _check(append: Append) -> None:
    if not append.batch.schema.equals(schema_of(append.topic)):
        raise ValueError(f"append to {append.topic}: expected a batch of its schema (model/batch.py)")
    if any(column.null_count for column in append.batch.columns):
        raise ValueError(f"append to {append.topic}: expected a value in each column; got a null")


def _split(topic: Topic, received_at_us: int, batch: pa.RecordBatch, partitions: int) -> Iterator[Piece]:
    """The rows of each partition that has any, in their order."""
    counts = [batch.num_rows]
    if partitions > 1:
        order, of_each = order_by_partition(batch.column("patient"), partitions)
        counts = of_each.tolist()
    if max(counts) == batch.num_rows:
        entries = with_received(batch, received_at_us)
        yield Piece(
            topic=topic,
            partition=counts.index(batch.num_rows),
            received_at_us=received_at_us,
            batch=batch,
            entries=entries,
            size=entries.get_total_buffer_size(),
        )
        return
    batch = batch.take(order)
    entries = with_received(batch, received_at_us)
    size, first = entries.get_total_buffer_size() / batch.num_rows, 0
    for number, count in enumerate(counts):
        if count:
            yield Piece(
                topic=topic,
                partition=number,
                received_at_us=received_at_us,
                batch=batch.slice(first, count),
                entries=entries.slice(first, count),
                size=round(size * count),
            )
            first += count


def with_received(batch: pa.RecordBatch, received_at_us: NDArray[np.int64] | int) -> pa.RecordBatch:
    """The batch (n rows) with the column `received_at_us` at its end: (n,), or one instant for all rows."""
    if isinstance(received_at_us, int):
        instants = np.empty(batch.num_rows, np.int64)
        instants.fill(received_at_us)  # half of the time of `full`
        received_at_us = instants
    whole: pa.RecordBatch = batch.append_column(RECEIVED, column_of(received_at_us))
    return whole


def joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of one schema (at least one), one after the other, as one."""
    if len(batches) == 1:
        return batches[0]
    whole: pa.RecordBatch = pa.concat_batches(batches)  # type: ignore[attr-defined]  # missing in the stubs
    return whole


def _table() -> NDArray[np.uint32]:
    codes = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        codes = np.where(codes & 1, np.uint32(_POLYNOMIAL) ^ (codes >> np.uint32(1)), codes >> np.uint32(1))
    return codes


_TABLE: Final = _table()


def order_by_partition(names: "pa.Array[Any]", partitions: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For texts (n,), their rows ordered by `model.topics.partition_of`, those of one partition in their order; and how
    many each partition has (partitions,)."""
    _, ends, text = names.buffers()
    order, counts = np.empty(len(names), np.int64), np.zeros(partitions, np.int64)
    if ends is not None and len(names):
        of_names = np.frombuffer(memoryview(ends), np.int32)[names.offset : names.offset + len(names) + 1]
        letters = np.frombuffer(memoryview(text or b""), np.uint8)
        _order(_read_only(of_names), _read_only(letters), _TABLE, np.empty(len(names), np.int64), order, counts)
    return order, counts


def warm_up() -> None:
    """Have the kernel compiled (or read from its cache) before the first commit needs it."""
    order_by_partition(pa.array([""]), 2)


def _read_only(array: NDArray[_T]) -> NDArray[_T]:
    """Whatever memory it came from: a kernel is compiled for each type that it meets."""
    array = array.view()
    array.flags.writeable = False
    return array


@kernel
def _order(
    ends: NDArray[np.int32],
    letters: NDArray[np.uint8],
    table: NDArray[np.uint32],
    partition: NDArray[np.int64],
    order: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    for row in range(len(order)):
        code = np.uint32(0xFFFFFFFF)
        for at in range(ends[row], ends[row + 1]):
            code = table[(code ^ letters[at]) & np.uint32(0xFF)] ^ (code >> np.uint32(8))
        partition[row] = np.int64(code ^ np.uint32(0xFFFFFFFF)) % len(counts)
        counts[partition[row]] += 1
    for number in range(1, len(counts)):  # where the rows of each partition end …
        counts[number] += counts[number - 1]
    for row in range(len(order) - 1, -1, -1):  # … and begin, once all are placed
        counts[partition[row]] -= 1
        order[counts[partition[row]]] = row
    for number in range(len(counts)):
        counts[number] = (counts[number + 1] if number + 1 < len(counts) else len(order)) - counts[number]
