"""The engine on backlogs: `python -m benchmarks.engine`. All times are CPU seconds of this process (one core's).

Decoded: 6 million readings of 100,000 patients, from a decoded batch to the changes of alerts (the documents of these
for the log are a figure of their own); the alerts are compared with what DuckDB makes of the same rule's SQL on the
whole history, row by row. A million patients: state, restart, and JSON bytes to alerts. Flat: what a reading costs with
10,000 to 1,000,000 patients, and after 30 days of history beside one. Every figure is the best of its passes.
"""

from collections.abc import Sequence
from itertools import islice
from time import perf_counter, process_time
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.backlog import (
    FIFTY,
    ONE,
    SHIPPED,
    START_US,
    all_on,
    batches,
    glucose,
    of_patients,
    rounds,
    verify,
)
from benchmarks.record import figure
from islet.decode.telemetry import Arrival, decode_arrivals
from islet.engine.memory import Room
from islet.engine.reference import Reference
from islet.engine.rules import StreamPlan
from islet.engine.snapshot import copied, dump, load
from islet.engine.state import EngineState
from islet.engine.step import step, tick
from islet.model.alerts import AlertChange
from islet.model.time import DAY_US, MINUTE_US, iso
from islet.model.topics import Topic

LATENESS_US = 15 * MINUTE_US
PASSES = 3
PATIENTS, EACH = 100_000, 60
BATCH = 50_000
SAMPLE = np.arange(0, PATIENTS, 50)
MANY = 1_000_000
JSON_READINGS = 500_000
JSON_BATCH = 5_500
FLAT_BATCH = 10_000

Ready = tuple[StreamPlan, Reference]


class Run(NamedTuple):
    """A run: its state at the end, CPU seconds of the steps and of the documents, changes, and how many there were."""

    state: EngineState
    steps_s: float
    documents_s: float
    changes: list[AlertChange]
    said: int


def new_state(ready: Ready, patients: int) -> EngineState:
    """Nobody is known, but there is room for all."""
    state = EngineState(lateness_us=LATENESS_US)
    state.adopt(*ready)
    state.reserve(patients)
    return state


def run(readings: Sequence[pa.RecordBatch], ready: Ready, state: EngineState, keep: bool = False) -> Run:
    """Take in all batches; the changes are kept where asked."""
    steps_s, documents_s, said, changes = 0.0, 0.0, 0, list[AlertChange]()
    for batch in readings:
        started = process_time()
        output = step(state, batch, ready[1], ready[0])
        stepped = process_time()
        said += output.said.documents().num_rows
        documents_s += process_time() - stepped
        steps_s += stepped - started
        changes += output.changes if keep else []
        assert output.overflows == output.history == output.conflicts == 0
    return Run(state, steps_s, documents_s, changes, said)


def best(readings: Sequence[pa.RecordBatch], ready: Ready) -> Run:
    """The fastest of PASSES runs, each from nothing."""
    runs = [run(readings, ready, new_state(ready, PATIENTS), keep=n == 0) for n in range(PASSES)]
    return min(runs, key=lambda one: one.steps_s)._replace(changes=runs[0].changes)


def decoded() -> None:
    """One rule, fifty, and those that are shipped, on the same readings."""
    whole = pa.Table.from_batches(list(islice(rounds(PATIENTS, 1), EACH))).combine_chunks()
    arrived = batches(whole.to_batches(), BATCH)
    run(arrived[:1], all_on(ONE), new_state(all_on(ONE), PATIENTS))
    one = best(arrived, all_on(ONE))
    print(f"one rule: {whole.num_rows:,} readings, {one.said:,} changes of alerts")
    flags = verify(ONE.streams["glucose_mg_dl"].rules, whole, one.changes)
    print(f"  each of {whole.num_rows:,} rows is flagged as DuckDB flags it ({flags:,} are)")
    rate, duckdb_rate = whole.num_rows / one.steps_s, whole.num_rows / _duckdb_s(whole)
    figure("engine, decoded readings to evaluations, one rule", rate, "readings/s", bar="at least 10 M/s on one core",
           holds=rate >= 10e6, peer="DuckDB OVER RANGE, one thread", peer_value=duckdb_rate)  # fmt: skip
    figure("engine, a change of an alert as a document", one.documents_s / one.said * 1e9, "CPU ns")
    fifty = best(arrived, all_on(FIFTY))
    some = of_patients(whole, SAMPLE)
    names = set(some.column("patient").unique().to_pylist())
    flags = verify(FIFTY.streams["glucose_mg_dl"].rules, some, [c for c in fifty.changes if c.patient in names])
    print(f"fifty rules: {fifty.said:,} changes; {50 * some.num_rows:,} flags are DuckDB's ({flags:,} are set)")
    ratio = fifty.steps_s / one.steps_s
    figure("engine, fifty rules beside one", ratio, "times", bar="at most 2 times", holds=ratio <= 2)
    shipped = best(arrived, glucose(SHIPPED))
    rate = whole.num_rows / shipped.steps_s
    figure("engine, the same with all shipped rules as they come", rate, "readings/s")


