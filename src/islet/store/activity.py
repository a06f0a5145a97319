"""When devices and modules were last there, in SQLite. Functions over a connection; the transaction is the caller's."""

from collections.abc import Mapping
from typing import Any, Final

import apsw

from islet.store.devices_base import Activity

TABLES: Final = """
CREATE TABLE IF NOT EXISTS device_activity (
    device TEXT NOT NULL, module TEXT NOT NULL, connected INTEGER NOT NULL,
    changed_us INTEGER, seen_us INTEGER NOT NULL, PRIMARY KEY (device, module)
) STRICT, WITHOUT ROWID;
"""
_NOTE: Final = """
INSERT INTO device_activity VALUES (?1, ?2, ?3, CASE WHEN ?3 THEN ?4 END, ?4)
ON CONFLICT DO UPDATE SET
    changed_us = CASE WHEN connected = excluded.connected THEN changed_us ELSE excluded.seen_us END,
    connected = excluded.connected, seen_us = excluded.seen_us
"""


def nobody_is_connected(writer: apsw.Connection) -> None:
    """Connections of an earlier process ended with it, no earlier than they were last seen."""
    writer.execute("UPDATE device_activity SET connected = 0, changed_us = seen_us WHERE connected")


def note(writer: apsw.Connection, seen: Mapping[tuple[str, str], bool], at_us: int) -> None:
    rows = [(device, module, connected, at_us) for (device, module), connected in seen.items()]
    writer.executemany(_NOTE, rows)


def activity(reader: apsw.Connection, device: str | None) -> dict[tuple[str, str], Activity]:
    if device is None:
        rows: list[Any] = reader.execute("SELECT * FROM device_activity").fetchall()
    else:
        rows = reader.execute("SELECT * FROM device_activity WHERE device = ?", (device,)).fetchall()
    return {
        (name, module): Activity(connected=bool(connected), changed_us=changed_us, seen_us=seen_us)
        for name, module, connected, changed_us, seen_us in rows
    }


def forget(writer: apsw.Connection, device: str, module: str | None = None) -> None:
    query = "DELETE FROM device_activity WHERE device = ? AND (? IS NULL OR module = ?)"
    writer.execute(query, (device, module, module))
