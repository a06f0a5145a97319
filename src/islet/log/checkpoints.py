"""Moving the write-ahead log into the database beside its writer.

SQLite does it in the commit that makes the log long enough, and everybody who waits for that commit waits 50 ms longer.
Here another thread moves the pages, 16 MB at a time. The file begins anew only when no page is left to be moved: seldom,
commits wait until the few that came while the others were moved have been moved, too.
"""

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from islet.log.connection import WAL_PAGES, open_database

LONGEST_PAGES = 4 * WAL_PAGES
"""Of the write-ahead log, about, before it begins anew."""

_logger = logging.getLogger(__name__)
_LEVELS: Final = ("OFF", "NORMAL", "FULL")


class Checkpoints:
    """Of one writing connection, of which it is the hook after each commit; who commits holds `writing`."""

    def __init__(self, path: Path, key: bytes, writer: apsw.Connection, writing: threading.Lock) -> None:
        self._path, self._key, self._writing = path, key, writing
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-checkpoint")
        self._running: Future[None] | None = None
        self._pages = self._begun_at = 0  # how many the log has, and had when the last one began
        self._closed = False
        writer.set_wal_hook(self._after_commit)

    def close(self) -> None:
        """Wait for the one that runs; before the writer is closed, which moves what is left."""
        with self._writing:
            self._closed = True
        self._thread.shutdown()

    def _after_commit(self, writer: apsw.Connection, _name: str, pages: int) -> int:
        """What was committed is durable: nothing here may fail for it."""
        if pages < self._pages:
            self._begun_at = 0  # the file has begun anew
        self._pages = pages
        if pages - self._begun_at >= WAL_PAGES and not self._closed and (self._running is None or self._running.done()):
            self._begun_at = pages
            self._running = self._thread.submit(self._move, _LEVELS[int(writer.pragma("synchronous"))])
        return apsw.SQLITE_OK

    def _move(self, synchronous: str) -> None:
        try:
            with closing(open_database(self._path, self._key)) as connection:
                connection.pragma("synchronous", synchronous)
                pages, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if pages >= LONGEST_PAGES:
                    _, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                    self._move_the_last(connection, moved)
        except Exception as error:  # the disk is full, say: the writer meets it too
            _logger.warning("a checkpoint failed; the next one tries again: %s", type(error).__name__)

    def _move_the_last(self, connection: apsw.Connection, moved: int) -> None:
        """Those that came after so many, while nobody commits."""
        with self._writing:
            if moved < self._pages:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
