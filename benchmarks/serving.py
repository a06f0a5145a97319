"""What forecasts cost the engine, with them and without in one run: `python -m benchmarks.serving`.

A tick: one reading of each of 100,000 people whose last twelve hours are known, through all shipped rules, and the whole
forecast of each; the same where everybody has just eaten, and where everybody has a correction of their own. One reading
alone. The state's size. And the whole path from bytes to alerts on the disk (`benchmarks.path`) at 5,500 readings a second
of 100,000 people whose last hour is known.
"""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from benchmarks.path import Measured, measure
from benchmarks.record import figure
from islet.clock import wall_us
from islet.engine.parameters import NO_LAYERS
from islet.engine.reference import Reference
from islet.engine.references import references
from islet.engine.rules import Plan, load_rules, plan
from islet.engine.shard import Shard
from islet.forecast.personal import as_bytes
from islet.forecast.serving import shipped
from islet.model.ahead import CORRECTION_SHAPE
from islet.model.people import Patient
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US, iso
from islet.model.topics import Topic

PEOPLE = int(os.environ.get("ISLET_BENCH_PEOPLE", "100000"))
RATE = 5_500
STEP_US = 5 * MINUTE_US
PLANS = {"without": plan(load_rules()), "with": plan(load_rules(), foreteller=shipped())}


def readings(ids: "pa.Array[pa.StringScalar]", time_us: int, glucose_tenths: np.ndarray) -> pa.RecordBatch:
    """One of each person, at one instant."""
    times = np.full(len(ids), time_us)
    columns = {"patient": ids, "device": ids, "time_us": times, "glucose_tenths": glucose_tenths.astype(np.int32)}
    return pa.record_batch({**columns, "received_at_us": times})


def traces(rng: np.random.Generator, people: int) -> Iterator[np.ndarray]:
    """Every five minutes the people's values, in tenths: walks between 60 and 300 mg/dL."""
    level, slope = rng.normal(1_400, 250, people), np.zeros(people)
    while True:
        slope = 0.9 * slope + rng.normal(0, 15, people)
        level = np.clip(level + slope, 600, 3_000)
        yield level


def told(ready: Plan, *, corrected: bool = False) -> dict[str, Reference]:
    """What the engine is told of everybody: nothing, or lines by which their forecasts are corrected, of each their own."""
    if not corrected:
        return references(ready, NO_LAYERS, [])
    people = [Patient(id=f"patient-{number:07d}") for number in range(PEOPLE)]
    rng = np.random.default_rng(5)
    lines = {one.id: as_bytes(rng.normal(0, 1, CORRECTION_SHAPE).astype(np.float32)) for one in people}
    return references(ready, NO_LAYERS, people, lines=lines)


def known(
    one: Shard,
    ids: "pa.Array[pa.StringScalar]",
    begin_us: int,
    points: int,
    trace: Iterator[np.ndarray],
    awake: Mapping[str, Reference],
) -> None:
    """Have the shard know so many readings of each, without a rule that looks at them; then the rules look."""
    asleep = {
        name: replace(found, version="", otherwise=replace(found.otherwise, mask=0))
        for name, found in references(one.plan, NO_LAYERS, []).items()
    }
    one.adopt(one.plan, asleep)
    for k in range(points):
        one.take_in({Topic.GLUCOSE_READINGS: readings(ids, begin_us + k * STEP_US, next(trace))})
    one.adopt(one.plan, awake)


def meals(ids: "pa.Array[pa.StringScalar]", time_us: int) -> pa.RecordBatch:
    """Everybody eats, at one instant."""
    n, when = len(ids), iso(time_us)
    times = np.full(n, time_us)
    body = f'{{"type":"meal","time":"{when}","carbs_g":45}}'
    columns = {"patient": ids, "device": [""] * n, "time_us": times, "type": ["meal"] * n, "body": [body] * n}
    return pa.record_batch({**columns, "received_at_us": times})


