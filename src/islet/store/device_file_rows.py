"""Uploaded files in SQLite. Functions over a connection; the transaction is the caller's."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import apsw
import msgspec
from msgspec import Struct

from islet.decode.block_lists import Wanted
from islet.errors import BadInput, IsletError, NotFound
from islet.model.time import DAY_US, HOUR_US

CONTAINER: Final = "device-files"
"""What stands before a file's name in its address, as the name of a container does at Azure."""
MOST_UNDER_WAY: Final = 10
"""Of one device, as at IoT Hub."""
MOST_FILES: Final = 10_000
"""Of one device, as long as they are kept."""
MOST_BLOCKS: Final = 1000
"""Of one file."""
UPLOAD_US: Final = HOUR_US
NOTIFICATION_US: Final = 2 * DAY_US

TABLES: Final = """
CREATE TABLE IF NOT EXISTS device_file (
    id TEXT PRIMARY KEY, device TEXT NOT NULL, generation TEXT NOT NULL, patient TEXT NOT NULL, name TEXT NOT NULL,
    begun_us INTEGER NOT NULL, until_us INTEGER NOT NULL, changed_us INTEGER NOT NULL, state TEXT NOT NULL, bytes INTEGER,
    held INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS device_file_by_device ON device_file (device, held);
CREATE INDEX IF NOT EXISTS device_file_by_patient ON device_file (patient, begun_us);
CREATE TABLE IF NOT EXISTS device_file_piece (
    id TEXT PRIMARY KEY, file TEXT NOT NULL, block TEXT NOT NULL, place INTEGER, bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS device_file_piece_by_file ON device_file_piece (file, place);
CREATE TABLE IF NOT EXISTS device_file_notification (
    number INTEGER PRIMARY KEY AUTOINCREMENT, notification BLOB NOT NULL, until_us INTEGER NOT NULL,
    lock_token TEXT NOT NULL DEFAULT '', locked_until_us INTEGER NOT NULL DEFAULT 0
) STRICT;
"""
COLUMNS: Final = "id, device, generation, patient, name, begun_us, until_us, changed_us, state, bytes"
HELD: Final = "SELECT coalesce(sum(bytes), 0) FROM device_file_piece WHERE file = ?"


class FileState(StrEnum):
    """How an upload stands."""

    UNDER_WAY = "under way"
    COMPLETE = "complete"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    """The content came; the device never said that it was done."""


class DeviceFile(Struct, frozen=True, kw_only=True):
    """A file of a device, and of the patient whom the device belonged to when it began ("": nobody). Until `until_us` it
    may be written; `bytes` is None while nothing was put together."""

    id: str
    device: str
    generation: str
    patient: str
    name: str
    begun_us: int
    until_us: int
    changed_us: int
    state: FileState
    bytes: int | None


class FileNotification(Struct, frozen=True, kw_only=True):
    """What services are told of a file that is complete."""

    device: str
    name: str
    bytes: int
    changed_us: int
    at_us: int


class FileQuota(IsletError):
    """The device has as many files, or as many under way, as it may."""


class FileTooLarge(IsletError):
    """More bytes than a file, or all files of the device, may have."""


class FileThere(IsletError):
    """Only a new file was to be made, and there is one."""


class Bounds(NamedTuple):
    """What one file may hold, and all files of a device."""

    file_bytes: int
    device_bytes: int


