"""Readings of many patients in order of arrival: 2 % late by up to 14 minutes, 0.5 % twice; seeded."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from islet.log.base import Append, Commit
from islet.model.batch import READINGS_SCHEMA
from islet.model.time import MINUTE_US
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
