"""The embedded store: what is derived from the log, in the installation's encrypted SQLite file."""

import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, TypeVar

import pyarrow as pa

from islet.log.base import Slice
from islet.log.connection import Readers, open_database, plain_errors, transaction
from islet.model.alerts import Alert
from islet.model.events import Method
from islet.model.hours import Hours
from islet.model.series import Series
from islet.model.topics import STORED, Topic
from islet.store import alerts, care_events, documents, readings
from islet.store.base import Document, Latest, Receipt

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS applied (
    consumer TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS passed_over (number INTEGER PRIMARY KEY, patient TEXT NOT NULL UNIQUE) STRICT;
"""
_AT_ONCE: Final = 5_000
"""Rows that are erased in one transaction; others want to write in between."""
T = TypeVar("T")
_APPLIED: Final = 'SELECT partition, "offset" FROM applied WHERE consumer = ? AND topic = ?'


class SqliteStore:
    """Implements `islet.store.base.Store`.

    Commits with synchronous=NORMAL: a power cut may lose the last ones, whole, and their cursors with them; the log
    still has them, and they are applied again.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        """Open the store at `path`, made where there is none. Raises KeyUnavailable for a wrong key."""
        self._name = path.name
        self._writing = threading.Lock()
        self._patients = readings.Names("reading_patient")
        self._devices = readings.Names("reading_device")
        self._erased, self._erased_upto = set[str](), 0
        self._readers = Readers(path, key)
        self._writer = open_database(path, key, synchronous="NORMAL")
        with plain_errors(self._name), transaction(self._writer):
            self._writer.execute(_TABLES + readings.TABLES + documents.TABLES + alerts.TABLES)
            alerts.upgrade(self._writer)
            documents.upgrade(self._writer)
            self._writer.execute(care_events.BY_RECEIPT)

    def apply(self, slices: Sequence[Slice], consumer: str = "store") -> None:
        with self._writing, plain_errors(self._name):
            try:
                with transaction(self._writer):
                    self._apply([new for one in slices if (new := self._advance(one, consumer)) is not None])
            except BaseException:
                self._patients.forget()
                self._devices.forget()
                raise

    def _advance(self, one: Slice, consumer: str) -> Slice | None:
        """What of the slice is new, and the cursor behind it; None when all of it was applied already."""
        place = (consumer, one.topic, one.partition)
        query = 'SELECT "offset" FROM applied WHERE consumer = ? AND topic = ? AND partition = ?'
        reached: int = self._writer.execute(query, place).get or 0
        if one.next_offset <= reached:
            return None
        self._writer.execute("INSERT OR REPLACE INTO applied VALUES (?, ?, ?, ?)", (*place, one.next_offset))
        if one.offset >= reached:
            return one
        rest = one.batch.slice(reached - one.offset)
        return Slice(topic=one.topic, partition=one.partition, offset=reached, batch=rest)

    def _apply(self, new: Sequence[Slice]) -> None:
        erased = self._passed_over()
        glucose = [one for one in new if one.topic is Topic.GLUCOSE_READINGS]
        if glucose:
            readings.insert(self._writer, glucose, self._patients, self._devices, erased)
        for one in new:
            if one.topic is Topic.ALERTS:
                alerts.insert(self._writer, one, erased)
            elif one.topic is not Topic.GLUCOSE_READINGS:
                documents.insert(self._writer, one, erased)

    def _passed_over(self) -> Collection[str]:
        """The patients who were erased, by any process; only the new ones are read."""
        query = "SELECT number, patient FROM passed_over WHERE number > ?"
        for number, patient in self._writer.execute(query, (self._erased_upto,)):
            self._erased.add(patient)
            self._erased_upto = number
        return self._erased

    def applied(self, topic: Topic, partitions: int, consumer: str = "store") -> tuple[int, ...]:
        with self._readers.one() as reader:
            found = dict(reader.execute(_APPLIED, (consumer, topic)))
        return tuple(found.get(partition, 0) for partition in range(partitions))

    def series(self, patient: str, from_us: int, to_us: int, *, method: Method | None = None) -> Series:
        with self._readers.one() as reader:
            return readings.series(reader, patient, from_us, to_us, method=method)

    def readings(self, patient: str) -> pa.RecordBatch:
        with self._readers.one() as reader:
            return readings.select(reader, patient)

    def hours(self, patient: str, from_us: int, to_us: int, offset_us: int = 0) -> Hours:
        with self._readers.one() as reader:
            return readings.hours(reader, patient, from_us, to_us, offset_us)

    def latest(self, patients: Sequence[str] | None = None) -> list[Latest]:
        with self._readers.one() as reader:
            return readings.latest(reader, patients)

    def documents(
        self, topic: Topic, patient: str | None, from_us: int, to_us: int, limit: int = 1000
    ) -> list[Document]:
        with self._readers.one() as reader:
            return documents.select(reader, topic, patient, from_us, to_us, limit)

    def versions(self, patient: str, ids: Collection[tuple[str, str]]) -> list[Document]:
        with self._readers.one() as reader:
            return care_events.versions(reader, patient, ids)

    def care_events_since(self, patient: str, received_from_us: int, limit: int) -> list[Document]:
        with self._readers.one() as reader:
            return care_events.since(reader, patient, received_from_us, limit)

    def receipts(self, patient: str, from_us: int, to_us: int, received_from_us: int = 0) -> list[Receipt]:
        with self._readers.one() as reader:
            return readings.receipts(reader, patient, from_us, to_us, received_from_us)

    def last_received(self, patient: str, from_us: int) -> tuple[int, int]:
        with self._readers.one() as reader:
            return readings.last_received(reader, patient, from_us), care_events.last_received(reader, patient)

    def alerts(
        self,
        patients: Sequence[str] | None = None,
        *,
        active_only: bool = False,
        until_us: int | None = None,
        limit: int = 500,
    ) -> list[Alert]:
        with self._readers.one() as reader:
            if active_only:
                return alerts.select_open(reader, patients, readings.newest_time_us(reader), limit)
            return alerts.select(reader, patients, until_us, limit)

    def alert(self, id: str) -> Alert | None:
        with self._readers.one() as reader:
            return alerts.select_one(reader, id)

    def conflicts(self) -> int:
        with self._readers.one() as reader:
            count: int = reader.execute("SELECT count(*) FROM conflict").get
            return count

    def counts(self) -> dict[str, int]:
        with self._readers.one() as reader:
            found: dict[str, int] = {
                "readings": reader.execute("SELECT count(*) FROM reading").get,
                "alerts": reader.execute("SELECT count(*) FROM alert WHERE NOT retracted").get,
            }
            by_topic = documents.counts(reader)
        kept_as_documents = [topic for topic in STORED if topic not in (Topic.GLUCOSE_READINGS, Topic.ALERTS)]
        return found | {topic.value: by_topic.get(topic, 0) for topic in kept_as_documents}

    def erase(self, patient: str, devices: Sequence[str] = ()) -> None:
        self._change(lambda: self._writer.execute("INSERT OR IGNORE INTO passed_over (patient) VALUES (?)", (patient,)))
        while self._change(lambda: readings.erase(self._writer, patient, _AT_ONCE)):
            pass
        while self._change(lambda: documents.erase(self._writer, patient, devices, _AT_ONCE)):
            pass
        self._change(lambda: alerts.erase(self._writer, patient))

    def _change(self, change: Callable[[], T]) -> T:
        with self._writing, plain_errors(self._name), transaction(self._writer):
            return change()

    def reset(self, received_from_us: int) -> None:
        with self._writing, plain_errors(self._name), transaction(self._writer):
            readings.forget(self._writer, received_from_us)
            documents.forget(self._writer, received_from_us)
            alerts.forget(self._writer, received_from_us)
            self._writer.execute("DELETE FROM applied")

    def close(self) -> None:
        with self._writing:
            self._readers.close()
            self._writer.close()