def one(reader: apsw.Connection, id: str) -> DeviceFile:
    """Raises NotFound."""
    row: Any = reader.execute(f"SELECT {COLUMNS} FROM device_file WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound("there is no such file")
    return read(row)


def read(row: Any) -> DeviceFile:
    return msgspec.convert(dict(zip(DeviceFile.__struct_fields__, row, strict=True)), DeviceFile)


def add(writer: apsw.Connection, file: DeviceFile) -> None:
    writer.execute(f"INSERT INTO device_file ({COLUMNS}) VALUES ({', '.join('?' * 10)})", msgspec.structs.astuple(file))


def check_quota(writer: apsw.Connection, device: str, now_us: int, most_bytes: int) -> None:
    """Raises FileQuota where the device may not begin another one."""
    query = "SELECT count(*), coalesce(sum(state = ? AND until_us > ?), 0) FROM device_file WHERE device = ?"
    row: Any = writer.execute(query, (FileState.UNDER_WAY, now_us, device)).fetchone()
    count, under_way = row
    if under_way >= MOST_UNDER_WAY:
        raise FileQuota(f"{under_way} uploads of the device are under way, and no more may be")
    if count >= MOST_FILES or held_of_device(writer, device) >= most_bytes:
        raise FileQuota(f"expected at most {MOST_FILES} files of a device, of {most_bytes} bytes in all")


def held_of_device(reader: apsw.Connection, device: str) -> int:
    """The bytes of all its files."""
    held: int = reader.execute("SELECT coalesce(sum(held), 0) FROM device_file WHERE device = ?", (device,)).get
    return held


def pieces(reader: apsw.Connection, condition: str, *values: str) -> list[str]:
    found: list[Any] = reader.execute(f"SELECT id FROM device_file_piece WHERE {condition}", values).fetchall()
    return [id for (id,) in found]


def emptied(writer: apsw.Connection, id: str, condition: str = "file = ?", *values: str) -> list[str]:
    """Forget pieces of a file, all by default; which they were."""
    old = pieces(writer, condition, id, *values)
    writer.executemany("DELETE FROM device_file_piece WHERE id = ?", [(piece,) for piece in old])
    count(writer, id)
    return old


def count(writer: apsw.Connection, id: str) -> None:
    """Its pieces have changed: a device can have more of them than could be added up each time."""
    writer.execute(f"UPDATE device_file SET held = ({HELD}) WHERE id = ?", (id, id))


def filled(writer: apsw.Connection, id: str, size: int, now_us: int) -> None:
    """It has a content of that length."""
    writer.execute("UPDATE device_file SET bytes = ?, changed_us = ? WHERE id = ?", (size, now_us, id))


def chosen(reader: apsw.Connection, id: str, wanted: Sequence[Wanted]) -> list[tuple[str, int]]:
    """The pieces (with their bytes) that a list of blocks names. Raises BadInput."""
    query = "SELECT block, place IS NOT NULL, id, bytes FROM device_file_piece WHERE file = ?"
    there: dict[tuple[str, bool], tuple[str, int]] = {
        (block, bool(placed)): (piece, size) for block, placed, piece, size in reader.execute(query, (id,))
    }
    found = []
    for one in wanted:
        places = {"Committed": (True,), "Uncommitted": (False,), "Latest": (False, True)}[one.where]
        piece = next((there[one.block, placed] for placed in places if (one.block, placed) in there), None)
        if piece is None or piece in found:
            raise BadInput("expected each block once, and to have been put", reason="block_list")
        found.append(piece)
    return found


def notify(writer: apsw.Connection, file: DeviceFile, size: int, now_us: int) -> None:
    """Services are to hear of it."""
    told = FileNotification(device=file.device, name=file.name, bytes=size, changed_us=file.changed_us, at_us=now_us)
    writer.execute(
        "INSERT INTO device_file_notification (notification, until_us) VALUES (?, ?)",
        (msgspec.msgpack.encode(told), now_us + NOTIFICATION_US),
    )


def over(writer: apsw.Connection, now_us: int, kept_from_us: int) -> list[str]:
    """End uploads whose time is over, forget what is too old; the pieces that nobody needs any more."""
    ended = (FileState.UNDER_WAY, now_us)
    writer.execute(
        "UPDATE device_file SET state = ? WHERE state = ? AND until_us <= ? AND bytes IS NOT NULL",
        (FileState.UNCONFIRMED, *ended),
    )
    rows: list[Any] = writer.execute(
        "SELECT id FROM device_file WHERE (state = ? AND until_us <= ?) OR begun_us < ?", (*ended, kept_from_us)
    ).fetchall()
    old = [piece for (id,) in rows for piece in emptied(writer, id)]
    writer.executemany("DELETE FROM device_file WHERE id = ?", rows)
    writer.execute("DELETE FROM device_file_notification WHERE until_us <= ?", (now_us,))
    return old


def anything_over(reader: apsw.Connection, now_us: int, kept_from_us: int) -> bool:
    """Whether `over` would do something; it looks only."""
    found: int = reader.execute(
        "SELECT EXISTS (SELECT 1 FROM device_file WHERE (state = ? AND until_us <= ?) OR begun_us < ?)"
        " OR EXISTS (SELECT 1 FROM device_file_notification WHERE until_us <= ?)",
        (FileState.UNDER_WAY, now_us, kept_from_us, now_us),
    ).get
    return bool(found)
