"""Readings in SQLite: one row per identity (patient, time, device), kept in that order on the disk.

Functions over a connection; the transaction is the caller's.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any, Final

import apsw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.log.base import Slice
from islet.model.batch import METHOD_CODES, UNIT_CODES, ReadingRow, int64_column, readings_batch, without_patients
from islet.model.events import Method
from islet.model.hours import COLUMNS, Hours, hours_of
from islet.model.series import Series
from islet.model.time import HOUR_US
from islet.store.base import Latest, Receipt

TABLES: Final = """
CREATE TABLE IF NOT EXISTS reading_patient (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS reading_device (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS reading (
    patient INTEGER NOT NULL, time_us INTEGER NOT NULL, device INTEGER NOT NULL,
    glucose_tenths INTEGER NOT NULL, value REAL NOT NULL, unit INTEGER NOT NULL, range INTEGER NOT NULL,
    method INTEGER NOT NULL, received_at_us INTEGER NOT NULL,
    PRIMARY KEY (patient, time_us, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conflict (
    patient INTEGER NOT NULL, time_us INTEGER NOT NULL, device INTEGER NOT NULL,
    glucose_tenths INTEGER NOT NULL, value REAL NOT NULL, unit INTEGER NOT NULL, range INTEGER NOT NULL,
    method INTEGER NOT NULL, received_at_us INTEGER NOT NULL,
    PRIMARY KEY (patient, time_us, device, glucose_tenths, range)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reading_newest (one INTEGER PRIMARY KEY CHECK (one = 1), time_us INTEGER NOT NULL) STRICT;
"""
_INSERT: Final = "INSERT OR IGNORE INTO reading VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_KEEP_ASIDE: Final = """
INSERT OR IGNORE INTO conflict SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM reading
WHERE patient = ?1 AND time_us = ?2 AND device = ?3 AND (glucose_tenths <> ?4 OR range <> ?7)
"""
_NEWER: Final = (
    "INSERT INTO reading_newest VALUES (1, ?) ON CONFLICT DO UPDATE SET time_us = max(time_us, excluded.time_us)"
)
_NUMBERS: Final = ("glucose_tenths", "value", "unit", "range", "method", "received_at_us")
_SERIES: Final = """
SELECT time_us, glucose_tenths, range, device, unit FROM reading
WHERE patient = (SELECT id FROM reading_patient WHERE name = ?1) AND time_us >= ?2 AND time_us < ?3
    AND method = ifnull(?4, method)
ORDER BY time_us
"""
_RECEIPTS: Final = """
SELECT time_us, method, min(received_at_us) AS received FROM reading
WHERE patient = (SELECT id FROM reading_patient WHERE name = ?1) AND time_us >= ?2 AND time_us < ?3
GROUP BY time_us, method HAVING received >= ?4 ORDER BY received, time_us
"""
_LAST_RECEIVED: Final = """
SELECT max(received_at_us) FROM reading
WHERE patient = (SELECT id FROM reading_patient WHERE name = ?) AND time_us >= ?
"""
_AS_SENT: Final = """
SELECT d.name, r.time_us, r.glucose_tenths, r.value, r.unit, r.range, r.method
FROM reading r JOIN reading_device d ON d.id = r.device
WHERE r.patient = (SELECT id FROM reading_patient WHERE name = ?) ORDER BY r.time_us, d.name
"""
_HOURS: Final = f"""
SELECT (time_us + ?4 - (((time_us + ?4) % {HOUR_US}) + {HOUR_US}) % {HOUR_US}) / {HOUR_US} AS hour, count(*),
    sum(glucose_tenths), sum(glucose_tenths * glucose_tenths),
    sum(CASE unit WHEN {UNIT_CODES.index("mmol/L")} THEN value < 3.9 ELSE glucose_tenths < 700 END),
    sum(CASE unit WHEN {UNIT_CODES.index("mmol/L")} THEN value > 10.0 ELSE glucose_tenths > 1800 END)
FROM reading WHERE patient = (SELECT id FROM reading_patient WHERE name = ?1) AND time_us >= ?2 AND time_us < ?3
    AND method = {METHOD_CODES.index("cgm")}
GROUP BY hour ORDER BY hour
"""
_LATEST: Final = """
SELECT p.name, d.name, r.time_us, r.glucose_tenths, r.range
FROM reading_patient p
CROSS JOIN reading r ON r.patient = p.id AND r.time_us = (SELECT max(time_us) FROM reading WHERE patient = p.id)
JOIN reading_device d ON d.id = r.device
{chosen} ORDER BY p.name, d.name
"""
_LATEST_FIELDS: Final = tuple(field.name for field in fields(Latest))


class Names:
    """The small numbers that stand for the names of patients and devices; made when first needed."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._ids: dict[str, int] = {}

    def ids(self, writer: apsw.Connection, names: Sequence[str]) -> NDArray[np.int64]:
        """The number of each name, in their order."""
        for name in names:
            if name not in self._ids:
                writer.execute(f"INSERT OR IGNORE INTO {self._table} (name) VALUES (?)", (name,))
                self._ids[name] = writer.execute(f"SELECT id FROM {self._table} WHERE name = ?", (name,)).get
        return np.fromiter(map(self._ids.__getitem__, names), np.int64, len(names))

    def forget(self) -> None:
        """To be called when a transaction was rolled back: its numbers were never given."""
        self._ids.clear()


def insert(
    writer: apsw.Connection, slices: Sequence[Slice], patients: Names, devices: Names, erased: Collection[str]
) -> None:
    """Take in readings; of two with one identity the first stays, a second with another value goes to `conflict`."""
    batches = [batch for one in slices if (batch := without_patients(one.batch, erased)).num_rows]
    if not batches:
        return
    columns = [_columns(writer, one, patients, devices) for one in batches]
    joined = [np.concatenate(each) for each in zip(*columns, strict=True)]
    patient, time_us, device = joined[:3]
    order = np.lexsort((device, time_us, patient))  # as on the disk; equals stay in the order of the log
    rows = list(zip(*(column[order].tolist() for column in joined), strict=True))
    before = writer.total_changes()
    writer.executemany(_INSERT, rows)
    if writer.total_changes() - before < len(rows):
        writer.executemany(_KEEP_ASIDE, rows)
    writer.execute(_NEWER, (int(time_us.max()),))


def _columns(writer: apsw.Connection, batch: pa.RecordBatch, patients: Names, devices: Names) -> list[NDArray[Any]]:
    keys = [
        _numbered(writer, batch.column("patient"), patients),
        int64_column(batch, "time_us"),
        _numbered(writer, batch.column("device"), devices),
    ]
    return keys + [batch.column(name).to_numpy(zero_copy_only=False) for name in _NUMBERS]


def _numbered(writer: apsw.Connection, column: Any, names: Names) -> NDArray[np.int64]:
    coded = column.dictionary_encode()
    numbers: NDArray[np.int64] = names.ids(writer, coded.dictionary.to_pylist())[coded.indices.to_numpy()]
    return numbers


def series(reader: apsw.Connection, patient: str, from_us: int, to_us: int, *, method: Method | None = None) -> Series:
    """The patient's readings with from_us <= time < to_us, one per instant (the device first by name)."""
    code = METHOD_CODES.index(method) if method else None
    rows: list[Any] = reader.execute(_SERIES, (patient, from_us, to_us, code)).fetchall()
    time_us, tenths, range_, _, units = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    times = np.array(time_us, np.int64)
    if (times[1:] == times[:-1]).any():
        names = dict(reader.execute("SELECT id, name FROM reading_device"))
        rows.sort(key=lambda row: (row[0], names[row[3]]))
        _, tenths, range_, _, units = zip(*rows, strict=True)
    first = np.append(True, times[1:] != times[:-1])[: len(times)]
    return Series(
        time_us=times[first],
        glucose_tenths=np.array(tenths, np.int32)[first],
        range=np.array(range_, np.int8)[first],
        in_mmol_l=(np.array(units, np.int8) == UNIT_CODES.index("mmol/L"))[first],
    )


def select(reader: apsw.Connection, patient: str) -> pa.RecordBatch:
    """All readings of a patient as they came (n rows of READINGS_SCHEMA), by time and device."""
    rows: list[Any] = reader.execute(_AS_SENT, (patient,)).fetchall()
    return readings_batch([ReadingRow(patient, *row) for row in rows])


def receipts(reader: apsw.Connection, patient: str, from_us: int, to_us: int, received_from_us: int) -> list[Receipt]:
    """When readings with from_us <= time < to_us were received, of those at received_from_us or later, in that order; of
    two of one instant when the first was. All readings of that time are looked at."""
    rows: Any = reader.execute(_RECEIPTS, (patient, from_us, to_us, received_from_us))
    return [Receipt(time_us, METHOD_CODES[method], received_us) for time_us, method, received_us in rows]


def last_received(reader: apsw.Connection, patient: str, from_us: int) -> int:
    """When the newest of a patient's readings with from_us <= time was received, 0 where there is none."""
    return reader.execute(_LAST_RECEIVED, (patient, from_us)).get or 0


def hours(reader: apsw.Connection, patient: str, from_us: int, to_us: int, offset_us: int) -> Hours:
    """The sensor's readings of a patient with from_us <= time < to_us, summed by the hour of time + offset_us."""
    rows = reader.execute(_HOURS, (patient, from_us, to_us, offset_us)).fetchall()
    return hours_of(np.array(rows, np.int64).reshape(-1, len(COLUMNS)))


def latest(reader: apsw.Connection, patients: Sequence[str] | None) -> list[Latest]:
    """The newest reading of each patient, in order of the patients' ids.

    Found in the order of the table, a few steps a patient; nothing has to be kept up to date for it.
    """
    chosen = "" if patients is None else "WHERE p.name IN (SELECT value FROM json_each(?))"
    values = () if patients is None else (json.dumps(list(patients)),)
    rows: Any = reader.execute(_LATEST.format(chosen=chosen), values)
    first_of_instant = {row[0]: row for row in reversed(rows.fetchall())}
    return [Latest(**dict(zip(_LATEST_FIELDS, row, strict=True))) for row in reversed(first_of_instant.values())]


def newest_time_us(reader: apsw.Connection) -> int:
    """The time of the newest reading of anybody, 0 when there is none."""
    return reader.execute("SELECT time_us FROM reading_newest").get or 0


def forget(writer: apsw.Connection, received_from_us: int) -> None:
    """Remove readings and conflicts received at or after that instant."""
    writer.execute("DELETE FROM reading WHERE received_at_us >= ?", (received_from_us,))
    writer.execute("DELETE FROM conflict WHERE received_at_us >= ?", (received_from_us,))


def erase(writer: apsw.Connection, patient: str, most: int) -> int:
    """Remove readings and conflicts of a patient, that many of each at most; how many went. The number of their name
    stays theirs."""
    count = 0
    for table in ("reading", "conflict"):
        bound = f"""SELECT max(time_us) FROM (SELECT time_us FROM {table}
            WHERE patient = (SELECT id FROM reading_patient WHERE name = ?1) ORDER BY time_us LIMIT ?2)"""
        writer.execute(
            f"""DELETE FROM {table} WHERE patient = (SELECT id FROM reading_patient WHERE name = ?1)
                AND time_us <= ({bound})""",
            (patient, most),
        )
        count += writer.changes()
    return count
