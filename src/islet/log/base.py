"""What every log back end does. One contract test (`tests/log/contract.py`) holds for all of them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
import pyarrow as pa

from islet.model.topics import Topic


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """Rows for one topic, of any mix of patients; the log splits them by partition, keeping their order.

    `is_whole`: whoever made the batch answers for its schema, and for a value in each column; else the log looks.
    """

    topic: Topic
    batch: pa.RecordBatch
    is_whole: bool = False


class CursorMove(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer has done with everything before `offset`."""

    consumer: str
    topic: Topic
    partition: int
    offset: int


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that becomes durable together, or not at all.

    `received_at_us` is given to every appended row. `states` are small named blobs (a snapshot of the engine);
    None removes one.
    """

    received_at_us: int
    appends: Sequence[Append] = ()
    cursors: Sequence[CursorMove] = ()
    states: Mapping[str, bytes | None] = msgspec.field(default_factory=dict)


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive entries of one partition: row i has offset `offset + i`.

    `batch` has the topic's columns and `received_at_us`; it is never empty.
    """

    topic: Topic
    partition: int
    offset: int
    batch: pa.RecordBatch

    @property
    def next_offset(self) -> int:
        return self.offset + self.batch.num_rows


class Companion(Protocol):
    """Says what follows from entries while they are committed, so that both become durable together."""

    def follow(self, slices: Sequence[Slice]) -> Commit | None:
        """Inside a commit: what is to be committed with the entries that it appends, which will have these offsets. None
        for nothing. Must be quick."""

    def settle(self, error: Exception | None) -> None:
        """The commit has ended: it is durable, or why it is not. Told after every commit, `follow` asked or not."""


class Log(Protocol):
    """Partitioned by patient; append-only; entries are kept for the retention time, whoever has read them.

    Every method may be called from any thread. Back ends keep their own lock.
    """

    @property
    def partitions(self) -> int:
        """How many partitions each topic has; fixed when the log is made."""

    def commit(self, commits: Sequence[Commit], companion: Companion | None = None) -> None:
        """Make all of them durable in one transaction, in this order. When it returns, a power cut loses nothing.

        After an exception none of it is there. The companion is asked what goes with them, unless the log learns the
        offsets afterwards only (Kafka).
        """

    def read(self, topic: Topic, partition: int, offset: int, max_rows: int = 50_000) -> Slice | None:
        """Entries from `offset` on, at least one and about `max_rows` at most; None when there are none yet.

        Raises OffsetExpired when retention has removed `offset`, LogDamaged when the bytes do not verify.
        """

    def begin(self, topic: Topic) -> tuple[int, ...]:
        """Per partition, the first offset that is kept."""

    def end(self, topic: Topic) -> tuple[int, ...]:
        """Per partition, the offset that the next entry will have."""

    def cursor(self, consumer: str, topic: Topic) -> tuple[int, ...]:
        """Per partition, where the consumer goes on; 0 where it has never been."""

    def cursors(self) -> Sequence[CursorMove]:
        """All cursors, for the lag gauges."""

    def state(self, name: str) -> bytes | None:
        """The blob last committed under that name."""

    def wait(self, seen: int, timeout_s: float) -> int:
        """Block until the log has changed since version `seen` (0 at first) or the time is over; the new version.

        Sees commits of other processes too.
        """

    def expire(self, before_us: int) -> int:
        """Remove whole segments received before that instant; how many entries went."""

    def compact(self) -> int:
        """Rewrite old small segments as large sorted ones; how many entries were rewritten. Readers notice nothing."""

    def newest_received_us(self) -> int:
        """The latest `received_at_us` in the log, 0 when empty; the clock never starts before it."""

    def close(self) -> None:
        """Finish what runs and release the files."""
