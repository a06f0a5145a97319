"""Alerts in SQLite: the state that follows from the changes in the log.

Functions over a connection; the transaction is the caller's.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

import apsw
from msgspec import convert, structs

from islet.log.base import Slice
from islet.model.alerts import Alert, AlertChange, Severity, fold
from islet.model.codec import decode_change
from islet.model.time import DAY_US

TABLES: Final = """
CREATE TABLE IF NOT EXISTS alert (
    id TEXT NOT NULL PRIMARY KEY, rule TEXT NOT NULL, patient TEXT NOT NULL, severity TEXT NOT NULL,
    onset_us INTEGER NOT NULL, opened_received_us INTEGER NOT NULL, device TEXT NOT NULL, glucose_tenths INTEGER,
    cleared_us INTEGER, retracted INTEGER NOT NULL, acknowledged_us INTEGER, acknowledged_by TEXT NOT NULL,
    replaced_by TEXT NOT NULL DEFAULT '', retrospective INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS alert_by_onset ON alert (onset_us);
CREATE INDEX IF NOT EXISTS alert_active ON alert (onset_us) WHERE NOT retracted AND cleared_us IS NULL;
CREATE INDEX IF NOT EXISTS alert_replaced ON alert (replaced_by) WHERE replaced_by <> '';
"""
_FIELDS: Final = tuple(field.name for field in structs.fields(Alert))
_COLUMNS: Final = ", ".join(_FIELDS)
_PUT: Final = f"""
INSERT INTO alert ({_COLUMNS}) VALUES ({", ".join("?" * len(_FIELDS))}) ON CONFLICT (id) DO UPDATE
SET {", ".join(f"{name} = excluded.{name}" for name in _FIELDS[1:])}
"""
_OF_CHANGES: Final = ("patient", "body", "received_at_us")
_OPEN: Final = "cleared_us IS NULL"
_UNSEEN: Final = (
    "cleared_us IS NOT NULL AND acknowledged_us IS NULL AND NOT retrospective"
    f" AND severity IN ('{Severity.URGENT}', '{Severity.WARNING}') AND onset_us >= ?"
)
_RANKS: Final = " ".join(f"WHEN '{severity}' THEN {rank}" for rank, severity in enumerate(Severity))
_SEVERITY: Final = f"CASE severity {_RANKS} END"
_BY_URGENCY: Final = f"cleared_us IS NOT NULL, {_SEVERITY}, acknowledged_us IS NOT NULL, onset_us DESC, id"
_NEWEST_US: Final = 2**63 - 1
_BY_ONSET: Final = f"onset_us DESC, {_SEVERITY}, id"


def upgrade(writer: apsw.Connection) -> None:
    """Give a table of an earlier version the columns that it lacks."""
    known = {row[1] for row in writer.execute("PRAGMA table_info(alert)")}
    if "retrospective" not in known:
        writer.execute("ALTER TABLE alert ADD COLUMN retrospective INTEGER NOT NULL DEFAULT 0")


def insert(writer: apsw.Connection, one: Slice, erased: Collection[str]) -> None:
    """Fold changes, which are in the order of the log, into the table."""
    columns = one.batch.to_pydict()
    for patient, body, received_us in zip(*(columns[name] for name in _OF_CHANGES), strict=True):
        if patient not in erased:
            _apply(writer, decode_change(body), received_us)


def _apply(writer: apsw.Connection, change: AlertChange, received_us: int) -> None:
    alert = fold(select_one(writer, change.id), change, received_us)
    if alert is None:
        return
    _put(writer, alert)
    if change.change == "retracted":
        writer.execute("UPDATE alert SET replaced_by = ? WHERE id = ?", (change.replaced_by, change.id))
    if change.change != "cleared":  # that changes neither who acknowledged what nor what replaces what
        _inherit(writer, alert.id)


def _put(writer: apsw.Connection, alert: Alert) -> None:
    writer.execute(_PUT, structs.astuple(alert))


def _inherit(writer: apsw.Connection, id: str) -> None:
    """Pass an acknowledgement on: to this alert from those it replaces, and from it to what replaces it.

    So it arrives in whatever order retraction, acknowledgement and the new alert come.
    """
    writer.execute(
        """UPDATE alert SET acknowledged_us = old.acknowledged_us, acknowledged_by = old.acknowledged_by
           FROM (SELECT acknowledged_us, acknowledged_by FROM alert WHERE replaced_by = ?1 AND replaced_by <> ''
                 AND retracted AND acknowledged_us IS NOT NULL ORDER BY acknowledged_us, id LIMIT 1) AS old
           WHERE alert.id = ?1 AND alert.acknowledged_us IS NULL""",
        (id,),
    )
    following: Any = writer.execute(
        """SELECT replaced_by FROM alert WHERE id = ? AND retracted AND replaced_by <> '' AND acknowledged_us NOT NULL
           AND (SELECT acknowledged_us FROM alert AS next WHERE next.id = alert.replaced_by) IS NULL
           AND EXISTS (SELECT 1 FROM alert AS next WHERE next.id = alert.replaced_by)""",
        (id,),
    ).get
    if following is not None:
        _inherit(writer, following)


def select_one(reader: apsw.Connection, id: str) -> Alert | None:
    """One alert by its id, retracted or not."""
    row = reader.execute(f"SELECT {_COLUMNS} FROM alert WHERE id = ?", (id,)).fetchone()
    return None if row is None else _alert(row)


def select(reader: apsw.Connection, patients: Sequence[str] | None, until_us: int | None, limit: int) -> list[Alert]:
    """Alerts as `Store.alerts` has them."""
    query, whose = _of(patients)
    until = (_NEWEST_US if until_us is None else until_us,)
    query += f" AND onset_us <= ? ORDER BY {_BY_ONSET} LIMIT ?"
    return [_alert(row) for row in reader.execute(query, (*whose, *until, limit))]


def select_open(reader: apsw.Connection, patients: Sequence[str] | None, newest_us: int, limit: int) -> list[Alert]:
    """Those that `Store.alerts` has as `active_only`; `newest_us` is the time of the newest data. Two questions, as each
    has an index and their OR has none."""
    query, whose = _of(patients)
    query = f"SELECT * FROM ({query} AND {_OPEN} UNION ALL {query} AND {_UNSEEN}) ORDER BY {_BY_URGENCY} LIMIT ?"
    return [_alert(row) for row in reader.execute(query, (*whose, *whose, newest_us - DAY_US, limit))]


def _of(patients: Sequence[str] | None) -> tuple[str, tuple[str, ...]]:
    """The question for what was not retracted of these patients, and its values."""
    query = f"SELECT {_COLUMNS} FROM alert WHERE NOT retracted"
    if patients is None:
        return query, ()
    return f"{query} AND patient IN (SELECT value FROM json_each(?))", (json.dumps(list(patients)),)


def _alert(row: tuple[Any, ...]) -> Alert:
    return convert(dict(zip(_FIELDS, row, strict=True)), Alert, strict=False)


def forget(writer: apsw.Connection, received_from_us: int) -> None:
    """Remove alerts that were opened by an entry received at or after that instant."""
    writer.execute("DELETE FROM alert WHERE opened_received_us >= ?", (received_from_us,))


def erase(writer: apsw.Connection, patient: str) -> None:
    """Remove a patient's alerts."""
    writer.execute("DELETE FROM alert WHERE patient = ?", (patient,))
