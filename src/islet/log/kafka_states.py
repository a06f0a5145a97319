"""Cursors and states in a compacted topic of one partition: the latest record of each key is the truth."""

import threading
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition

from islet.errors import LogDamaged
from islet.log.base import Commit, CursorMove
from islet.log.kafka_access import ANSWER_S, KafkaAccess, plain_errors, refused
from islet.log.kafka_records import Record
from islet.log.kafka_topics import STATES
from islet.model.topics import Topic

_CHUNK_BYTES: Final = 512 * 1024
"""Brokers take records of 1 MB by default, so a large state goes in pieces."""
_AT_ONCE: Final = 500
_POLL_S: Final = 0.2
_NEWEST: Final = b"newest_received_us"


class _Head(msgspec.Struct, frozen=True):
    """The record of a state's own name: how many pieces follow it under `name/0`, `name/1` …"""

    pieces: int


class States:
    """What the topic says, read when somebody asks. Any thread may call; errors are OSError."""

    def __init__(self, access: KafkaAccess, end: Callable[[], int]) -> None:
        """`end` tells where the topic ends now."""
        self._end = end
        self._topic = access.topic(STATES)
        self._latest: dict[bytes, bytes] = {}
        self._reached = 0
        self._lock = threading.Lock()
        self._consumer = Consumer(access.consumer({"enable.partition.eof": True, "fetch.wait.max.ms": 100}))
        self._consumer.assign([TopicPartition(self._topic, 0, 0)])

    def records(self, commit: Commit) -> Iterator[Record]:
        """What has to be sent for the commit's cursors and states."""
        at_ms = commit.received_at_us // 1000
        for move in commit.cursors:
            key = f"cursor/{move.consumer}/{move.topic}/{move.partition}".encode()
            yield Record(self._topic, 0, key, b"%d" % move.offset, at_ms)
        for name, blob in commit.states.items():
            pieces = [] if blob is None else [blob[n : n + _CHUNK_BYTES] for n in range(0, len(blob), _CHUNK_BYTES)]
            head = None if blob is None else msgspec.json.encode(_Head(len(pieces)))
            yield Record(self._topic, 0, _state_key(name), head, at_ms)
            for number, piece in enumerate(pieces):
                yield Record(self._topic, 0, _state_key(name, number), piece, at_ms)
            for number in range(len(pieces), self._pieces(name)):
                yield Record(self._topic, 0, _state_key(name, number), None, at_ms)

    def newest_record(self, received_at_us: int) -> Record:
        """What has to be sent so that an empty log still knows how far its clock was."""
        return Record(self._topic, 0, _NEWEST, b"%d" % received_at_us, 0)

    def newest_received_us(self) -> int:
        """What was kept of entries that have expired; 0 where none have."""
        with self._lock:
            return int(self._fresh().get(_NEWEST, b"0"))

    def cursors(self) -> Sequence[CursorMove]:
        """All cursors, sorted by consumer."""
        with self._lock:
            latest = sorted((key, value) for key, value in self._fresh().items() if key.startswith(b"cursor/"))
        found = []
        for key, value in latest:
            consumer, topic, partition = key.decode().removeprefix("cursor/").rsplit("/", 2)
            found.append(CursorMove(consumer=consumer, topic=Topic(topic), partition=int(partition), offset=int(value)))
        return found

    def state(self, name: str) -> bytes | None:
        """The blob under that name."""
        with self._lock:
            latest = self._fresh()
            head = latest.get(_state_key(name))
            if head is None:
                return None
            try:
                return b"".join(latest[_state_key(name, number)] for number in range(_pieces(head)))
            except KeyError:
                raise LogDamaged(f"{self._topic}: a piece of the state {name!r} is missing") from None

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._consumer.close()

    def _pieces(self, name: str) -> int:
        with self._lock:
            head = self._latest.get(_state_key(name)) or self._fresh().get(_state_key(name))
        return 0 if head is None else _pieces(head)

    def reach(self, end: int) -> None:
        """Have everything before that offset, where a transaction of ours ended; the broker shows its records a moment
        after it has acknowledged the end of it."""
        with self._lock:
            self._read_to(end)
            self._reached = max(self._reached, end + 1)  # its mark, which is no record and would be waited for

    def _fresh(self) -> dict[bytes, bytes]:
        self._read_to(self._end())
        return self._latest

    def _read_to(self, end: int) -> None:
        until = monotonic() + ANSWER_S
        while self._reached < end:
            with plain_errors():
                messages = self._consumer.consume(_AT_ONCE, 0.0) or [self._consumer.poll(_POLL_S)]
            for message in messages:
                if message is not None:
                    self._take(message)
            if monotonic() > until:
                raise TimeoutError(f"Kafka: {self._topic} cannot be read to its end")

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is None:
            if message.value() is None:
                self._latest.pop(message.key(), None)
            else:
                self._latest[message.key()] = message.value()
            self._reached = max(self._reached, message.offset() + 1)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._reached = max(self._reached, message.offset())
        elif not error.retriable():
            raise refused(error)


def _state_key(name: str, piece: int | None = None) -> bytes:
    return f"state/{name}".encode() if piece is None else f"piece/{name}/{piece}".encode()


def _pieces(head: bytes) -> int:
    return msgspec.json.decode(head, type=_Head).pieces
