"""Documents in SQLite: meals, insulin, vitals, device status, dead letters.

Functions over a connection; the transaction is the caller's.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b
from typing import Final

import apsw
from msgspec import convert, structs

from islet.log.base import Slice
from islet.model.topics import STORED, Topic
from islet.store.base import Document

TABLES: Final = """
CREATE TABLE IF NOT EXISTS document (
    identity BLOB NOT NULL PRIMARY KEY, topic TEXT NOT NULL, patient TEXT NOT NULL, device TEXT NOT NULL,
    time_us INTEGER NOT NULL, received_at_us INTEGER NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS document_by_time ON document (topic, time_us);
CREATE INDEX IF NOT EXISTS document_by_patient ON document (topic, patient, time_us);
"""
_INSERT: Final = "INSERT OR IGNORE INTO document VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_FIELDS: Final = tuple(field.name for field in structs.fields(Document))


def insert(writer: apsw.Connection, one: Slice, erased: Collection[str]) -> None:
    """Take in documents. One that says the same of the same patient, device and time (a delivery repeated) is the
    same document; but each dead letter is one of its own, for they are counted."""
    writer.executemany(_INSERT, (row for row in _rows(one) if row[2] not in erased))


def _rows(one: Slice) -> Iterator[tuple[bytes, str, str, str, int, int, str, str]]:
    columns = one.batch.to_pydict()
    names = ("patient", "device", "time_us", "received_at_us", "type", "body")
    rows = zip(*(columns[name] for name in names), strict=True)
    for offset, (patient, device, sent_us, received_us, kind, body) in enumerate(rows, start=one.offset):
        dead = one.topic is Topic.DEAD_LETTERS
        time_us = received_us if dead else sent_us  # its own time may be the fault
        place = f"{one.partition}:{offset}" if dead else ""
        said = "\0".join((one.topic, patient, device, str(time_us), kind, body, place))
        identity = blake2b(said.encode(), digest_size=16).digest()
        yield identity, one.topic, patient, device, time_us, received_us, kind, body


def select(
    reader: apsw.Connection, topic: Topic, patient: str | None, from_us: int, to_us: int, limit: int
) -> list[Document]:
    """Documents of a topic with from_us <= time < to_us, newest first."""
    of_patient, who = ("", ()) if patient is None else ("AND patient = ?", (patient,))
    query = f"""SELECT {", ".join(_FIELDS)} FROM document WHERE topic = ? {of_patient} AND time_us >= ? AND time_us < ?
                ORDER BY time_us DESC, patient, device, type, body LIMIT ?"""
    rows = reader.execute(query, (topic, *who, from_us, to_us, limit)).fetchall()
    return [convert(dict(zip(_FIELDS, row, strict=True)), Document) for row in rows]


def forget(writer: apsw.Connection, received_from_us: int) -> None:
    """Remove documents received at or after that instant."""
    writer.execute("DELETE FROM document WHERE received_at_us >= ?", (received_from_us,))


def erase(writer: apsw.Connection, patient: str, devices: Sequence[str], most: int) -> int:
    """Remove documents of a patient, and dead letters that name nobody and came from these devices; that many of a topic
    at most. How many went."""
    count = sum(_erase(writer, topic, "patient = ?", patient, most) for topic in STORED)
    from_them = "patient = '' AND device IN (SELECT value FROM json_each(?))"
    return count + _erase(writer, Topic.DEAD_LETTERS, from_them, json.dumps(list(devices)), most)


def _erase(writer: apsw.Connection, topic: Topic, which: str, value: str, most: int) -> int:
    some = f"SELECT identity FROM document WHERE topic = ? AND {which} LIMIT ?"
    writer.execute(f"DELETE FROM document WHERE identity IN ({some})", (topic, value, most))
    return writer.changes()
