"""Nightly jobs over a store of many people: seconds, and that memory does not grow with the people that are looked at.

ISLET_NIGHTS=1000x90 looks at so many people with so many days each; the default is 200x60.
"""

import os
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.record import figure
from islet.jobs.base import Job
from islet.jobs.changes import ChangesJob
from islet.jobs.cohorts import CohortsJob
from islet.jobs.personal import PersonalJob
from islet.jobs.summaries import SummariesJob
from islet.log.base import Slice
from islet.model.batch import READINGS_SCHEMA
from islet.model.people import Patient
from islet.model.time import DAY_US, MINUTE_US
from islet.model.topics import Topic
from islet.patterns.cohorts import Cohorts, find_cohorts
from islet.store.registry import SqliteRegistry
from islet.store.sqlite import SqliteStore

_KEY = bytes(range(32))
_PEOPLE, _DAYS = (int(number) for number in os.environ.get("ISLET_NIGHTS", "200x60").split("x"))
_NOW_US = 20_500 * DAY_US
_A_DAY = 288
_CLOCK_H = np.arange(_A_DAY) / 12
_KINDS = (
    np.full(_A_DAY, 115.0),
    150 + 70 * np.exp(-((_CLOCK_H - 8) ** 2) / 8),
    140 - 72 * np.exp(-((_CLOCK_H - 3) ** 2) / 8),
    np.full(_A_DAY, 225.0),
)
_ZONES = ("UTC", "Europe/Vienna", "Asia/Shanghai")
_CHANGED_EVERY, _CHANGED_DAYS = 50, 8


def main() -> None:
    """Record the figures of the nights."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(SqliteStore(Path(folder) / "store.db", _KEY)) as store,
        closing(SqliteRegistry(Path(folder) / "store.db", _KEY)) as registry,
    ):
        for number in range(_PEOPLE):
            registry.put_patient(Patient(id=f"p-{number:05d}", time_zone=_ZONES[number % 3]))
            rows = number * _DAYS * _A_DAY
            store.apply(
                [
                    Slice(
                        topic=Topic.GLUCOSE_READINGS,
                        partition=0,
                        offset=rows,
                        batch=_days_of(f"p-{number:05d}", number),
                    )
                ]
            )
        for job in (
            ChangesJob(store, registry),
            CohortsJob(store, registry),
            SummariesJob(store, registry),
            PersonalJob(store, registry),
        ):
            _run(job)
    _group(10_000)


def _days_of(patient: str, number: int) -> pa.RecordBatch:
    """A person's readings every five minutes up to now; of one in fifty the last days are higher."""
    rng = np.random.default_rng(number)
    count = _DAYS * _A_DAY
    value = np.tile(_KINDS[number % len(_KINDS)], _DAYS) + rng.normal(0, 8) + rng.normal(0, 12, count)
    value += np.repeat(rng.normal(0, 8, _DAYS), _A_DAY)
    if number % _CHANGED_EVERY == 0:
        value[-_CHANGED_DAYS * _A_DAY :] += 60
    value = np.clip(np.rint(value), 40, 400)
    times_us = _NOW_US - 5 * MINUTE_US * np.arange(count, 0, -1)
    nothing: Any = pa.array(np.zeros(count, np.uint8))
    columns: dict[str, Any] = {
        "patient": pa.array([patient] * count),
        "device": pa.array(["cgm"] * count),
        "time_us": pa.array(times_us),
        "glucose_tenths": pa.array((value * 10).astype(np.int32)),
        "value": pa.array(value),
    }
    batch = pa.RecordBatch.from_arrays(
        [columns.get(field.name, nothing).cast(field.type) for field in READINGS_SCHEMA], schema=READINGS_SCHEMA
    )
    return batch.append_column("received_at_us", pa.array(times_us))


def _run(job: Job) -> None:
    memory: list[float] = []

    def progress(done: int, of: int) -> None:
        if done % max(1, of // 10) == 0:
            memory.append(_memory_mb())

    wall_s, busy_s = time.perf_counter(), time.process_time()
    finding = job.run(_NOW_US, None, progress)
    wall_s, busy_s = time.perf_counter() - wall_s, time.process_time() - busy_s
    who = f"{_PEOPLE:,} people × {_DAYS} days, {job.name}"
    figure(f"{who}, processor", busy_s, "s")
    figure(f"{who}, by the clock", wall_s, "s")
    growth_mb = memory[-1] - memory[1]
    figure(f"{who}, memory from the second tenth on", growth_mb, "MB", bar="<= 3 MB", holds=growth_mb <= 3)
    figure(f"{who}, result", len(finding.result) / 1e3, "kB")
    if job.name == "changes":
        assert finding.counts["open"] == -(-_PEOPLE // _CHANGED_EVERY), finding.counts


def _group(people: int) -> None:
    rng = np.random.default_rng(0)
    days = [_KINDS[number % len(_KINDS)][::12] + rng.normal(0, 10) + rng.normal(0, 40, 24) for number in range(people)]
    began_s = time.process_time()
    find_cohorts({f"p-{number}": day for number, day in enumerate(days)}, Cohorts())
    seconds = time.process_time() - began_s
    figure(f"cohorts of {people:,} people, processor", seconds, "s", bar="<= 10 s", holds=seconds <= 10)


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