def tick(ready: Plan, *, eaten: bool = False, corrected: bool = False) -> tuple[float, float, float, float, float]:
    """CPU seconds of a tick, p50 and p99 of one reading alone (CPU ms), bytes a person in memory, and in a snapshot."""
    ids = pa.array([f"patient-{number:07d}" for number in range(PEOPLE)])
    trace = traces(np.random.default_rng(3), PEOPLE)
    one = Shard(ready, references(ready, NO_LAYERS, []), lateness_us=2 * HOUR_US)
    one.warm_up()
    known(one, ids, 0, 145, trace, told(ready, corrected=corrected))
    if eaten:
        one.take_in({Topic.CARE_EVENTS: meals(ids, 144 * STEP_US + MINUTE_US)})
    spent = []
    for k in range(145, 148):
        batch = readings(ids, k * STEP_US, next(trace))
        began = time.process_time()
        one.take_in({Topic.GLUCOSE_READINGS: batch})
        spent.append(time.process_time() - began)
    alone = []
    values = next(trace)
    for k in range(1_000):
        batch = readings(ids[k : k + 1], 148 * STEP_US, values[k : k + 1])
        began = time.thread_time()
        one.take_in({Topic.GLUCOSE_READINGS: batch})
        alone.append(time.thread_time() - began)
    p50, p99 = np.percentile(alone, [50, 99]) * 1000
    saved = sum(map(len, one.dump()))  # tidies
    return min(spent), float(p50), float(p99), one.nbytes / PEOPLE, saved / PEOPLE


def path(ready: Plan, *, corrected: bool = False) -> Measured:
    """The whole path, of people whose last hour is known."""
    of_people = told(ready, corrected=corrected)

    def know(one: Shard) -> None:
        ids = pa.array([f"patient-{number:07d}" for number in range(PEOPLE)])
        now_us = wall_us() // SECOND_US * SECOND_US
        known(one, ids, now_us - 12 * STEP_US, 12, traces(np.random.default_rng(4), PEOPLE), of_people)

    return measure(ready, RATE, PEOPLE, know, of_people)


def main() -> None:
    plain, full, fed = tick(PLANS["without"]), tick(PLANS["with"]), tick(PLANS["with"], eaten=True)
    own = tick(PLANS["with"], corrected=True)
    rate = PEOPLE / full[0]
    figure(
        "serving: a tick, rules and forecasts",
        rate,
        "people/CPU-s",
        peer="rules alone",
        peer_value=PEOPLE / plain[0],
        bar=">= 50,000",
        holds=rate >= 50_000,
    )
    figure("serving: a tick, everybody ate", PEOPLE / fed[0], "people/CPU-s", peer="nobody ate", peer_value=rate)
    mine = PEOPLE / own[0]
    name = "serving: a tick, everybody corrected"
    figure(name, mine, "people/CPU-s", peer="nobody", peer_value=rate, bar=">= 50,000", holds=mine >= 50_000)
    figure("serving: one corrected reading alone, p99", own[2], "CPU-ms", peer="not corrected", peer_value=full[2])
    figure("serving: state, everybody corrected", own[3], "bytes/person", peer="nobody", peer_value=full[3])
    figure("serving: snapshot, everybody corrected", own[4], "bytes/person", peer="nobody", peer_value=full[4])
    figure("serving: one reading alone, p50", full[1], "CPU-ms", peer="without", peer_value=plain[1])
    figure("serving: one reading alone, p99", full[2], "CPU-ms", peer="without", peer_value=plain[2])
    figure("serving: state", full[3], "bytes/person", peer="without", peer_value=plain[3])
    figure("serving: state, everybody ate", fed[3], "bytes/person", peer="nobody ate", peer_value=full[3])
    figure("serving: snapshot", full[4], "bytes/person", peer="without", peer_value=plain[4])
    paths()


def paths() -> None:
    """From bytes to alerts: without forecasts, with them, and with everybody corrected."""
    runs = [(path(PLANS["without"]), path(PLANS["with"]), path(PLANS["with"], corrected=True)) for _ in range(2)]
    without, served, fitted = (min(one, key=lambda run: run.p99_ms) for one in zip(*runs, strict=True))
    name = f"serving: {RATE:,} readings/s to alerts"
    figure(f"{name}, p50", served.p50_ms, "ms", peer="without", peer_value=without.p50_ms)
    holds = served.p99_ms <= 2 * without.p99_ms
    figure(
        f"{name}, p99", served.p99_ms, "ms", peer="without", peer_value=without.p99_ms, bar="ratio <= 2", holds=holds
    )
    holds = fitted.p99_ms <= 2 * without.p99_ms
    figure(
        f"{name}, everybody corrected, p99", fitted.p99_ms, "ms",
        peer="without", peer_value=without.p99_ms, bar="ratio <= 2", holds=holds,
    )  # fmt: skip
    figure(f"{name}, of a core", served.cores, "cores", peer="without", peer_value=without.cores)
    figure(
        f"{name}, urgent lows seen",
        served.seen,
        "alerts",
        bar=f"{served.expected:,}",
        holds=served.seen >= served.expected,
    )


if __name__ == "__main__":
    main()
