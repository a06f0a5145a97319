"""Which rows of a commit go to which partition, found for all rows at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.log.base import Append, Commit
from islet.log.rows import order_by_partition
from islet.model.batch import RECEIVED, schema_of
from islet.model.topics import Topic


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Rows that go to one partition, in their order, and when all of them were received."""

    topic: Topic
    partition: int
    received_at_us: int
    batch: pa.RecordBatch


def pieces(commits: Sequence[Commit], partitions: int) -> Iterator[Piece]:
    """What the commits append, as few pieces as possible, in the order of the commits within each partition.

    Neighbouring appends to one topic with one `received_at_us` become one piece per partition. Raises ValueError for
    a batch that has not its topic's schema, or has nulls.
    """
    runs: dict[Topic, list[tuple[int, list[pa.RecordBatch]]]] = {}
    for commit in commits:
        for append in commit.appends:
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
            batch = joined(batches)
            for partition, part in split(batch, partitions):
                yield Piece(topic=topic, partition=partition, received_at_us=received_at_us, batch=part)


def _check(append: Append) -> None:
    if not append.batch.schema.equals(schema_of(append.topic)):
        raise ValueError(f"append to {append.topic}: expected a batch of its schema (model/batch.py)")
    if any(column.null_count for column in append.batch.columns):
        raise ValueError(f"append to {append.topic}: expected a value in each column; got a null")


def split(batch: pa.RecordBatch, partitions: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of each partition that has any, in their order: `model.topics.partition_of`, for a column."""
    order, counts = order_by_partition(batch.column("patient"), partitions)
    first = 0
    ordered = batch if counts.max() == batch.num_rows else batch.take(order)
    for number, count in enumerate(counts.tolist()):
        if count:
            yield number, ordered.slice(first, count)
            first += count


def with_received(batch: pa.RecordBatch, received_at_us: NDArray[np.int64] | int) -> pa.RecordBatch:
    """The batch (n rows) with the column `received_at_us` at its end: (n,), or one instant for all rows."""
    if isinstance(received_at_us, int):
        received_at_us = np.full(batch.num_rows, received_at_us, np.int64)
    whole: pa.RecordBatch = batch.append_column(RECEIVED, pa.array(received_at_us))
    return whole


def joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of one schema (at least one), one after the other, as one."""
    if len(batches) == 1:
        return batches[0]
    whole: pa.RecordBatch = pa.concat_batches(batches)  # type: ignore[attr-defined]  # missing in the stubs
    return whole
