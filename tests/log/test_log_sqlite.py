"""The embedded log holds the contract; and what only a file can do: be reopened, shared, wrong, damaged, killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from islet.errors import KeyUnavailable, LogDamaged, SettingError
from islet.log import sqlite as module
from islet.log.base import Commit, CursorMove, Log
from islet.log.sqlite import SqliteLog
from islet.log.tail import MOST_BYTES
from tests.log.contract import LogContract, OpenLog
from tests.log.rows import GLUCOSE, append, commit, entries, note, patients_of, reading

KEY = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def _opener(path: Path, tail_bytes: int) -> Iterator[OpenLog]:
    opened: list[SqliteLog] = []

    def open_(partitions: int) -> Log:
        opened.append(SqliteLog(path, KEY, partitions=partitions, tail_bytes=tail_bytes))
        return opened[-1]

    yield open_
    for log in opened:
        log.close()


class TestSqliteLog(LogContract):
    @pytest.fixture
    def open_log(self, path: Path) -> Iterator[OpenLog]:
        yield from _opener(path, MOST_BYTES)


class TestSqliteLogReadFromTheFile(LogContract):
    @pytest.fixture
    def open_log(self, path: Path) -> Iterator[OpenLog]:
        yield from _opener(path, 0)


def test_what_another_process_appended_in_between_is_read_in_its_place(path: Path) -> None:
    with (
        closing(SqliteLog(path, KEY, partitions=1)) as ours,
        closing(SqliteLog(path, KEY, partitions=1)) as theirs,
    ):
        for minute in range(12):
            log = theirs if minute % 5 == 2 else ours
            log.commit([commit(minute, append(reading("anna", minute)))])
            assert [row[-1] for row in entries(ours)[0]] == list(range(minute + 1))
            assert entries(ours, max_rows=2) == entries(theirs) == entries(ours)


def test_our_own_commit_tells_what_another_process_appended_just_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SELDOM_S", 1e6)  # nobody looks at the file
    with (
        closing(SqliteLog(path, KEY, partitions=1)) as ours,
        closing(SqliteLog(path, KEY, partitions=1)) as theirs,
    ):
        ours._poll()
        for minute in range(5):
            theirs.commit([commit(minute, append(reading("anna", minute)))])
            cursor = CursorMove(consumer="c", topic=GLUCOSE, partition=0, offset=minute)
            ours.commit([Commit(received_at_us=minute, cursors=[cursor])])
            assert ours.end(GLUCOSE) == (minute + 1,)
            assert len(entries(ours)[0]) == minute + 1


def test_a_reopened_log_has_everything(path: Path) -> None:
    move = CursorMove(consumer="c", topic=GLUCOSE, partition=1, offset=1)
    with closing(SqliteLog(path, KEY, partitions=2)) as log:
        log.commit([Commit(received_at_us=9, appends=[append(reading("anna", 1))], cursors=[move], states={"s": b"x"})])
        before = entries(log)
    with closing(SqliteLog(path, KEY, partitions=2)) as log:
        assert entries(log) == before
        assert list(log.cursors()) == [move]
        assert log.state("s") == b"x"
        assert log.newest_received_us() == 9
        assert log.wait(0, 30.0) > 0


def test_a_wrong_key_is_refused(path: Path) -> None:
    SqliteLog(path, KEY, partitions=1).close()
    with pytest.raises(KeyUnavailable, match="does not open"):
        SqliteLog(path, bytes(32), partitions=1)
    with pytest.raises(KeyUnavailable, match="32 bytes"):
        SqliteLog(path, b"short", partitions=1)


def test_another_number_of_partitions_is_refused(path: Path) -> None:
    SqliteLog(path, KEY, partitions=4).close()
    with pytest.raises(SettingError, match="made with 4"):
        SqliteLog(path, KEY, partitions=8)


def test_a_log_keeps_its_partitions_where_nobody_says_how_many_and_a_new_one_has_one(path: Path) -> None:
    SqliteLog(path, KEY, partitions=4).close()
    for file, partitions in ((path, 4), (path.with_name("new.db"), 1)):
        with closing(SqliteLog(file, KEY)) as log:
            assert log.partitions == partitions


def test_the_file_is_its_owners_alone(path: Path) -> None:
    with closing(SqliteLog(path, KEY, partitions=1)) as log:
        log.commit([commit(1, append(reading("anna", 1)))])
        for file in path.parent.iterdir():
            assert file.stat().st_mode & 0o077 == 0, file.name


@pytest.mark.parametrize("compacted", [False, True])
def test_the_files_hold_no_plaintext(path: Path, compacted: bool) -> None:
    log = SqliteLog(path, KEY, partitions=1)
    for minute in range(20):
        log.commit([commit(minute, append(reading("recognisable", minute)), note("recognisable", minute, "secrettea"))])
    if compacted:
        assert log.compact() > 0
    before_closing = b"".join(file.read_bytes() for file in path.parent.iterdir() if file.suffix != ".db-shm")
    log.close()
    for held in (before_closing, path.read_bytes()):
        assert b"recognisable" not in held
        assert b"secrettea" not in held
        assert b"glucose_readings" not in held


def test_a_changed_byte_anywhere_is_an_error_and_never_other_data(path: Path) -> None:
    with closing(SqliteLog(path, KEY, partitions=1)) as log:
        for minute in range(60):
            log.commit([commit(minute, append(*(reading(f"p{number}", minute) for number in range(50))))])
        expected = entries(log)
    good = path.read_bytes()
    noticed = 0
    for place in range(100, len(good), 4096):  # one in each page
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        try:
            with closing(SqliteLog(path, KEY, partitions=1)) as log:
                assert entries(log) == expected  # a page that holds nothing of these
        except (LogDamaged, KeyUnavailable):
            noticed += 1
    assert noticed > len(good) // 4096 // 2


def test_a_blob_that_does_not_decode_is_named_by_its_offset(path: Path) -> None:
    with closing(SqliteLog(path, KEY, partitions=1, tail_bytes=0)) as log:
        log.commit([commit(1, append(reading("anna", 1)))])
        log._writer.execute("UPDATE segment SET blob = zeroblob(40)")  # right for the cipher, wrong for us
        with pytest.raises(LogDamaged, match="glucose_readings/0: the segment at offset 0"):
            log.read(GLUCOSE, 0, 0)


def test_a_full_disk_is_an_os_error_that_leaves_nothing_and_passes(path: Path) -> None:
    with closing(SqliteLog(path, KEY, partitions=1)) as log:
        log.commit([commit(1, append(reading("anna", 1)))])
        before = entries(log)
        log._writer.pragma("max_page_count", log._writer.pragma("page_count"))
        large = Commit(received_at_us=2, appends=[append(reading("anna", 2))], states={"s": bytes(100_000)})
        with pytest.raises(OSError, match="full"):
            log.commit([large])
        assert entries(log) == before
        log._writer.pragma("max_page_count", 1_000_000)
        log.commit([large])
        assert log.end(GLUCOSE) == (2,)


_OTHER_PROCESS = """
import sys
from pathlib import Path
from islet.log.sqlite import SqliteLog
from islet.log.tail import MOST_BYTES
from tests.log.rows import append, commit, reading
log = SqliteLog(Path(sys.argv[1]), bytes(range(32)), partitions=2)
for minute in range(int(sys.argv[2])):
    log.commit([commit(minute, append(*(reading(f"p{number}", minute) for number in range(10))))])
    print(minute, flush=True)
    if minute % 40 == 39:
        log.compact()
