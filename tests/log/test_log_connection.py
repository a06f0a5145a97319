"""Encrypted connections: how they are opened beside others."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from islet.log.connection import KEY_BYTES, Readers, open_database, transaction

KEY = bytes(range(KEY_BYTES))


def test_opening_does_not_wait_for_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread in a transaction that asks something of the same file would wait for itself."""
    path = tmp_path / "one.db"
    monkeypatch.setattr("islet.log.connection._BUSY_MS", 100)
    monkeypatch.setattr("islet.log.connection._OPEN_TRIES", 1)
    with closing(open_database(path, KEY)) as writer:
        writer.execute("CREATE TABLE t (x INTEGER)")
        readers = Readers(path, KEY)
        with transaction(writer):
            writer.execute("INSERT INTO t VALUES (1)")
            with readers.one() as reader:
                assert reader.execute("SELECT count(*) FROM t").get == 0
        readers.close()


def test_a_new_database_gives_freed_pages_back(tmp_path: Path) -> None:
    incremental = 2
    with (
        closing(open_database(tmp_path / "one.db", KEY)) as first,
        closing(apsw.Connection(str(tmp_path / "plain.db"))) as plain,
    ):
        assert first.pragma("auto_vacuum") == incremental
        assert first.pragma("journal_mode") == "wal"
        assert plain.pragma("auto_vacuum") == 0
