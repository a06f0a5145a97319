"""Moving the write-ahead log into the database beside its writer.

SQLite does it in the commit that makes the log long enough: 16 MB, and everybody who waits for that commit waits 50 ms
longer. Here another thread moves the pages, and the writer only the few that came meanwhile; then the file begins anew.
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from islet.log.connection import WAL_PAGES, open_database

_logger = logging.getLogger(__name__)
_LEVELS: Final = ("OFF", "NORMAL", "FULL")


class Checkpoints:
    """Of one writing connection, of which it is the hook after each commit."""

    def __init__(self, path: Path, key: bytes, writer: apsw.Connection) -> None:
        self._path, self._key = path, key
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-checkpoint")
        self._running: Future[None] | None = None
        writer.set_wal_hook(self._after_commit)

    def close(self) -> None:
        """Wait for the one that runs; before the writer is closed, which moves what is left."""
        self._thread.shutdown()

    def _after_commit(self, writer: apsw.Connection, _name: str, pages: int) -> int:
        """What was committed is durable: nothing here may fail for it."""
        if pages >= WAL_PAGES and self._running is None:
            self._running = self._thread.submit(self._move, _LEVELS[int(writer.pragma("synchronous"))])
        elif self._running is not None and self._running.done():
            self._running = None
            try:
                writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error as error:
                _logger.warning("a checkpoint failed; the next one tries again: %s", type(error).__name__)
        return apsw.SQLITE_OK

    def _move(self, synchronous: str) -> None:
        try:
            with closing(open_database(self._path, self._key)) as connection:
                connection.pragma("synchronous", synchronous)
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except Exception as error:  # the disk is full, say: the writer meets it too
            _logger.warning("a checkpoint failed; the next one tries again: %s", type(error).__name__)