def _duckdb_s(readings: pa.Table) -> float:
    """CPU seconds of DuckDB for the one rule on the whole history, doubles removed first."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute("SET enable_progress_bar = false")
    connection.register("arrived", readings)
    started = process_time()
    connection.execute(
        "CREATE TABLE readings AS SELECT DISTINCT ON (patient, device, time_us) patient, device,"
        " make_timestamp(time_us) AS ts, (glucose_tenths / 10)::DECIMAL(6, 1) AS glucose_mg_dl FROM arrived"
    )
    connection.execute(f"SELECT count(*) FROM ({ONE.rules[0].sql})").fetchall()
    return process_time() - started


def million() -> None:
    """A million patients: what they take, how long a restart takes, and JSON to alerts."""
    ready = glucose(SHIPPED)
    state, coming = new_state(ready, MANY), rounds(MANY, 2)
    for arriving in islice(coming, 30):
        run(batches([arriving], BATCH), ready, state)
    copies_s = []
    for _ in range(3):
        room = Room(state.nbytes * 17 // 16)  # as `islet.engine.saving` has it found while the engine goes on
        copying = perf_counter()
        copied(state, room)
        copies_s.append(perf_counter() - copying)
    started = process_time()
    blob = dump(state)
    dumped = process_time()
    figure("engine, state of 1,000,000 patients, shipped rules", state.nbytes / 1e6, "MB", bar="at most 300 MB",
           holds=state.nbytes <= 300e6)  # fmt: skip
    del state
    loading = process_time()
    state = load(blob, lateness_us=LATENESS_US)
    tick(state, START_US, ready[1], ready[0])
    load_s = process_time() - loading
    figure("engine, restart with them", load_s, "CPU s", bar="at most 3 s", holds=load_s <= 3)
    figure("engine, standing still to save them, at most of three times", 1000 * max(copies_s), "ms")
    figure("engine, their snapshot", sum(map(len, blob)) / 1e6, "MB")
    figure("engine, taking it", dumped - started, "CPU s")
    json(state, ready, next(coming), "shipped rules")
    alone = all_on(ONE)
    state, coming = new_state(alone, MANY), rounds(MANY, 2)
    for arriving in islice(coming, 8):
        run(batches([arriving], BATCH), alone, state)
    rate = json(state, alone, next(coming), "one rule")
    figure("engine, JSON bytes to alerts among 1,000,000 patients", rate, "readings/s",
           bar="at least 2 M/s on one core", holds=rate >= 2e6)  # fmt: skip


def json(state: EngineState, ready: Ready, arriving: pa.RecordBatch, rules: str) -> float:
    """Readings per CPU second from JSON payloads to the documents of alerts."""
    readings = arriving.slice(0, JSON_READINGS).to_pydict()
    arrivals = [
        Arrival(device, patient, f'{{"type":"reading","time":"{iso(us)}","value":{t / 10},"unit":"mg/dL"}}'.encode())
        for patient, device, us, t in zip(*readings.values(), strict=True)
    ]
    decode_s, step_s = list[float](), list[float]()
    for start in range(0, len(arrivals), JSON_BATCH):
        started = process_time()
        found = decode_arrivals(arrivals[start : start + JSON_BATCH], START_US + DAY_US, 0)
        decoded_at = process_time()
        step(state, found.batches[Topic.GLUCOSE_READINGS], ready[1], ready[0]).said.documents()
        step_s.append(process_time() - decoded_at)
        decode_s.append(decoded_at - started)
    figure(f"engine, JSON decoder alone ({rules})", len(arrivals) / sum(decode_s), "readings/s")
    rate = len(arrivals) / (sum(decode_s) + sum(step_s))
    figure(f"engine, JSON to alerts ({rules})", rate, "readings/s")
    return rate


def flat() -> None:
    """What a reading costs, by how many patients there are and by how much has been before."""
    ready = all_on(ONE)
    costs = {patients: _cost_ns(ready, patients, 0) for patients in (10_000, 100_000, MANY)}
    for patients, cost in costs.items():
        figure(f"engine, a reading among {patients:,} patients", cost, "CPU ns")
    farthest = max(abs(cost / costs[100_000] - 1) for cost in costs.values())
    figure("engine, of that the farthest from the one among 100,000", farthest * 100, "%", bar="within 20 %",
           holds=farthest <= 0.2)  # fmt: skip
    short, long = (_cost_ns(ready, 2_000, days) for days in (1, 30))
    figure("engine, a reading after 30 days of history", long, "CPU ns", peer="after one day", peer_value=short,
           bar="within 20 %", holds=abs(long / short - 1) <= 0.2)  # fmt: skip


def _cost_ns(ready: Ready, patients: int, days: int) -> float:
    """CPU ns a reading of a million, after that many days of history, or 40 minutes where 0."""
    state, coming = new_state(ready, patients), rounds(patients, 3)
    for arriving in islice(coming, max(8, days * 288)):
        run(batches([arriving], FLAT_BATCH), ready, state)
    seconds = list[float]()
    for batch in batches(islice(coming, max(2, MANY // patients)), FLAT_BATCH)[:-1]:
        started = process_time()
        step(state, batch, ready[1], ready[0])
        seconds.append(process_time() - started)
    return float(np.median(seconds)) / FLAT_BATCH * 1e9


def main() -> None:
    """All figures."""
    decoded()
    million()
    flat()


if __name__ == "__main__":
    main()
