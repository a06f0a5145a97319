"""Modules of devices in SQLite. Functions over a connection; the transaction is the caller's."""

from typing import Any, Final

import apsw
import msgspec

from islet.errors import AlreadyExists, NotFound
from islet.store.devices_base import Module

TABLES: Final = """
CREATE TABLE IF NOT EXISTS module (
    device TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (device, id)
) STRICT, WITHOUT ROWID;
"""


def modules(reader: apsw.Connection, device: str) -> list[Module]:
    rows: list[Any] = reader.execute("SELECT body FROM module WHERE device = ? ORDER BY id", (device,)).fetchall()
    return [msgspec.json.decode(body, type=Module) for (body,) in rows]


def module(connection: apsw.Connection, device: str, id: str) -> Module | None:
    body: bytes | None = connection.execute("SELECT body FROM module WHERE device = ? AND id = ?", (device, id)).get
    return None if body is None else msgspec.json.decode(body, type=Module)


def create(writer: apsw.Connection, one: Module) -> None:
    if module(writer, one.device, one.id) is not None:
        raise AlreadyExists(f"A module with ID '{one.id}' is already registered for this device.")
    _put(writer, one)


def update(writer: apsw.Connection, one: Module) -> None:
    _check(writer, one.device, one.id)
    _put(writer, one)


def delete(writer: apsw.Connection, device: str, id: str) -> None:
    _check(writer, device, id)
    writer.execute("DELETE FROM module WHERE device = ? AND id = ?", (device, id))


def forget(writer: apsw.Connection, device: str) -> None:
    writer.execute("DELETE FROM module WHERE device = ?", (device,))


def _check(writer: apsw.Connection, device: str, id: str) -> None:
    if module(writer, device, id) is None:
        raise NotFound(f"Module with ID '{id}' is not registered.")


def _put(writer: apsw.Connection, one: Module) -> None:
    values = (one.device, one.id, msgspec.json.encode(one))
    writer.execute("INSERT OR REPLACE INTO module VALUES (?, ?, ?)", values)
