"""Days of people with all that goes wrong, and an engine that is killed among them: the table is the slow one's.

More on demand: ISLET_PATIENT_DAYS=10000 (as in CI) and ISLET_DAYS_SEED.
"""

import os
import random
from typing import Any

import numpy as np
import pyarrow as pa

from islet.engine.rules import load_rules
from islet.log.base import Append
from islet.model.alerts import Alert, fold
from islet.model.people import Patient
from islet.model.time import HOUR_US, MINUTE_US
from islet.model.topics import Topic
from tests.engine.days import Days, Table, expected, live
from tests.engine.platforms import Crash, Platform, in_force, platform

PATIENT_DAYS = int(os.environ.get("ISLET_PATIENT_DAYS", "120"))
SEED = int(os.environ.get("ISLET_DAYS_SEED", str(random.SystemRandom().randrange(10**6))))
NAMES = {"low", "urgent_low", "high", "seed_demonstration", "no_data", "no_data_followers"}
DAYS_EACH = 20


def batch_of(people: list[Days], from_us: int, to_us: int) -> pa.RecordBatch | None:
    """What arrives in that time, of everybody, in order of arrival."""
    columns: list[list[Any]] = [[], [], [], [], []]
    for one in people:
        first, last = np.searchsorted(one.arrives_us, (from_us, to_us)).tolist()
        columns[0] += one.arrives_us[first:last].tolist()
        columns[1] += [one.patient] * (last - first)
        columns[2] += [f"{one.patient}-{number}" for number in one.device[first:last].tolist()]
        columns[3] += one.time_us[first:last].tolist()
        columns[4] += one.tenths[first:last].tolist()
    if not columns[0]:
        return None
    order = np.argsort(np.array(columns[0], np.int64), kind="stable")
    patient, device, time_us, tenths = (pa.array(column).take(order) for column in columns[1:])
    zeros = pa.array(np.zeros(len(order), np.uint8))
    return pa.record_batch(
        {
            "patient": patient,
            "device": device,
            "time_us": time_us,
            "glucose_tenths": tenths.cast(pa.int32()),
            "value": pa.compute.divide(tenths.cast(pa.float64()), 10.0),
            "unit": zeros,
            "range": zeros.cast(pa.int8()),
            "method": zeros,
        }
    )


def table_of(p: Platform) -> Table:
    alerts: dict[str, Alert] = {}
    for change in p.said():
        after = fold(alerts.get(change.id), change, 0)
        assert after is not None
        alerts[change.id] = after
    return {(a.rule, a.patient, a.onset_us): a.cleared_us for a in alerts.values() if not a.retracted}


def test_days_of_people_with_crashes_give_the_table_of_the_slow_reference() -> None:
    print(f"ISLET_DAYS_SEED={SEED}")
    rng = np.random.default_rng(SEED)
    people = [live(rng, f"p{number}", DAYS_EACH) for number in range(max(1, PATIENT_DAYS // DAYS_EACH))]
    patients = [Patient(id=one.patient, tags=("simulated",)) for one in people]
    end_us = max(int(one.arrives_us[-1]) for one in people) + HOUR_US
    with platform() as p:
        p.rules = in_force(patients, [rule for rule in load_rules() if rule.name in NAMES])
        p.start()
        p.run(0)  # an engine that has not recovered has nothing to keep
        now_us = 0
        while now_us < end_us:
            until_us = now_us + int(rng.choice([5, 30, 60, 360])) * MINUTE_US
            batch = batch_of(people, now_us, until_us)
            p.clock[0] = now_us = until_us
            if batch is not None:
                p.writer.group.commit([Append(topic=Topic.GLUCOSE_READINGS, batch=batch)])
            if rng.random() < 0.05:
                p.writer.crash_at, p.writer.after = int(rng.integers(1, 4)), bool(rng.random() < 0.5)
            if rng.random() < 0.02:
                try:
                    p.engine.snapshot()
                except Crash:
                    p.start()
            p.run(now_us / MINUTE_US)
        p.writer.crash_at = None
        p.run((end_us + HOUR_US) / MINUTE_US)
        wanted: Table = {}
        for one in people:
            wanted |= expected(one, p.clock[0])
        found = table_of(p)
        assert {key: found.get(key) for key in wanted} == wanted, f"seed {SEED}"
        assert found.keys() == wanted.keys(), f"seed {SEED}"
