"""What an agent keeps on its disk: one SQLite file, durable when a call returns, whole after any crash.

The standard library's SQLite, so that a small machine needs nothing more. It is not encrypted: the folder is the
owner's alone, and belongs on an encrypted disk.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from islet.errors import IsletError

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS command (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, body BLOB NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', changed_us INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS prompt (
    id TEXT PRIMARY KEY, due_us INTEGER NOT NULL, until_us INTEGER NOT NULL, state TEXT NOT NULL,
    text TEXT NOT NULL, shown INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""
_PAGE_BYTES: Final = 4096
_AHEAD_PAGES: Final = 64  # written ahead at most, about
_SPARE_BYTES: Final = 1024 * 1024  # no event takes these: what removes events and writes commands down needs room, too


class QueueFull(IsletError):
    """It takes no more until some events are in the platform's log, or the disk has room; keep them and bring them
    again."""


class DiskFull(QueueFull):
    """The disk has no room."""

    def __init__(self) -> None:
        super().__init__("the disk is full; make room, and bring it again later")


class Disk:
    """One for an agent; all methods belong to one thread. Raises QueueFull when the disk is full, and sqlite3.Error when
    it is broken."""

    def __init__(self, path: Path) -> None:
        """Open it at `path`, made where there is none; its folder becomes the owner's alone."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._path = path
        self.connection = self._opened(path, "FULL")
        # an acknowledged event that comes back after a power cut is sent again, which is harmless: no sync for that
        self._forgetful = self._opened(path, "NORMAL")
        self._depth = 0
        self._undone: list[Callable[[], None]] = []
        if self.connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'kept'").fetchone() == (0,):
            with self.together():  # only then: an agent starts on a full disk, too, and sends what waits
                for statement in filter(str.strip, _TABLES.split(";")):
                    self.connection.execute(statement)

    @staticmethod
    def _opened(path: Path, synchronous: str) -> sqlite3.Connection:
        # unix-excl: the index of what is written ahead is in memory. As a file it needs room, which a full disk has not
        # got after a crash: SQLite then ends with an error, or the process with SIGBUS.
        uri = f"{path.absolute().as_uri()}?vfs=unix-excl"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0)
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_AHEAD_PAGES}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        return connection

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written inside is durable at the end of the outermost block, all or nothing."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self._depth = 1
        try:
            with _committed(self.connection):
                yield
        except BaseException:
            for undone in self._undone:
                undone()
            raise
        finally:
            self._depth = 0

    def has_room(self, more_bytes: int) -> bool:
        """Whether an event of that size can be taken, and room be had again later, when it is removed.

        SQLite gives room back only when all that is written ahead is in its file. A disk that our own events had filled
        before that would stay full, also when the platform has them all.
        """
        (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
        (unused,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        disk = os.statvfs(self._path)
        ahead_bytes: int = max(0, pages * _PAGE_BYTES - self._path.stat().st_size)
        if more_bytes > unused * _PAGE_BYTES:  # the file grows
            spare_bytes = 2 * more_bytes + _SPARE_BYTES
        else:  # less, or an emptied file that has come up to the limit could never be used again
            spare_bytes = more_bytes + _SPARE_BYTES // 2
        return disk.f_bavail * disk.f_frsize >= ahead_bytes + spare_bytes

    def when_undone(self, act: Callable[[], None]) -> None:
        """Call `act` whenever a block is undone: what is remembered in memory has to be read again."""
        self._undone.append(act)

    def forget_events(self, numbers: Iterable[int]) -> bool:
        """Remove events that are in the platform's log. False: the disk is full, they stay; to send them again is
        harmless."""
        try:
            with _committed(self._forgetful):
                self._forgetful.executemany("DELETE FROM event WHERE number = ?", [(number,) for number in numbers])
        except QueueFull:
            return False
        return True

    def kept(self, name: str) -> bytes | None:
        """A value by name."""
        row = self.connection.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def keep(self, name: str, value: bytes | None) -> None:
        """Keep a value by name; None forgets it."""
        with self.together():
            if value is None:
                self.connection.execute("DELETE FROM kept WHERE name = ?", (name,))
            else:
                self.connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))

    def close(self) -> None:
        self._forgetful.close()
        self.connection.close()


@contextmanager
def _committed(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction: all of it, or on any error nothing. Raises QueueFull where the disk has no room for it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        no_room = isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL
        if no_room or isinstance(error, DiskFull):
            with suppress(sqlite3.Error):  # what SQLite has written ahead may be all that fills the disk
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if no_room:
            raise DiskFull from error
        raise
