"""Readings of many patients in order of arrival: 2 % late by up to 14 minutes, 0.5 % twice; seeded."""

from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa

from islet.log.base import Append, Commit
from islet.model.batch import READINGS_SCHEMA, DocumentRow, documents_batch
from islet.model.codec import encode_event
from islet.model.events import AnyEvent, DeviceStatus, Exercise, Insulin, Meal, Vital
from islet.model.time import MINUTE_US, SECOND_US, from_us
from islet.model.topics import Topic

START_US = 1_795_219_200_000_000  # 2026-11-21T00:00:00Z
_EACH = 50
_COMMIT_ROWS = 20_000


def readings(count: int, seed: int = 7) -> pa.RecordBatch:
    """About that many rows of READINGS_SCHEMA: 50 readings of each patient, 5 minutes apart, that wander."""
    rng = np.random.default_rng(seed)
    patients = count // _EACH
    rows = patients * _EACH
    patient = np.tile(np.arange(patients), _EACH)
    minute = np.repeat(np.arange(_EACH), patients) * 5 + np.tile(rng.integers(0, 5, patients), _EACH)
    level = 145 + 50 * rng.normal(size=patients) + np.cumsum(rng.normal(0, 14, (_EACH, patients)), axis=0)
    tenths = np.clip(level.ravel() * 10, 400, 4000).astype(np.int32)
    arrival_s = minute * 60 + rng.uniform(0, 10, rows) + (rng.random(rows) < 0.02) * rng.uniform(10, 840, rows)
    twice = rng.choice(rows, rows // 200, replace=False)
    again_s = arrival_s[twice] + rng.uniform(0, 600, len(twice))
    order = np.concatenate([np.arange(rows), twice])[np.argsort(np.concatenate([arrival_s, again_s]))]
    names = [f"patient-{number:07d}" for number in range(patients)]
    columns = {
        "patient": pa.array(names).take(pa.array(patient[order])),
        "device": pa.array([f"cgm-of-{name}" for name in names]).take(pa.array(patient[order])),
        "time_us": START_US + minute[order] * MINUTE_US,
        "glucose_tenths": tenths[order],
        "value": tenths[order] / 10,
        "unit": np.zeros(len(order), np.uint8),
        "range": np.zeros(len(order), np.int8),
        "method": np.zeros(len(order), np.uint8),
    }
    return pa.record_batch(columns, schema=READINGS_SCHEMA)


def commits(batch: pa.RecordBatch) -> Iterator[Commit]:
    """The rows as commits, all received at the start: by that clock nobody is ever silent."""
    for first in range(0, batch.num_rows, _COMMIT_ROWS):
        rows = Append(topic=Topic.GLUCOSE_READINGS, batch=batch.slice(first, _COMMIT_ROWS))
        yield Commit(received_at_us=START_US, appends=[rows])


def everything(patients: int, seed: int = 11) -> list[Commit]:
    """A morning of some patients on all topics, each minute received when it is over; one in five ends after two
    hours."""
    rng = np.random.default_rng(seed)
    crowd = readings(patients * _EACH, seed)
    number = np.array([int(str(name).removeprefix("patient-")) for name in crowd.column("patient").to_pylist()])
    minute = (crowd.column("time_us").to_numpy() - START_US) // MINUTE_US
    arrived = np.maximum.accumulate(minute)  # what is late came with what was on time
    here = (number % 5 > 0) | (minute < 120)
    told = [
        (int(at), _event(int(kind), rng))
        for at, kind in zip(rng.integers(0, 240, patients * 4), range(patients * 4), strict=True)
    ]
    found = []
    for now in range(int(minute.max()) + 1):
        rows = crowd.take(np.flatnonzero(here & (arrived == now)))
        appends = [Append(topic=Topic.GLUCOSE_READINGS, batch=rows)] if rows.num_rows else []
        for which, (at, (topic, event)) in enumerate(told):
            if at + which % 3 * 5 == now:  # some come late
                appends.append(Append(topic=topic, batch=documents_batch([_row(which % patients, at, event)])))
        found.append(Commit(received_at_us=START_US + now * MINUTE_US + 30 * SECOND_US, appends=appends))
    return found


def _event(kind: int, rng: np.random.Generator) -> tuple[Topic, Callable[[datetime], AnyEvent]]:
    amount = float(rng.integers(1, 9))
    made: list[tuple[Topic, Callable[[datetime], AnyEvent]]] = [
        (Topic.CARE_EVENTS, lambda at: Meal(time=at, carbs_g=amount * 10)),
        (Topic.CARE_EVENTS, lambda at: Insulin(time=at, dose_u=amount, kind="bolus")),
        (Topic.CARE_EVENTS, lambda at: Exercise(time=at, duration_min=amount * 10)),
        (Topic.VITALS, lambda at: Vital(time=at, pulse_bpm=100 + amount * 9, systolic_mm_hg=150 + amount * 9)),
        (Topic.DEVICE_READINGS, lambda at: DeviceStatus(time=at, battery_percent=amount * 4)),
        (Topic.DEVICE_READINGS, lambda at: DeviceStatus(time=at, status="sensor_failed")),
    ]
    return made[kind % len(made)]


def _row(number: int, minute: int, event: Callable[[datetime], AnyEvent]) -> DocumentRow:
    time_us = START_US + minute * MINUTE_US
    body = encode_event(event(from_us(time_us))).decode()
    return DocumentRow(f"patient-{number:07d}", "phone", time_us, "event", body)
