"""A store that was rebuilt from the log equals the one that followed it."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from islet.log.base import Append, Commit, Log
from islet.log.memory import MemoryLog
from islet.log.sqlite import SqliteLog
from islet.model.alerts import alert_id
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_change
from islet.model.time import HOUR_US, MINUTE_US
from islet.model.topics import Topic
from islet.store.base import Store
from islet.store.follow import Follower
from islet.store.rebuild import rebuild
from islet.store.sqlite import SqliteStore
from tests.store.contract import dump, low, reading

KEY = bytes(32)
PATIENTS = [f"p{number}" for number in range(5)] + ["anna"]


def _documents(topic: Topic, *rows: DocumentRow) -> Append:
    return Append(topic=topic, batch=documents_batch(rows))


def _alert_changes(step: int) -> Append:
    onset = step % 10
    kinds: list[dict[str, Any]] = [
        {"change": "opened"},
        {"change": "acknowledged", "by": "nurse"},
        {"change": "retracted", "replaced_by": alert_id("low", "anna", (onset + 1) % 10 * MINUTE_US)},
        {"change": "cleared"},
    ]
    given = [low(kind.pop("change"), onset, onset + step, **kind) for kind in kinds[: 1 + step % 4]]
    rows = [DocumentRow("anna", "", one.at_us, one.change, encode_change(one).decode()) for one in given]
    return _documents(Topic.ALERTS, *rows)


def _fill(log: Log, steps: range, rng: random.Random) -> None:
    """An awkward life: late, double and conflicting readings, meals, dead letters, alerts; an hour between steps."""
    for step in steps:
        rows: list[ReadingRow] = [
            reading(rng.choice(PATIENTS), step + rng.randint(-4, 4), rng.choice([100, 100, 100, 90])) for _ in range(6)
        ]
        appends = [Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch(rows)), _alert_changes(step)]
        if step % 3 == 0:
            meal = DocumentRow(rng.choice(PATIENTS), "", step * MINUTE_US, "meal", "{}")
            appends += [_documents(Topic.CARE_EVENTS, meal)]
        if step < 2:
            appends += [_documents(Topic.DEAD_LETTERS, DocumentRow("", "", 0, "json", f'{{"n":{step}}}'))]
        log.commit([Commit(received_at_us=(step + 1) * HOUR_US, appends=appends)])


def _follow(log: Log, store: Store) -> None:
    follower = Follower(log, store)
    while follower.run_once(0.0):
        pass


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_rebuilt_store_equals_the_original(tmp_path: Path, kind: str) -> None:
    log: Log = MemoryLog(partitions=4) if kind == "memory" else SqliteLog(tmp_path / "l.db", KEY, partitions=4)
    with closing(log), closing(SqliteStore(tmp_path / "s.db", KEY)) as store:
        for first in range(0, 60, 7):  # in slices of another shape than the rebuild's
            _fill(log, range(first, min(first + 7, 60)), random.Random(first))
            _follow(log, store)
        before = dump(store, PATIENTS, 4)
        assert store.conflicts() > 0
        assert any(one.acknowledged_by for one in store.alerts())
        seen: list[tuple[int, int]] = []
        rebuild(store, log, lambda done, of: seen.append((done, of)))
        assert dump(store, PATIENTS, 4) == before
        total = sum(sum(log.end(topic)) for topic in Topic)
        assert seen[-1] == (total, total)


def test_a_rebuild_mends_what_is_wrong_in_the_store(tmp_path: Path) -> None:
    log = MemoryLog(partitions=2)
    with closing(SqliteStore(tmp_path / "s.db", KEY)) as store:
        _fill(log, range(20), random.Random(1))
        _follow(log, store)
        before = dump(store, PATIENTS, 2)
        store._writer.execute("UPDATE reading SET glucose_tenths = 1")
        store._writer.execute("DELETE FROM document")
        assert dump(store, PATIENTS, 2) != before
        rebuild(store, log)
        assert dump(store, PATIENTS, 2) == before


@pytest.mark.parametrize("kept_steps", [40, 20, 5, 0])
def test_what_is_older_than_the_log_survives_a_rebuild(tmp_path: Path, kept_steps: int) -> None:
    log = MemoryLog(partitions=4)
    with closing(SqliteStore(tmp_path / "s.db", KEY)) as store:
        _fill(log, range(60), random.Random(3))
        _follow(log, store)
        before = dump(store, PATIENTS, 4)
        assert log.expire((61 - kept_steps) * HOUR_US) > 0
        rebuild(store, log)
        _follow(log, store)
        cursors = len(Topic)  # at the end of the dump; where a partition is empty they begin anew
        assert dump(store, PATIENTS, 4)[:-cursors] == before[:-cursors]


def test_what_expired_from_a_quiet_topic_survives_though_busier_ones_are_kept_whole(tmp_path: Path) -> None:
    log = MemoryLog(partitions=1)
    first, last = (Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch([reading("anna", n)])) for n in (1, 3))
    letter = _documents(Topic.DEAD_LETTERS, DocumentRow("", "", 0, "json", "{}"))
    for hour, append in enumerate([first, letter, last]):
        log.commit([Commit(received_at_us=hour * HOUR_US, appends=[append])])
    with closing(SqliteStore(tmp_path / "s.db", KEY)) as store:
        _follow(log, store)
        log.compact()  # one segment of readings from hour 0 to hour 2, so that it stays
        assert log.expire(2 * HOUR_US) == 1
        rebuild(store, log)
        assert store.counts()["dead_letters"] == 1
        assert store.counts()["readings"] == 2


def test_a_rebuild_of_an_empty_log_forgets_nothing(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "s.db", KEY)) as store:
        log = MemoryLog(partitions=1)
        _fill(log, range(5), random.Random(1))
        _follow(log, store)
        counts = store.counts()
        log.expire(100 * HOUR_US)
        rebuild(store, log)
        assert store.counts() == counts


def test_a_log_that_was_begun_anew_is_read_from_its_begin(tmp_path: Path) -> None:
    """Else the store would pass over what comes, in silence, until there is as much of it as there was before."""
    before, anew = MemoryLog(partitions=2), MemoryLog(partitions=2)
    _fill(before, range(30), random.Random(1))
    with closing(SqliteStore(tmp_path / "store.db", KEY)) as store:
        _follow(before, store)
        known = store.counts()["readings"]
        _fill(anew, range(100, 105), random.Random(2))
        _follow(anew, store)
        fresh = _patients_in(anew)
        assert store.applied(Topic.GLUCOSE_READINGS, 2) == anew.end(Topic.GLUCOSE_READINGS)
        assert store.counts()["readings"] > known
        assert all(store.latest([patient])[0].time_us >= 96 * MINUTE_US for patient in fresh)


def _patients_in(log: Log) -> set[str]:
    slices = (log.read(Topic.GLUCOSE_READINGS, partition, 0) for partition in range(log.partitions))
    return {str(name) for one in slices if one is not None for name in one.batch.column("patient").to_pylist()}


@pytest.mark.parametrize("kept", [0, 3])
def test_of_a_log_that_is_older_than_the_store_what_comes_next_is_taken_in(tmp_path: Path, kept: int) -> None:
    """Of a backup that was copied while Islet ran, or by half: what comes next was acknowledged, and was passed over."""
    older, log = MemoryLog(partitions=2), MemoryLog(partitions=2)
    _fill(older, range(kept), random.Random(1))
    _fill(log, range(20), random.Random(1))
    with closing(SqliteStore(tmp_path / "s.db", KEY)) as store:
        _follow(log, store)
        before = store.counts()
        follower = Follower(older, store)
        rows = [reading("new", step) for step in range(4)]
        older.commit([Commit(received_at_us=HOUR_US, appends=[_readings(rows)])])
        while follower.run_once(0.0):
            pass
        assert store.counts()["readings"] == before["readings"] + 4
        assert store.applied(Topic.GLUCOSE_READINGS, 2) == older.end(Topic.GLUCOSE_READINGS)


@pytest.mark.parametrize("kept", [0, 1])
def test_a_rebuild_from_a_new_log_keeps_what_the_lost_one_said(tmp_path: Path, kept: int) -> None:
    log, new = MemoryLog(partitions=1), MemoryLog(partitions=1)
    _fill(log, range(5), random.Random(1))
    with closing(SqliteStore(tmp_path / "s.db", KEY)) as store:
        _follow(log, store)
        before = store.counts()
        if kept:
            new.commit([Commit(received_at_us=100 * HOUR_US, appends=[_readings([reading("new", 500)])])])
        rebuild(store, new)
        assert store.counts() == before | {"readings": before["readings"] + kept}


def _readings(rows: list[ReadingRow]) -> Append:
    return Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch(rows))
