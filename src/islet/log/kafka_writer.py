"""Sending to Kafka: acknowledged by all in-sync replicas, in order, each record once; with cursors or states, as one
transaction."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from islet.log.kafka_access import ANSWER_S, KafkaAccess, plain_errors, refused
from islet.log.kafka_records import Record

Ends = dict[tuple[str, int], int]
"""Per topic (by its name there) and partition, the offset after the last record that was acknowledged."""

_CROWDED_S: Final = 0.05


class Writer:
    """Both methods block until the broker has acknowledged; any thread may call them. Errors are OSError.

    After an error the records of `append` may be there or not (whoever sent them sends them again, and identities
    make doubles harmless); those of `transact` are there all or none, and the log tells which.
    """

    def __init__(self, access: KafkaAccess) -> None:
        self._access = access
        self._appending, self._transacting = threading.Lock(), threading.Lock()
        self._appender: Producer | None = None
        self._transactor: Producer | None = None

    def append(self, records: Iterable[Record]) -> Ends:
        """Send records that need not be together."""
        with self._appending, plain_errors():
            if self._appender is None:
                self._appender = Producer(self.configuration({}))
            try:
                return _sent(self._appender, records)
            except BaseException:
                self._appender = None  # what is in its queue is not sent later
                raise

    def transact(self, records: Iterable[Record]) -> Ends:
        """Send records that become visible together, or never."""
        with self._transacting, plain_errors():
            if self._transactor is None:
                self._transactor = self._new_transactor()
            producer = self._transactor
            try:
                producer.begin_transaction()
                ends = _sent(producer, records)
                _committed(producer)
                return ends
            except BaseException:
                self._transactor = None  # its successor ends whatever is open under this name
                _aborted(producer)
                raise

    def close(self) -> None:
        """Nothing is pending between calls; the connections go with the producers."""
        with self._appending, self._transacting:
            self._appender = self._transactor = None

    def _new_transactor(self) -> Producer:
        name = f"{self._access.prefix}islet-{self._access.writer}"
        producer = Producer(self.configuration({"transactional.id": name}))
        producer.init_transactions(ANSWER_S)
        return producer

    def configuration(self, more: dict[str, Any]) -> dict[str, Any]:
        """Of a producer: what all have, and `more`."""
        return self._access.client(
            {
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": self._access.compression,
                "linger.ms": 1,
                "delivery.timeout.ms": round(ANSWER_S * 1000),
                "queue.buffering.max.messages": 1_000_000,
                **more,
            }
        )


def _sent(producer: Producer, records: Iterable[Record]) -> Ends:
    ends: Ends = {}
    failed: list[Any] = []

    def told(error: Any, message: Any) -> None:
        if error is not None:
            failed.append(error)
        else:
            ends[message.topic(), message.partition()] = message.offset() + 1

    for record in records:
        _produce(producer, record, told)
    until = monotonic() + 2 * ANSWER_S
    while producer.flush(1.0) and monotonic() < until:
        pass
    if failed:
        raise refused(failed[0])
    if len(producer):
        raise TimeoutError("Kafka: no acknowledgement")
    return ends


def _produce(producer: Producer, record: Record, told: Any) -> None:
    topic, partition, key, value, timestamp_ms = record
    while True:
        try:
            producer.produce(topic, value, key, partition, told, timestamp=timestamp_ms)
            return
        except BufferError:
            producer.poll(_CROWDED_S)


def _committed(producer: Producer) -> None:
    """End the transaction; asks again while the broker may still say yes."""
    until = monotonic() + ANSWER_S
    while True:
        try:
            producer.commit_transaction(ANSWER_S)
            return
        except KafkaException as error:
            if not error.args[0].retriable() or monotonic() > until:
                raise


def _aborted(producer: Producer) -> None:
    with suppress(KafkaException):  # fenced, or the broker is away: the coordinator aborts it after its time
        producer.abort_transaction(ANSWER_S)
