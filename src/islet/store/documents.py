"""Documents in SQLite: meals, insulin, vitals, device status, dead letters.

A care event that was corrected or withdrawn, and the withdrawal, stay in the table under a topic of their own, where only
counts, a rebuild and an erasure come by.

Functions over a connection; the transaction is the caller's.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

import apsw
from msgspec import convert, structs

from islet.errors import BadInput
from islet.log.base import Slice
from islet.model.care_events import care_event_key, rank
from islet.model.codec import decode_event
from islet.model.events import CareEvent
from islet.model.topics import STORED, Topic
from islet.store.base import Document

TABLES: Final = """
CREATE TABLE IF NOT EXISTS document (
    identity BLOB NOT NULL PRIMARY KEY, topic TEXT NOT NULL, patient TEXT NOT NULL, device TEXT NOT NULL,
    time_us INTEGER NOT NULL, received_at_us INTEGER NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL,
    entry INTEGER, rank INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS document_by_time ON document (topic, time_us);
CREATE INDEX IF NOT EXISTS document_by_patient ON document (topic, patient, time_us);
"""
_BY_ENTRY: Final = "CREATE INDEX IF NOT EXISTS document_by_entry ON document (entry, rank) WHERE entry IS NOT NULL"
_INSERT: Final = "INSERT OR IGNORE INTO document VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REPLACED: Final = f"{Topic.CARE_EVENTS}/replaced"
_REPLACE: Final = f"""UPDATE document SET topic = '{_REPLACED}' WHERE rowid IN (
    SELECT one.rowid FROM json_each(?) JOIN document one ON one.entry = value
    WHERE one.topic <> '{_REPLACED}'
        AND one.rank < (SELECT max(rank) FROM document WHERE entry = one.entry AND patient = one.patient))"""
_WITHDRAWAL: Final = "withdrawal"
_FIELDS: Final = tuple(field.name for field in structs.fields(Document))


_Row = tuple[bytes, str, str, str, int, int, str, str, int | None, int | None]


def upgrade(writer: apsw.Connection) -> None:
    """Give a table of an earlier version the columns that it lacks, and what belongs there."""
    known = {row[1] for row in writer.execute("PRAGMA table_info(document)")}
    if "entry" not in known:
        writer.execute("ALTER TABLE document ADD COLUMN entry INTEGER; ALTER TABLE document ADD COLUMN rank INTEGER")
        care = writer.execute("SELECT device, body, identity FROM document WHERE topic = ?", (Topic.CARE_EVENTS,))
        found: list[Any] = care.fetchall()
        rows = [(*_entry(device, body), identity) for device, body, identity in found]
        writer.executemany("UPDATE document SET entry = ?, rank = ? WHERE identity = ?", rows)
    writer.execute(_BY_ENTRY)


def insert(writer: apsw.Connection, one: Slice, erased: Collection[str]) -> None:
    """Take in documents. One that says the same of the same patient, device and time (a delivery repeated) is the
    same document; but each dead letter is one of its own, for they are counted."""
    rows = [row for row in _rows(one) if row[2] not in erased]
    writer.executemany(_INSERT, rows)
    if one.topic is Topic.CARE_EVENTS:
        writer.execute(_REPLACE, (json.dumps(list({row[-2] for row in rows} - {None})),))


def _entry(device: str, body: str) -> tuple[int, int] | tuple[None, None]:
    """By what a care event is known among its patient's, and its rank; nothing of what a later version wrote."""
    try:
        event = decode_event(body.encode())
    except BadInput:
        return None, None
    return (care_event_key(device, event), rank(event)) if isinstance(event, CareEvent) else (None, None)


def _rows(one: Slice) -> Iterator[_Row]:
    columns = one.batch.to_pydict()
    names = ("patient", "device", "time_us", "received_at_us", "type", "body")
    rows = zip(*(columns[name] for name in names), strict=True)
    for offset, (patient, device, sent_us, received_us, kind, body) in enumerate(rows, start=one.offset):
        dead = one.topic is Topic.DEAD_LETTERS
        time_us = received_us if dead else sent_us  # its own time may be the fault
        place = f"{one.partition}:{offset}" if dead else ""
        said = "\0".join((one.topic, patient, device, str(time_us), kind, body, place))
        identity = blake2b(said.encode(), digest_size=16).digest()
        entry = _entry(device, body) if one.topic is Topic.CARE_EVENTS else (None, None)
        kept_as = _REPLACED if kind == _WITHDRAWAL else one.topic
        yield identity, kept_as, patient, device, time_us, received_us, kind, body, *entry


def select(
    reader: apsw.Connection, topic: Topic, patient: str | None, from_us: int, to_us: int, limit: int
) -> list[Document]:
    """Documents of a topic with from_us <= time < to_us that hold, newest first."""
    of_patient, who = ("", ()) if patient is None else ("AND patient = ?", (patient,))
    query = f"""SELECT {", ".join(_FIELDS)} FROM document WHERE topic = ? {of_patient} AND time_us >= ? AND time_us < ?
                ORDER BY time_us DESC, patient, device, type, body LIMIT ?"""
    rows = reader.execute(query, (topic, *who, from_us, to_us, limit)).fetchall()
    return [convert(dict(zip(_FIELDS, row, strict=True)), Document) for row in rows]


def counts(reader: apsw.Connection) -> dict[str, int]:
    """How many documents of each topic there are, with those that were replaced."""
    found = dict(reader.execute("SELECT topic, count(*) FROM document GROUP BY topic"))
    found[Topic.CARE_EVENTS] = found.get(Topic.CARE_EVENTS, 0) + found.pop(_REPLACED, 0)
    return found


def forget(writer: apsw.Connection, received_from_us: int) -> None:
    """Remove documents received at or after that instant."""
    writer.execute("DELETE FROM document WHERE received_at_us >= ?", (received_from_us,))


def erase(writer: apsw.Connection, patient: str, devices: Sequence[str], most: int) -> int:
    """Remove documents of a patient, and dead letters that name nobody and came from these devices; that many of a topic
    at most. How many went."""
    count = sum(_erase(writer, topic, "patient = ?", patient, most) for topic in (*STORED, _REPLACED))
    from_them = "patient = '' AND device IN (SELECT value FROM json_each(?))"
    return count + _erase(writer, Topic.DEAD_LETTERS, from_them, json.dumps(list(devices)), most)


def _erase(writer: apsw.Connection, topic: str, which: str, value: str, most: int) -> int:
    some = f"SELECT identity FROM document WHERE topic = ? AND {which} LIMIT ?"
    writer.execute(f"DELETE FROM document WHERE identity IN ({some})", (topic, value, most))
    return writer.changes()
