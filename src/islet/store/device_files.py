"""Files that devices have uploaded: what is known of them in the installation's encrypted SQLite file, and their content
in a folder, in pieces that are each sealed with a key of their own.

A name that a device gives is never a path. A piece is durable before the file knows of it, so that after a crash a file
has all of what was acknowledged; a piece that no file knows of is swept up.
"""

import hashlib
import secrets
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from islet.decode.block_lists import Wanted
from islet.errors import AccessDenied, LogDamaged, NotFound
from islet.log.connection import Readers, open_database, plain_errors, transaction
from islet.log.names import sync_folder
from islet.model.time import SECOND_US
from islet.store import device_file_rows as rows
from islet.store.device_file_rows import (
    MOST_BLOCKS,
    UPLOAD_US,
    Bounds,
    DeviceFile,
    FileNotification,
    FileQuota,
    FileState,
    FileThere,
    FileTooLarge,
)
from islet.store.devices_base import LEASE_US, Address, LockLost
from islet.store.sealed_file import SealedFile

_MOST_SHOWN: Final = 200
_STRAY_S: Final = 3600.0
"""A piece that no file knows of, and that nobody has written to for so long, is of a process that is gone."""


class Piece:
    """A piece that is being written. What is not handed to the store is to be discarded."""

    def __init__(self, folder: Path, key: bytes, id: str) -> None:
        self.id = id
        self._path = folder / id
        self._file = SealedFile.made(self._path, key)
        self._digest = hashlib.md5(usedforsecurity=False)  # what the storage clients check with

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._file.size

    @property
    def md5(self) -> str:
        """Base64, as in the header Content-MD5."""
        return b64encode(self._digest.digest()).decode()

    def append(self, data: bytes) -> None:
        """Raises OSError."""
        self._digest.update(data)
        self._file.append(data)

    def keep(self) -> None:
        """It is durable, with its name. Raises OSError."""
        self._file.keep()
        self._file.close()
        sync_folder(self._path.parent)

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class DeviceFiles:
    """All of them. Blocks: its methods are called in threads, any of them from any thread."""

    def __init__(self, path: Path, folder: Path, key: bytes, bounds: Bounds) -> None:
        """`path` is the database's, `folder` where contents are. Raises KeyUnavailable for a wrong key."""
        self.bounds = bounds
        self._key, self._folder, self._name = key, folder, path.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.token_key = self._derived("upload tokens")
        """What signs the tokens that uploads come with."""
        self._writing = threading.Lock()
        self._readers = Readers(path, key)
        self._writer = open_database(path, key, synchronous="FULL")
        with self._change() as writer:
            writer.execute(rows.TABLES)

    @contextmanager
    def _change(self) -> Iterator[apsw.Connection]:
        with self._writing, plain_errors(self._name), transaction(self._writer):
            yield self._writer

    def _derived(self, what: str) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"islet device files: {what}".encode()).derive(
            self._key
        )

    # --- uploads ---

    def begin(self, of: Address, patient: str, name: str, now_us: int) -> DeviceFile:
        """A file that may be written for an hour. Raises FileQuota."""
        file = DeviceFile(
            id=secrets.token_hex(16),
            device=of.device,
            generation=of.generation,
            patient=patient,
            name=name,
            begun_us=now_us,
            until_us=now_us - now_us % SECOND_US + UPLOAD_US,
            changed_us=now_us,
            state=FileState.UNDER_WAY,
            bytes=None,
        )
        with self._change() as writer:
            rows.check_quota(writer, of.device, now_us, self.bounds.device_bytes)
            rows.add(writer, file)
        return file

    def file(self, id: str) -> DeviceFile:
        """Raises NotFound."""
        with self._readers.one() as reader:
            return rows.one(reader, id)

    def held(self, device: str) -> int:
        """The bytes of all files of a device."""
        with self._readers.one() as reader:
            return rows.held_of_device(reader, device)

    def new_piece(self) -> Piece:
        """Raises OSError."""
        id = secrets.token_hex(16)
        return Piece(self._folder, self._derived(id), id)

    def put(self, id: str, piece: Piece, now_us: int, *, only_new: bool = False) -> None:
        """The piece, which is durable, is all of the file now. `only_new`: raises FileThere where it has a content.

        Raises AccessDenied where it may not be written any more, and FileTooLarge.
        """
        with self._change() as writer:
            file = self._writable(writer, id, now_us)
            if only_new and file.bytes is not None:
                raise FileThere("the file is there already")
            old = rows.emptied(writer, id)
            self._add(writer, file, piece, "", 0)
            rows.filled(writer, id, piece.size, now_us)
        self._drop(old)

    def put_block(self, id: str, block: str, piece: Piece, now_us: int) -> None:
        """The piece, which is durable, waits as that block. Raises AccessDenied, FileTooLarge, and FileQuota."""
        with self._change() as writer:
            file = self._writable(writer, id, now_us)
            old = rows.emptied(writer, id, "file = ? AND block = ? AND place IS NULL", block)
            waiting: int = writer.execute(
                "SELECT count(*) FROM device_file_piece WHERE file = ? AND place IS NULL", (id,)
            ).get
            if waiting >= MOST_BLOCKS:
                raise FileQuota(f"expected at most {MOST_BLOCKS} blocks of a file")
            self._add(writer, file, piece, block, None)
        self._drop(old)

    def _add(self, writer: apsw.Connection, file: DeviceFile, piece: Piece, block: str, place: int | None) -> None:
        values = (piece.id, file.id, block, place, piece.size)
        writer.execute("INSERT INTO device_file_piece VALUES (?, ?, ?, ?, ?)", values)
        rows.count(writer, file.id)
        # what was put together may be replaced by as much
        query = f"{rows.HELD} AND (place IS NULL) = ?"
        if writer.execute(query, (file.id, place is None)).get > self.bounds.file_bytes:
            raise FileTooLarge(f"expected a file of at most {self.bounds.file_bytes} bytes")
        if rows.held_of_device(writer, file.device) > self.bounds.device_bytes:
            raise FileTooLarge(f"expected files of at most {self.bounds.device_bytes} bytes of a device")

    def put_together(self, id: str, wanted: Sequence[Wanted], now_us: int, *, only_new: bool = False) -> None:
        """These blocks in this order are the file now; others are dropped. Raises BadInput (reason "block_list") for one
        that is not there, FileThere, AccessDenied and FileTooLarge."""
        with self._change() as writer:
            file = self._writable(writer, id, now_us)
            if only_new and file.bytes is not None:
                raise FileThere("the file is there already")
            chosen = rows.chosen(writer, id, wanted)
            total = sum(size for _, size in chosen)
            if total > self.bounds.file_bytes:
                raise FileTooLarge(f"expected a file of at most {self.bounds.file_bytes} bytes")
            places = [(place, piece) for place, (piece, _) in enumerate(chosen)]
            writer.execute("UPDATE device_file_piece SET place = -1 WHERE file = ?", (id,))
            writer.executemany("UPDATE device_file_piece SET place = ? WHERE id = ?", places)
            old = rows.emptied(writer, id, "file = ? AND place = -1")
            rows.filled(writer, id, total, now_us)
        self._drop(old)

    def _writable(self, writer: apsw.Connection, id: str, now_us: int) -> DeviceFile:
        file = rows.one(writer, id)
        if file.state is not FileState.UNDER_WAY or now_us >= file.until_us:
            raise AccessDenied("the upload has ended; begin another one")
        return file

    def end(self, id: str, of: Address, now_us: int, *, success: bool) -> None:
        """The device says that it is done; services are told of what is there. A second time changes nothing.

        Raises NotFound where this device has not begun it.
        """
        old: list[str] = []
        with self._change() as writer:
            file = rows.one(writer, id)
            if (file.device, file.generation) != (of.device, of.generation):
                raise NotFound("this device has begun no upload of that correlationId")
            if file.state not in (FileState.UNDER_WAY, FileState.UNCONFIRMED):
                return
            if success and file.bytes is not None:
                old = rows.emptied(writer, id, "file = ? AND place IS NULL")
                state = FileState.COMPLETE
                rows.notify(writer, file, file.bytes, now_us)
            else:
                old = rows.emptied(writer, id)
                state = FileState.FAILED
            size = file.bytes if state is FileState.COMPLETE else None
            writer.execute("UPDATE device_file SET state = ?, bytes = ? WHERE id = ?", (state, size, id))
        self._drop(old)

    # --- people ---

    def of_patient(self, patient: str) -> list[DeviceFile]:
        """The newest 200, newest first."""
        query = f"SELECT {rows.COLUMNS} FROM device_file WHERE patient = ? ORDER BY begun_us DESC LIMIT {_MOST_SHOWN}"
        with self._readers.one() as reader:
            return [rows.read(row) for row in reader.execute(query, (patient,))]

    def content(self, file: DeviceFile) -> Iterator[bytes]:
        """All of it, in order. Raises LogDamaged where it cannot be read as it was written, NotFound where it is gone."""
        query = "SELECT id, bytes FROM device_file_piece WHERE file = ? AND place IS NOT NULL ORDER BY place"
        with self._readers.one() as reader:
            pieces: list[Any] = reader.execute(query, (file.id,)).fetchall()
        for id, size in pieces:
            try:
                with SealedFile.opened(self._folder / id, self._derived(id), size) as piece:
                    while data := piece.read(1 << 18):
                        yield data
            except InvalidTag:
                raise LogDamaged(f"file {file.id}: a piece does not verify; restore it from a backup") from None
            except FileNotFoundError:
                raise NotFound("the file was deleted") from None

    def delete(self, id: str) -> None:
        """Nobody can read it any more. Raises NotFound."""
        with self._change() as writer:
            rows.one(writer, id)
            old = rows.emptied(writer, id)
            writer.execute("DELETE FROM device_file WHERE id = ?", (id,))
        self._drop(old)

    def erase(self, patient: str, devices: Sequence[str]) -> None:
        """Forget all files of a patient, and what services would be told of files of these devices."""
        while files := self.of_patient(patient):
            for file in files:
                with suppress(NotFound):
                    self.delete(file.id)
        with self._change() as writer:
            told: list[Any] = writer.execute("SELECT number, notification FROM device_file_notification").fetchall()
            theirs = [n for n, body in told if msgspec.msgpack.decode(body, type=FileNotification).device in devices]
            writer.executemany("DELETE FROM device_file_notification WHERE number = ?", [(n,) for n in theirs])

    # --- notifications ---

    def take_notification(self, now_us: int) -> tuple[str, FileNotification] | None:
        """A lock token, and the oldest that nobody has on lease (60 s); None where there is none."""
        query = """SELECT number, notification FROM device_file_notification
            WHERE locked_until_us <= ? AND until_us > ? ORDER BY number LIMIT 1"""
        with self._readers.one() as reader:
            if reader.execute(query, (now_us, now_us)).fetchone() is None:
                return None
        with self._change() as writer:
            row: Any = writer.execute(query, (now_us, now_us)).fetchone()
            if row is None:
                return None
            number, body = row
            lock_token = secrets.token_hex(16)
            writer.execute(
                "UPDATE device_file_notification SET lock_token = ?, locked_until_us = ? WHERE number = ?",
                (lock_token, now_us + LEASE_US, number),
            )
        return lock_token, msgspec.msgpack.decode(body, type=FileNotification)

    def end_notification(self, lock_token: str, *, heard: bool) -> None:
        """Forget it, or give it back. Raises LockLost."""
        what = "DELETE FROM" if heard else "UPDATE"
        change = "" if heard else "SET lock_token = '', locked_until_us = 0"
        with self._change() as writer:
            writer.execute(
                f"{what} device_file_notification {change} WHERE lock_token = ? AND lock_token <> ''", (lock_token,)
            )
            if not writer.changes():
                raise LockLost("no notification has this lock token; receive it again")

    # --- housekeeping ---

    def tidy(self, now_us: int, kept_from_us: int) -> None:
        """End uploads whose time is over, let go what began before `kept_from_us`, and pieces that nobody knows of."""
        with self._readers.one() as reader:
            anything = rows.anything_over(reader, now_us, kept_from_us)
        if anything:
            with self._change() as writer:
                old = rows.over(writer, now_us, kept_from_us)
            self._drop(old)
        self._sweep(now_us / 1e6 - _STRAY_S)

    def _sweep(self, before_s: float) -> None:
        """Delete pieces that no file knows of, and that nobody has written to since."""
        with self._readers.one() as reader:
            known = {id for (id,) in reader.execute("SELECT id FROM device_file_piece")}
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if path.name not in known and path.stat().st_mtime < before_s:
                    path.unlink()

    def _drop(self, pieces: Sequence[str]) -> None:
        for id in pieces:
            (self._folder / id).unlink(missing_ok=True)

    def close(self) -> None:
        self._readers.close()
        self._writer.close()
