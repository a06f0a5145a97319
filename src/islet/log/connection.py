"""Encrypted SQLite connections, opened in one way for the log and the store."""

import errno
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Literal

import apsw

from islet.errors import IsletError, KeyUnavailable, LogDamaged

KEY_BYTES = 32
_BUSY_MS = 10_000
_BUSY_POLL_S = 0.005
_OPEN_TRIES = 100
_OPEN_AGAIN_S = 0.02
WAL_PAGES = 4_000  # checkpoint every 16 MB: SQLite's 4 MB puts a second fsync into many more commits


def _wait_a_little(tries: int) -> bool:
    """Ask again soon: SQLite's own waiting gets so long that a writer with many short transactions shuts others out."""
    sleep(_BUSY_POLL_S)
    return tries * _BUSY_POLL_S * 1000 < _BUSY_MS


def open_database(path: Path, key: bytes, *, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> apsw.Connection:
    """A connection to the encrypted database at `path`, which is made (for its owner only) where there is none.

    The cipher is AEGIS (authenticated: a changed page is an error, not other data), set before the key at each
    open. Raises KeyUnavailable when the key does not open the file, LogDamaged when its beginning does not verify.
    """
    if len(key) != KEY_BYTES:
        raise KeyUnavailable(f"data key: expected {KEY_BYTES} bytes; got {len(key)}")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    for _ in range(_OPEN_TRIES - 1):
        try:
            return _opened(path, key, synchronous)
        except apsw.BusyError:  # another process makes the file a WAL now; SQLite does not wait for that by itself
            sleep(_OPEN_AGAIN_S)
    return _opened(path, key, synchronous)


def _opened(path: Path, key: bytes, synchronous: str) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    try:
        connection.pragma("cipher", "aegis")
        connection.pragma("key", f"raw:{key.hex()}")  # 32 random bytes need no key derivation
        connection.set_busy_handler(_wait_a_little)
        if connection.pragma("journal_mode") != "wal":  # a new file: both write, and opening must not wait for a writer
            connection.pragma("auto_vacuum", "INCREMENTAL")  # counts only before the first table is made
            connection.pragma("journal_mode", "WAL")
        connection.pragma("synchronous", synchronous)
        connection.pragma("wal_autocheckpoint", WAL_PAGES)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.NotADBError:
        connection.close()
        raise KeyUnavailable(
            f"{path.name}: the data key does not open this database (or its first page is damaged); "
            "give the key it was made with"
        ) from None
    except apsw.CorruptError as error:
        connection.close()
        raise LogDamaged(f"{path.name}: its first page is damaged; restore it from a backup") from error
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def plain_errors(name: str) -> Iterator[None]:
    """Turn SQLite's errors into ours: LogDamaged for bytes that do not verify, OSError for a disk that refuses."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise LogDamaged(f"{name}: a page does not verify or does not decode; restore it from a backup") from error
    except apsw.FullError as error:
        raise OSError(errno.ENOSPC, f"{name}: the disk is full") from error
    except apsw.BusyError as error:
        raise OSError(errno.EBUSY, f"{name}: another process holds it for more than {_BUSY_MS // 1000} s") from error
    except (apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError) as error:
        raise OSError(errno.EIO, f"{name}: the disk refuses ({error})") from error


class Readers:
    """Connections for reading: as many as threads read at once, each used by one thread at a time."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path, self._key = path, key
        self._idle: deque[apsw.Connection] = deque()
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[apsw.Connection]:
        """A connection for the length of the block, errors as in `plain_errors`."""
        if self._closed:
            raise IsletError(f"{self._path.name} is closed")
        with plain_errors(self._path.name):
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = open_database(self._path, self._key, synchronous="NORMAL")
            try:
                yield connection
            finally:
                self._idle.append(connection)
                if self._closed:  # while this one was in use
                    self.close()

    def close(self) -> None:
        """Close all; one that is in use closes when its block ends."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All of the block's statements or none; holds the write lock from the start, so that what it reads stays so."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
