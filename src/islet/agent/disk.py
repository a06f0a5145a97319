"""What an agent keeps on its disk: one SQLite file, durable when a call returns, whole after any crash.

The standard library's SQLite, so that a small machine needs nothing more. It is not encrypted: the folder is the
owner's alone, and belongs on an encrypted disk.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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


class Disk:
    """One for an agent; all methods belong to one thread. Raises sqlite3.Error when the disk is full or broken."""

    def __init__(self, path: Path) -> None:
        """Open it at `path`, made where there is none; its folder becomes the owner's alone."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self.connection = self._opened(path, "FULL")
        # an acknowledged event that comes back after a power cut is sent again, which is harmless: no sync for that
        self._forgetful = self._opened(path, "NORMAL")
        self._depth = 0
        self._undone: list[Callable[[], None]] = []
        with self.together():
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
        self.connection.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            for undone in self._undone:
                undone()
            raise
        finally:
            self._depth = 0

    def when_undone(self, act: Callable[[], None]) -> None:
        """Call `act` whenever a block is undone: what is remembered in memory has to be read again."""
        self._undone.append(act)

    def forget_events(self, numbers: list[int]) -> None:
        """Remove events that are in the platform's log."""
        if numbers:
            self._forgetful.execute("BEGIN IMMEDIATE")
            self._forgetful.executemany("DELETE FROM event WHERE number = ?", [(number,) for number in numbers])
            self._forgetful.execute("COMMIT")

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
