"""Reading Kafka: history from any offset, and the newest entries as they come.

A transaction leaves a mark in each partition that it wrote to, which takes an offset but is no entry. So a slice never
reaches over such a gap, and may begin after the offset that was asked for.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from time import monotonic
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from islet.errors import LogDamaged
from islet.log.base import Slice
from islet.log.kafka_access import ANSWER_S, KafkaAccess, plain_errors, refused
from islet.log.kafka_records import batch_of
from islet.model.topics import Topic

_MOST_IDLE: Final = 16
"""Consumers that wait for their reader to go on; each has threads of its own."""
_POLL_S: Final = 0.2
_AT_ONCE: Final = 10_000

Place = tuple[Topic, int]


class _Idle(NamedTuple):
    place: Place
    offset: int
    consumer: Consumer


class History:
    """Reads from any offset. A reader that goes on where it was finds its consumer there, with the next entries."""

    def __init__(self, access: KafkaAccess) -> None:
        self._access = access
        self._idle: deque[_Idle] = deque()  # the longest unused first
        self._lock = threading.Lock()

    def read(self, topic: Topic, partition: int, offset: int, end: int, max_rows: int) -> Slice | None:
        """The first entries from `offset` on, without a gap between them; None when there are none before `end`.

        Raises LookupError when `offset` is no longer kept, LogDamaged when a record is none of ours.
        """
        with self._one((topic, partition), offset) as (consumer, moved):
            messages = _first(consumer, end, max_rows)
            if not messages:
                return None
            kept = next(_without_gaps(messages))
            after = messages[-1].offset() + 1
            goes_on = len(kept) == len(messages) and after < end  # what comes later, the follower brings
            moved(after if goes_on else None)
        return slice_of(topic, partition, kept)

    @contextmanager
    def _one(self, place: Place, offset: int) -> Iterator[tuple[Consumer, Callable[[int | None], None]]]:
        """A consumer that stands at the offset; it is kept where the block says that it has moved to."""
        consumer = self._taken(place, offset)
        at: list[int | None] = [None]
        try:
            with plain_errors():
                yield consumer, lambda after: at.__setitem__(0, after)
        finally:
            if at[0] is None:
                consumer.close()
            else:
                self._kept(_Idle(place, at[0], consumer))

    def _taken(self, place: Place, offset: int) -> Consumer:
        with self._lock:
            for idle in self._idle:
                if (idle.place, idle.offset) == (place, offset):
                    self._idle.remove(idle)
                    return idle.consumer
        consumer = Consumer(self._access.consumer({"enable.partition.eof": True}))
        consumer.assign([TopicPartition(self._access.topic(place[0]), place[1], offset)])
        return consumer

    def _kept(self, idle: _Idle) -> None:
        with self._lock:
            self._idle.append(idle)
            surplus = self._idle.popleft() if len(self._idle) > _MOST_IDLE else None
        if surplus is not None:
            surplus.consumer.close()

    def close(self) -> None:
        """Close those that are not in use."""
        with self._lock:
            while self._idle:
                self._idle.pop().consumer.close()


def _first(consumer: Consumer, end: int, max_rows: int) -> list[Message]:
    """What comes first: at least one message, or none when the end is reached. That the end is reached may have been
    said some time ago, when it was another."""
    until = monotonic() + ANSWER_S
    while monotonic() < until:
        message = consumer.poll(_POLL_S)
        if message is None:
            continue
        error = message.error()
        if error is None:
            rest = consumer.consume(max_rows - 1, 0.0) if max_rows > 1 else []
            return [message, *(one for one in rest if one.error() is None)]
        if error.code() == KafkaError._PARTITION_EOF:
            if message.offset() >= end:
                return []
            continue
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise LookupError
        if error.fatal() or not error.retriable():
            raise refused(error)
    raise TimeoutError("Kafka: no answer to a read")


def _without_gaps(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The messages in runs of consecutive offsets."""
    for _, run in groupby(enumerate(messages), key=lambda item: item[1].offset() - item[0]):
        yield [message for _, message in run]


def slice_of(topic: Topic, partition: int, messages: Sequence[Message]) -> Slice:
    """The entries in messages of consecutive offsets."""
    offset = messages[0].offset()
    try:
        batch = batch_of(topic, [message.value() or b"" for message in messages])
    except ValueError as error:
        raise LogDamaged(f"{topic}/{partition}: among the {len(messages)} records from {offset} on, {error}") from None
    return Slice(topic=topic, partition=partition, offset=offset, batch=batch)


class Follower:
    """A thread that takes in what is appended to all topics, whoever appends it."""

    def __init__(self, access: KafkaAccess, begins: dict[Place, int], took: Callable[[Slice], None]) -> None:
        """`took` is told of every slice from `begins` on, in order; it must be quick and must not raise."""
        self._took = took
        self._topics = {access.topic(topic): topic for topic in Topic}
        self.error: Exception | None = None
        self._consumer = Consumer(access.consumer({}))
        self._consumer.assign([TopicPartition(access.topic(t), p, offset) for (t, p), offset in begins.items()])
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="kafka-follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and let go of the connection."""
        self._closing = True
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._closing:
            try:
                self._round()
            except Exception as error:  # told to whoever reads next
                self.error = error
                return

    def _round(self) -> None:
        first = self._consumer.poll(_POLL_S)
        if first is None:
            return
        messages = [first, *self._consumer.consume(_AT_ONCE, 0.0)]
        failed = [error for one in messages if (error := one.error()) is not None and not error.retriable()]
        if failed:
            raise refused(failed[0])
        good = [one for one in messages if one.error() is None]
        for (name, partition), run in groupby(sorted(good, key=_place), key=_place):
            for part in _without_gaps(list(run)):
                self._took(slice_of(self._topics[name], partition, part))


def _place(message: Any) -> tuple[str, int]:
    return message.topic(), message.partition()
