"""What an agent keeps on its disk: one SQLite file, durable when a call returns, whole after any crash.

The standard library's SQLite, so that a small machine needs nothing more. It is not encrypted: the folder is the
owner's alone, and belongs on an encrypted disk.
"""

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


class QueueFull(IsletError):
    """It takes no more until some events are in the platform's log, or the disk has room; keep them and bring them
    again."""


class Disk:
    """One for an agent; all methods belong to one thread. Raises QueueFull when the disk is full, and sqlite3.Error when
    it is broken."""

    def __init__(self, path: Path) -> None:
        """Open it at `path`, made where there is none; its folder becomes the owner's alone."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
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
        connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        connection.execute("PRAGMA journal_mode = WAL")
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
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            with suppress(sqlite3.Error):  # what SQLite has written ahead may be all that fills the disk
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raise QueueFull("the disk is full; make room, and bring it again later") from error
        raise
