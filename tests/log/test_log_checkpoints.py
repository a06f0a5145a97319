"""What is moved out of the write-ahead log beside the writer costs no commit, and the file does not grow without end."""

from contextlib import closing
from pathlib import Path

import pytest

from islet.log import checkpoints
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


def test_a_checkpoint_that_fails_is_no_failure_of_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, key: bytes) -> None:
        raise OSError("no more files")

    monkeypatch.setattr(checkpoints, "WAL_PAGES", 20)
    with closing(SqliteLog(tmp_path / "log.db", KEY, partitions=2)) as log:
        monkeypatch.setattr(checkpoints, "open_database", refuse)
        _commits(log)
        assert _kept(log) == 50 * COMMITS
