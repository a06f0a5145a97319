"""Twins and MQTT sessions in SQLite. Functions over a connection; the transaction is the caller's."""

import base64
import secrets
from collections.abc import Sequence
from typing import Any, Final

import apsw
import msgspec

from islet.decode.iothub_twins import UNWRITTEN, JsonObject, ServiceTwin, Twin, patched, patched_tags
from islet.store.devices_base import Address, EtagDiffers

TABLES: Final = """
CREATE TABLE IF NOT EXISTS twin (
    device TEXT NOT NULL, generation TEXT NOT NULL, module TEXT NOT NULL, twin BLOB NOT NULL,
    PRIMARY KEY (device, module)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqtt_session (
    device TEXT NOT NULL, generation TEXT NOT NULL, module TEXT NOT NULL, filters BLOB NOT NULL,
    PRIMARY KEY (device, module)
) STRICT, WITHOUT ROWID;
"""
_ONE: Final = "SELECT {} FROM {} WHERE device = ? AND generation = ? AND module = ?"


def twin(connection: apsw.Connection, of: Address) -> Twin:
    body: bytes | None = connection.execute(_ONE.format("twin", "twin"), (of.device, of.generation, of.module)).get
    return UNWRITTEN if body is None else msgspec.json.decode(body, type=Twin)


def twins(reader: apsw.Connection) -> dict[Address, Twin]:
    rows: list[Any] = reader.execute("SELECT device, generation, module, twin FROM twin").fetchall()
    return {Address(*of): msgspec.json.decode(body, type=Twin) for *of, body in rows}


def report(writer: apsw.Connection, of: Address, patch: JsonObject, now_us: int) -> Twin:
    before = twin(writer, of)
    after = msgspec.structs.replace(
        before, reported=patched(before.reported, patch, now_us), version=before.version + 1
    )
    _put(writer, of, after)
    return after


def change(
    writer: apsw.Connection, of: Address, wanted: ServiceTwin, now_us: int, *, whole: bool, etag: str | None
) -> Twin:
    before = twin(writer, of)
    if etag is not None and etag != before.etag:
        raise EtagDiffers("expected If-Match to be the twin's present etag, or *; read it again")
    tags, desired = before.tags, before.desired
    if wanted.tags is not None:
        tags = patched_tags(tags, wanted.tags, whole=whole)
    if wanted.desired is not None:
        desired = patched(desired, wanted.desired, now_us, whole=whole)
    after = msgspec.structs.replace(
        before,
        tags=tags,
        desired=desired,
        version=before.version + 1,
        etag=base64.b64encode(secrets.token_bytes(8)).decode(),
    )
    _put(writer, of, after)
    return after


def note_model(writer: apsw.Connection, of: Address, model_id: str) -> None:
    before = twin(writer, of)
    if before.model_id != model_id:
        _put(writer, of, msgspec.structs.replace(before, model_id=model_id))


def _put(writer: apsw.Connection, of: Address, twin: Twin) -> None:
    values = (of.device, of.generation, of.module, msgspec.json.encode(twin))
    writer.execute("INSERT OR REPLACE INTO twin VALUES (?, ?, ?, ?)", values)


def session(reader: apsw.Connection, of: Address) -> tuple[tuple[str, int], ...] | None:
    body: bytes | None = reader.execute(
        _ONE.format("filters", "mqtt_session"), (of.device, of.generation, of.module)
    ).get
    return None if body is None else msgspec.json.decode(body, type=tuple[tuple[str, int], ...])


def put_session(writer: apsw.Connection, of: Address, filters: Sequence[tuple[str, int]]) -> None:
    values = (of.device, of.generation, of.module, msgspec.json.encode(filters))
    writer.execute("INSERT OR REPLACE INTO mqtt_session VALUES (?, ?, ?, ?)", values)


def delete_session(writer: apsw.Connection, of: Address) -> None:
    writer.execute("DELETE FROM mqtt_session WHERE device = ? AND module = ?", (of.device, of.module))


def forget(writer: apsw.Connection, device: str, module: str | None = None) -> None:
    """The twins and sessions of a device and its modules; of one module where it is given."""
    for table in ("twin", "mqtt_session"):
        query = f"DELETE FROM {table} WHERE device = ? AND (? IS NULL OR module = ?)"
        writer.execute(query, (device, module, module))