"""


def _start(path: Path, commits: int) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _OTHER_PROCESS, str(path), str(commits)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_a_commit_of_another_process_wakes_who_waits(path: Path) -> None:
    with closing(SqliteLog(path, KEY, partitions=2)) as log:
        process = _start(path, 1)
        assert log.wait(0, 30.0) == 10
        assert process.wait(30.0) == 0
        assert len(patients_of(log)) == 10


def test_processes_that_start_together_make_one_log(path: Path) -> None:
    processes = [_start(path, 3) for _ in range(3)]
    assert [process.wait(60.0) for process in processes] == [0, 0, 0]
    with closing(SqliteLog(path, KEY, partitions=2)) as log:
        assert len(patients_of(log)) == 3 * 3 * 10


def test_two_processes_append_to_one_log(path: Path) -> None:
    with closing(SqliteLog(path, KEY, partitions=2)) as log:
        process = _start(path, 45)
        for minute in range(45):
            log.commit([commit(minute, append(reading("ours", minute)))])
        assert process.wait(30.0) == 0
        assert len(patients_of(log)) == 45 * 11


@pytest.mark.parametrize("acknowledged", [1, 37, 90])
def test_what_was_acknowledged_survives_a_kill_and_is_whole(path: Path, acknowledged: int) -> None:
    process = _start(path, 100_000)
    assert process.stdout is not None
    for _ in range(acknowledged):
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    last = max([last, *(int(line) for line in process.stdout if line.endswith("\n"))])
    process.wait(30.0)
    with closing(SqliteLog(path, KEY, partitions=2)) as log:
        found = sorted((row[-1], row[0]) for rows in entries(log) for row in rows)
        minutes = len(found) // 10
        assert minutes >= last + 1
        assert found == sorted((minute, f"p{number}") for minute in range(minutes) for number in range(10))
        log.commit([commit(1, append(reading("after", 1)))])
