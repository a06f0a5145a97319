"""What is moved out of the write-ahead log beside the writer costs no commit, and the file does not grow without end."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from islet.log import checkpoints
from islet.log.connection import open_database
from islet.log.sqlite import SqliteLog
from tests.log.rows import append, commit, entries, reading

KEY = bytes(range(32))
COMMITS = 300


def _commits(log: SqliteLog) -> None:
    for minute in range(COMMITS):
        log.commit([commit(minute, append(*(reading(f"p{number}", minute) for number in range(50))))])


def _kept(log: SqliteLog) -> int:
    return sum(len(rows) for rows in entries(log))


def test_the_file_stays_short_while_one_commit_follows_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "WAL_PAGES", 20)
    monkeypatch.setattr(checkpoints, "LONGEST_PAGES", 60)
    with closing(SqliteLog(tmp_path / "log.db", KEY, partitions=2)) as log:
        _commits(log)
        assert (tmp_path / "log.db-wal").stat().st_size < 2_000_000
        assert _kept(log) == 50 * COMMITS


def test_the_file_begins_anew_although_something_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_the_last = checkpoints.Checkpoints._move_the_last

    def after_one_more(of: checkpoints.Checkpoints, connection: apsw.Connection, moved: int) -> None:
        reader.execute("ROLLBACK")
        log.commit([commit(1, append(reading("late", 1)))])
        move_the_last(of, connection, moved)

    monkeypatch.setattr(checkpoints, "WAL_PAGES", 20)
    monkeypatch.setattr(checkpoints, "LONGEST_PAGES", 20)
    monkeypatch.setattr(checkpoints.Checkpoints, "_move_the_last", after_one_more)
    path = tmp_path / "log.db"
    with closing(SqliteLog(path, KEY, partitions=2)) as log, closing(open_database(path, KEY)) as reader:
        reader.execute("BEGIN; SELECT * FROM meta").fetchall()  # what comes after this cannot be moved yet
        while (running := log._checkpoints._running) is None:
            log.commit([commit(0, append(reading("p", 0)))])
        running.result()
        assert log._checkpoints._pages > 20
        log.commit([commit(2, append(reading("p", 2)))])
        assert log._checkpoints._pages < 20


def test_a_checkpoint_that_fails_is_no_failure_of_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, key: bytes) -> None:
        raise OSError("no more files")

    monkeypatch.setattr(checkpoints, "WAL_PAGES", 20)
    with closing(SqliteLog(tmp_path / "log.db", KEY, partitions=2)) as log:
        monkeypatch.setattr(checkpoints, "open_database", refuse)
        _commits(log)
        assert _kept(log) == 50 * COMMITS
