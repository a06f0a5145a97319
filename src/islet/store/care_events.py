"""Care events in SQLite with all that was said of them, and in the order in which they were received (`islet.store.documents`).

Functions over a connection.
"""

from collections.abc import Collection
from typing import Final

import apsw
from msgspec import convert, structs

from islet.model.care_events import care_id_key
from islet.model.topics import Topic
from islet.store.base import Document

BY_RECEIPT: Final = """
CREATE INDEX IF NOT EXISTS document_by_receipt ON document (patient, received_at_us) WHERE entry IS NOT NULL
"""
_FIELDS: Final = tuple(field.name for field in structs.fields(Document))
_AS_ENTRIES: Final = ", ".join((f"'{Topic.CARE_EVENTS}'", *_FIELDS[1:]))
_SINCE: Final = f"""FROM document WHERE patient = ?1 AND received_at_us >= ?2 AND entry IS NOT NULL
AND (topic = '{Topic.CARE_EVENTS}' OR type = 'withdrawal')"""
_MS_US: Final = 1_000


def versions(reader: apsw.Connection, patient: str, ids: Collection[tuple[str, str]]) -> list[Document]:
    """All that was said of a patient's care events under these ids, each a device and an id."""
    query = f"SELECT {_AS_ENTRIES} FROM document WHERE entry = ? AND patient = ? AND device = ?"
    rows = [row for device, id in ids for row in reader.execute(query, (care_id_key(device, id), patient, device))]
    return [convert(dict(zip(_FIELDS, row, strict=True)), Document) for row in rows]


def since(reader: apsw.Connection, patient: str, received_from_us: int, limit: int) -> list[Document]:
    """A patient's care events that hold and withdrawals, from an instant of receipt on, in that order: `limit` of them, and all of
    the last one's millisecond."""
    last: int | None = reader.execute(
        f"SELECT received_at_us {_SINCE} ORDER BY received_at_us LIMIT 1 OFFSET ?3",
        (patient, received_from_us, limit - 1),
    ).get
    before_us = 1 << 62 if last is None else (last // _MS_US + 1) * _MS_US
    rows = reader.execute(
        f"SELECT {_AS_ENTRIES} {_SINCE} AND received_at_us < ?3 ORDER BY received_at_us, time_us, device, type, body",
        (patient, received_from_us, before_us),
    ).fetchall()
    return [convert(dict(zip(_FIELDS, row, strict=True)), Document) for row in rows]


def last_received(reader: apsw.Connection, patient: str) -> int:
    """When the newest of a patient's care events and withdrawals was received, 0 where there is none."""
    return reader.execute(f"SELECT max(received_at_us) {_SINCE}", (patient, 0)).get or 0
