"""Log and store: durable rows a second, bytes a reading, and how long reading takes. The peer is plain SQLite: not
encrypted, a row each, the same transactions and the same sync."""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.record import figure
from islet.log.base import Append, Commit
from islet.log.connection import open_database
from islet.log.group_commit import Done, GroupCommit
from islet.log.sqlite import SqliteLog
from islet.model.batch import READINGS_SCHEMA
from islet.model.time import DAY_US, MINUTE_US, SECOND_US
from islet.model.topics import Topic
from islet.store.sqlite import SqliteStore

_KEY = bytes(range(32))
_START_US = 20_000 * DAY_US
_PATIENTS, _ROUNDS = 1_000, 250
_GROUPS = ((1, 300), (550, 400), (5_500, 45))  # rows of a transaction, how many; 550 are 100 ms of a million patients


def main() -> None:
    """Record the figures of log and store."""
    readings = made_readings(_PATIENTS, _ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        for rows, groups in _GROUPS:
            _durable_writes(Path(folder), readings, rows, groups)
        _log(Path(folder) / "log.db", readings)
        _store(Path(folder), readings)


def made_readings(patients: int, rounds: int) -> pa.RecordBatch:
    """Readings (patients * rounds) of a sensor each, every 3 minutes, whole seconds and mg/dL, a random walk;
    in the order in which they arrive, up to half a second after they were taken."""
    rng = np.random.default_rng(1)
    phase_s = rng.uniform(0, 180, patients)
    taken_s = np.floor(phase_s + 180 * np.arange(rounds)[:, None])
    slope = np.zeros(patients)
    glucose = rng.normal(140, 30, patients)
    mg_dl = np.empty((rounds, patients))
    for number in range(rounds):
        slope = 0.8 * slope + rng.normal(0, 1.5, patients)
        glucose = np.clip(glucose + slope - 0.02 * (glucose - 140) + rng.normal(0, 1, patients), 40, 400)
        mg_dl[number] = np.rint(glucose)
    order = np.argsort((taken_s + rng.uniform(0, 0.5, taken_s.shape)).ravel(), kind="stable")
    who = np.tile(np.arange(patients), rounds)[order]
    count = len(order)
    value = mg_dl.ravel()[order]
    columns: list[Any] = [
        pa.array([f"patient-{number:05d}" for number in who]),
        pa.array([f"sensor-{number:05d}" for number in who]),
        pa.array(_START_US + (taken_s.ravel()[order] * SECOND_US).astype(np.int64)),
        pa.array((value * 10).astype(np.int32)),
        pa.array(value),
        pa.array(np.zeros(count, np.uint8)),
        pa.array(np.zeros(count, np.int8)),
        pa.array(np.zeros(count, np.uint8)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=READINGS_SCHEMA)


def _durable_writes(folder: Path, readings: pa.RecordBatch, rows: int, groups: int) -> None:
    batches = [readings.slice(number * rows % (readings.num_rows - rows), rows) for number in range(groups)]
    ours = _group_commit_s(folder / f"log-{rows}.db", batches)
    theirs = _plain_s(folder / f"plain-{rows}.db", batches)
    if rows == 1:
        peer = median(theirs) * 1e3
        figure("log, one reading durable, p50", median(ours) * 1e3, "ms", peer="plain SQLite", peer_value=peer)
        return
    name = f"log, group commit of {rows:,} readings"
    figure(name, rows / median(ours), "readings/s", peer="plain SQLite, row each", peer_value=rows / median(theirs))


def _group_commit_s(path: Path, batches: Sequence[pa.RecordBatch]) -> list[float]:
    """Seconds from handing in to durable, for each batch, encoding included."""
    with closing(SqliteLog(path, _KEY, partitions=4)) as log:
        writer = GroupCommit(log, lambda: _START_US, within_s=0.0)
        seconds = [_timed(lambda: writer.commit([_append(batch)])) for batch in batches]  # noqa: B023
        writer.close()
    return seconds


def _plain_s(path: Path, batches: Sequence[pa.RecordBatch]) -> list[float]:
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        plain.execute("PRAGMA journal_mode = WAL")
        plain.execute("PRAGMA synchronous = FULL")
        plain.execute("CREATE TABLE reading (patient, device, time_us, tenths, value, unit, range, method, received)")

        def insert(batch: pa.RecordBatch) -> None:
            columns = [column.to_pylist() for column in batch.columns]
            plain.execute("BEGIN")
            plain.executemany("INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)", zip(*columns, strict=True))
            plain.execute("COMMIT")

        return [_timed(lambda: insert(batch)) for batch in batches]  # noqa: B023


def _log(path: Path, readings: pa.RecordBatch) -> None:
    total = readings.num_rows
    with closing(SqliteLog(path, _KEY, partitions=4, tail_bytes=0)) as log:  # so that reading is from the file
        batches = [readings.slice(first, 550) for first in range(0, total, 550)]
        source, finished = _source_of(log, batches)
        seconds = _timed(finished)
        figure("log, a source of 550 at a time, sustained", total / seconds, "readings/s")
        assert source.rows == total
        figure("log, reading what was just written", total / _timed(lambda: _read(log)), "readings/s")
        figure("log, as written in groups of 550", _used_bytes(path) / total, "B/reading")
        figure("log, compaction", total / _timed(log.compact), "readings/s")
        figure(
            "log, compacted", _used_bytes(path) / total, "B/reading", bar="<= 2 B", holds=_used_bytes(path) <= 2 * total
        )
        figure("log, reading what was compacted", total / _timed(lambda: _read(log)), "readings/s")


def _source_of(log: SqliteLog, batches: Sequence[pa.RecordBatch]) -> tuple[GroupCommit, Callable[[], None]]:
    """A writer, and a call that passes all batches through it as a gateway would: the next when the last is durable."""
    writer = GroupCommit(log, lambda: _START_US, within_s=0.0)
    waiting = list(reversed(batches))

    def source(now_us: int) -> tuple[Commit, Done] | None:
        if not waiting:
            return None
        batch = waiting.pop()
        received_us = int(batch.column("time_us")[-1].as_py() or now_us)
        return Commit(received_at_us=received_us, appends=[_append(batch)]), lambda error: writer.wake()

    def pass_all() -> None:
        writer.add_source(source)
        writer.wake()
        writer.close()

    return writer, pass_all


def _read(log: SqliteLog) -> None:
    for partition in range(log.partitions):
        offset = 0
        while (one := log.read(Topic.GLUCOSE_READINGS, partition, offset)) is not None:
            offset = one.next_offset


def _store(folder: Path, readings: pa.RecordBatch) -> None:
    total = readings.num_rows
    with closing(SqliteLog(folder / "log.db", _KEY, partitions=4)) as log, _opened_store(folder) as store:
        for size in (5_500, 50_000):
            store.reset(0)
            seconds = _timed(lambda: _apply_all(store, log, size))  # noqa: B023
            figure(
                f"store, apply in slices of {size:,}",
                total / seconds,
                "readings/s",
                bar=">= 150 k/s",
                holds=total / seconds >= 150_000,
            )
        figure("store", _used_bytes(folder / "store.db") / total, "B/reading")
        with closing(SqliteLog(folder / "year.db", _KEY, partitions=1)) as one:
            one.commit([Commit(received_at_us=1, appends=[_append(_year_of_one())])])
            _apply_all(store, one, 50_000, consumer="year")
        to_us = _START_US + 365 * DAY_US
        load = [_timed(lambda: store.series("one", to_us - 14 * DAY_US, to_us)) for _ in range(50)]
        assert len(store.series("one", to_us - 14 * DAY_US, to_us)) == 6_720
        figure(
            "store, 14 days of one patient (6,720), p50",
            median(load) * 1e3,
            "ms",
            bar="< 5 ms",
            holds=median(load) < 5e-3,
        )
        newest = [_timed(lambda: store.latest()) for _ in range(10)]
        figure(f"store, latest of {_PATIENTS:,} patients, p50", median(newest) * 1e3, "ms")


def _opened_store(folder: Path) -> "closing[SqliteStore]":
    return closing(SqliteStore(folder / "store.db", _KEY))


def _apply_all(store: SqliteStore, log: SqliteLog, size: int, consumer: str = "store") -> None:
    for partition in range(log.partitions):
        offset = 0
        while (one := log.read(Topic.GLUCOSE_READINGS, partition, offset, size)) is not None:
            store.apply([one], consumer)
            offset = one.next_offset


def _year_of_one() -> pa.RecordBatch:
    """A year of one patient (175,200 rows), every 3 minutes."""
    made = made_readings(1, 480 * 365)
    names = pa.array(["one"] * made.num_rows)
    times = pa.array(_START_US + np.arange(made.num_rows) * 3 * MINUTE_US)
    return pa.RecordBatch.from_arrays([names, made.column("device"), times, *made.columns[3:]], schema=READINGS_SCHEMA)


def _append(batch: pa.RecordBatch) -> Append:
    return Append(topic=Topic.GLUCOSE_READINGS, batch=batch)


def _used_bytes(path: Path) -> int:
    """Bytes of the pages in use; free ones are for the next commits."""
    with closing(open_database(path, _KEY)) as connection:
        pages: int = connection.pragma("page_count") - connection.pragma("freelist_count")
        return pages * int(connection.pragma("page_size"))


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
