"""The engine on a backlog: `python -m benchmarks.engine`. All times are CPU seconds of this process (one core's).

5 million readings of 100,000 patients in order of arrival, 2 % late by 10 to 840 s, and 0.5 % of them twice. The time
counted is that from a decoded batch to the documents of its alerts. Two rows: real patients, at whom the four clinical
rules look, and patients who are all tagged `simulated`, at whom the demonstration's rule looks as well (it is breached
three times out of four). The alerts of a sample of patients are compared with the slow reference in both.
"""

from collections import deque
from collections.abc import Iterable
from time import process_time
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.record import figure
from islet.decode.telemetry import Arrival, decode_arrivals
from islet.engine.rules import Reference, load_rules, plan
from islet.engine.snapshot import dump, load
from islet.engine.step import EngineState, step, tick
from islet.model.alerts import Alert, AlertChange, fold
from islet.model.time import MINUTE_US, SECOND_US, iso
from islet.model.topics import Topic
from tests.engine.slow import expected_episodes
from tests.engine.streams import Point, episodes

PATIENTS = 100_000
EACH = 50
BATCH = 50_000
SAMPLE = frozenset(f"patient-{number:06d}" for number in range(300))
JSON_READINGS = 300_000
START_US = 1_795_219_200_000_000  # 2026-11-21T00:00:00Z
PLAN = plan(load_rules())
REAL_PATIENTS = Reference(otherwise=PLAN.mask(()))
ALL_RULES = Reference(otherwise=PLAN.mask({"simulated"}))


def backlog(rng: np.random.Generator) -> pa.RecordBatch:
    """The readings in order of arrival, with the columns that the log gives."""
    count = PATIENTS * EACH
    patient = np.tile(np.arange(PATIENTS), EACH)
    minute = np.repeat(np.arange(EACH), PATIENTS) * 5 + np.tile(rng.integers(0, 5, PATIENTS), EACH)
    level = np.empty((EACH, PATIENTS))
    level[0] = rng.normal(145, 50, PATIENTS)
    for k in range(1, EACH):
        level[k] = level[k - 1] + 0.03 * (145 - level[k - 1]) + rng.normal(0, 9, PATIENTS)
    tenths = np.clip(level.ravel() * 10, 400, 4000).astype(np.int32)
    arrival_s = minute * 60 + rng.uniform(0, 10, count) + (rng.random(count) < 0.02) * rng.uniform(10, 840, count)
    twice = rng.choice(count, count // 200, replace=False)
    order = np.concatenate([np.arange(count), twice])
    order = order[np.argsort(np.concatenate([arrival_s, arrival_s[twice] + rng.uniform(0, 600, len(twice))]))]
    return pa.record_batch(
        {
            "patient": _names("patient", patient[order]),
            "device": _names("cgm", patient[order]),
            "time_us": pa.array(START_US + minute[order] * MINUTE_US),
            "glucose_tenths": pa.array(tenths[order]),
        }
    )


def _names(prefix: str, numbers: NDArray[np.int64]) -> "pa.Array[pa.StringScalar]":
    text = pa.array([f"{prefix}-{number:06d}" for number in range(PATIENTS)])
    return text.take(numbers)


def new_state() -> EngineState:
    return EngineState(ring_readings=32, lateness_us=15 * MINUTE_US)


def warm_up(readings: pa.RecordBatch) -> None:
    """Load the compiled kernels."""
    state = new_state()
    step(state, readings.slice(0, 100), ALL_RULES, PLAN)
    tick(state, 0, ALL_RULES, PLAN)
    load(dump(state), ring_readings=32, lateness_us=0)


class Run(NamedTuple):
    """A run of the engine: its state at the end, the changes of the sample, CPU seconds, and what it did."""

    state: EngineState
    kept: list[AlertChange]
    seconds: float
    evaluations: int
    changes: int


def run_engine(readings: pa.RecordBatch, reference: Reference) -> Run:
    """From decoded batches to the documents of alerts, beginning with nobody known but with room for all."""
    state, kept = new_state(), list[AlertChange]()
    evaluations, changes = 0, 0
    started = process_time()
    state.adopt(PLAN, reference)
    state.reserve(PATIENTS)
    seconds = process_time() - started
    for start in range(0, readings.num_rows, BATCH):
        batch = readings.slice(start, BATCH)
        started = process_time()
        output = step(state, batch, reference, PLAN)
        documents = output.said.documents()
        seconds += process_time() - started
        kept += [change for change in output.changes if change.patient in SAMPLE]
        evaluations += output.evaluations
        changes += documents.num_rows
        assert output.overflows == output.history == output.conflicts == 0
    return Run(state, kept, seconds, evaluations, changes)


def verify(readings: pa.RecordBatch, changes: Iterable[AlertChange], reference: Reference) -> int:
    """How many episodes of the sample there are; raises when they are not those of the reference."""
    mask = np.isin(np.array(readings.column("patient"), dtype=str), np.array(sorted(SAMPLE)))
    points = {
        Point((time_us - START_US) / MINUTE_US, tenths / 10, device, patient)
        for patient, device, time_us, tenths in zip(
            *(column.filter(pa.array(mask)).to_pylist() for column in readings.columns), strict=True
        )
    }
    table: dict[str, Alert] = {}
    for change in changes:
        alert = fold(table.get(change.id), change, 0)
        assert alert is not None
        table[change.id] = alert
    looking = {rule.name for bit, rule in enumerate(PLAN.rules) if reference.otherwise >> bit & 1}
    expected = {id: episode for id, episode in expected_episodes(points).items() if id.split("~")[0] in looking}
    if episodes(table.values(), START_US) != expected:
        raise AssertionError("the engine's alerts are not those of the reference")
    return len(expected)


def run_json(readings: pa.RecordBatch) -> tuple[float, float]:
    """CPU seconds from JSON payloads to alerts, and of the decoder alone, for the last JSON_READINGS readings."""
    before = readings.num_rows - JSON_READINGS
    part = readings.slice(before).to_pydict()
    arrivals = [
        Arrival(device, patient, f'{{"type":"reading","time":"{iso(us)}","value":{t / 10},"unit":"mg/dL"}}'.encode())
        for patient, device, us, t in zip(*part.values(), strict=True)
    ]
    now_us = START_US + 24 * 3600 * SECOND_US
    state = new_state()
    step(state, readings.slice(0, before), REAL_PATIENTS, PLAN)
    decode_s, step_s = 0.0, 0.0
    for start in range(0, len(arrivals), 5_500):
        started = process_time()
        decoded = decode_arrivals(arrivals[start : start + 5_500], now_us, 0)
        done = process_time()
        step(state, decoded.batches[Topic.GLUCOSE_READINGS], REAL_PATIENTS, PLAN).said.documents()
        step_s += process_time() - done
        decode_s += done - started
    return decode_s + step_s, decode_s


def run_dict_and_deque(readings: pa.RecordBatch) -> float:
    """CPU seconds of the usual way in plain Python, one rule (the seed's), wrong on doubles and late readings."""
    part = readings.to_pydict()
    rows = list(zip(part["patient"], part["time_us"], part["glucose_tenths"], strict=True))
    windows: dict[str, deque[tuple[int, int]]] = {}
    flagged = 0
    started = process_time()
    for patient, time_us, tenths in rows:
        window = windows.setdefault(patient, deque())
        window.append((time_us, tenths))
        while window[0][0] < time_us - 10 * MINUTE_US:
            window.popleft()
        flagged += tenths > 1150 or sum(value for _, value in window) / len(window) > 1050
    return process_time() - started


def run_duckdb(readings: pa.RecordBatch) -> float:
    """CPU seconds of DuckDB for one rule (the seed's own text) on the whole history, doubles removed first."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.register("arrived", pa.Table.from_batches([readings]))
    rule = next(rule for rule in PLAN.rules if rule.name == "seed_demonstration")
    started = process_time()
    connection.execute(
        "CREATE TABLE readings AS SELECT DISTINCT ON (patient, device, time_us) patient, device,"
        " make_timestamp(time_us) AS ts, (glucose_tenths / 10)::DECIMAL(6, 1) AS glucose_mg_dl FROM arrived"
    )
    connection.execute(f"SELECT count(*) FROM ({rule.sql})").fetchall()
    return process_time() - started


def checked_run(readings: pa.RecordBatch, reference: Reference) -> Run:
    """A run whose alerts have been compared; prints what it was."""
    run = run_engine(readings, reference)
    checked = verify(readings, run.kept, reference)
    looking = [rule.name for bit, rule in enumerate(PLAN.rules) if reference.otherwise >> bit & 1]
    print(f"rules on all {PATIENTS:,} patients: {', '.join(looking)}")
    print(f"  {readings.num_rows:,} readings, {run.evaluations:,} evaluations, {run.changes:,} changes of alerts;")
    print(f"  the {checked:,} episodes of {len(SAMPLE)} patients are those of the slow reference")
    return run


def main() -> None:
    readings = backlog(np.random.default_rng(20261121))
    warm_up(readings)
    run = checked_run(readings, REAL_PATIENTS)
    rate = readings.num_rows / run.seconds
    duckdb_rate = readings.num_rows / run_duckdb(readings)
    part = readings.slice(0, 1_000_000)
    plain_rate = part.num_rows / run_dict_and_deque(part)
    bar = "at least 5 M readings/s on one core"
    figure("engine, decoded backlog, clinical rules on everyone", rate, "readings/s", bar=bar, holds=rate >= 5e6,
           peer="DuckDB OVER RANGE, one rule", peer_value=duckdb_rate)  # fmt: skip
    demonstration = checked_run(readings, ALL_RULES)
    demonstration_rate = readings.num_rows / demonstration.seconds
    figure("engine, the same and the demonstration's rule on everyone", demonstration_rate, "readings/s",
           peer="DuckDB OVER RANGE, one rule", peer_value=duckdb_rate)  # fmt: skip
    figure(
        "engine, the same beside plain Python",
        rate,
        "readings/s",
        peer="dict and deque, one rule",
        peer_value=plain_rate,
    )
    json_s, decode_s = run_json(readings)
    json_rate = JSON_READINGS / json_s
    bar = "at least 0.7 M readings/s on one core"
    figure("engine, JSON to alerts", json_rate, "readings/s", bar=bar, holds=json_rate >= 7e5)
    figure("engine, of that the JSON decoder alone", JSON_READINGS / decode_s, "readings/s")
    started = process_time()
    blob = dump(run.state)
    dumped = process_time()
    load(blob, ring_readings=32, lateness_us=run.state.lateness_us)
    figure("engine, snapshot of 100,000 patients", dumped - started, "CPU s")
    figure("engine, loading it again", process_time() - dumped, "CPU s")
    figure("engine, snapshot bytes a patient", len(blob) / PATIENTS, "bytes")


if __name__ == "__main__":
    main()
