"""Readings for the engine's benchmarks, the rules they are held against, and what DuckDB says of them row by row.

Everybody has a reading every 5 minutes; 2 % of them arrive late by 10 to 840 s, and 0.5 % arrive twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.parameters import NO_LAYERS
from islet.engine.quantities import GLUCOSE
from islet.engine.reference import PatientReference, Reference
from islet.engine.references import references
from islet.engine.rules import Plan, Rule, StreamPlan, load_rules, plan, read_rule
from islet.model.alerts import Alert, AlertChange, fold
from islet.model.time import SECOND_US

START_US = 1_795_219_200_000_000  # 2026-11-21T00:00:00Z
_NEVER_US = 2**62


def rounds(patients: int, seed: int) -> Iterator[pa.RecordBatch]:
    """What arrives in each round of 5 minutes, without end, in order of arrival; the columns that `step` takes."""
    rng = np.random.default_rng(seed)
    names, devices = (pa.array([f"{word}-{number:07d}" for number in range(patients)]) for word in ("patient", "cgm"))
    everybody = np.arange(patients)
    offset_s = rng.integers(0, 300, patients)
    level = rng.normal(145, 50, patients)
    waiting = np.empty((4, 0), np.int64)  # arrival, patient, time, tenths
    for number in count():
        level += 0.03 * (145 - level) + rng.normal(0, 9, patients)
        time_s = number * 300 + offset_s
        late_s = (rng.random(patients) < 0.02) * rng.integers(10, 840, patients)
        new = np.stack(
            [time_s + rng.integers(0, 10, patients) + late_s, everybody, time_s, np.clip(level * 10, 400, 4000)]
        )
        again = new[:, rng.random(patients) < 0.005].copy()
        again[0] += rng.integers(0, 600, again.shape[1])
        waiting = np.concatenate([waiting, new.astype(np.int64), again.astype(np.int64)], axis=1)
        here = waiting[0] < (number + 1) * 300
        arrived, waiting = waiting[:, here], waiting[:, ~here]
        _, patient, when_s, tenths = arrived[:, np.argsort(arrived[0], kind="stable")]
        yield pa.record_batch(
            {
                "patient": names.take(patient),
                "device": devices.take(patient),
                "time_us": pa.array(START_US + when_s * SECOND_US),
                "glucose_tenths": pa.array(tenths.astype(np.int32)),
            }
        )


def batches(arriving: Iterable[pa.RecordBatch], size: int) -> list[pa.RecordBatch]:
    """The same rows in batches of that size."""
    whole = pa.Table.from_batches(list(arriving)).combine_chunks().to_batches()[0]
    return [whole.slice(start, size) for start in range(0, whole.num_rows, size)]


def above(number: int, limit_mg_dl: int, window_min: int) -> Rule:
    """The seed's kind of rule: a value above the limit, or an average that is nearly."""
    return read_rule(
        f"""/*\nname = "above_{number}"\ntitle = "Above {limit_mg_dl}"\nseverity = "notice"\n*/
SELECT patient, device, ts, glucose_mg_dl FROM (
  SELECT patient, device, ts, glucose_mg_dl, AVG(glucose_mg_dl) OVER (
    PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '{window_min}' MINUTE PRECEDING AND CURRENT ROW
  ) AS average_mg_dl FROM readings
) AS recent WHERE glucose_mg_dl > {limit_mg_dl} OR average_mg_dl > {limit_mg_dl - 10}"""
    )


ONE = plan([above(0, 180, 10)])
FIFTY = plan([above(number, 180 + 4 * number, (5, 10, 15, 20, 30)[number % 5]) for number in range(50)])
SHIPPED = plan(load_rules())


def glucose(ready: Plan) -> tuple[StreamPlan, Reference]:
    """The stream of glucose, and a reference by which everybody has the rules that are on by default."""
    return ready.streams[GLUCOSE], references(ready, NO_LAYERS, [])[GLUCOSE]


def all_on(ready: Plan) -> tuple[StreamPlan, Reference]:
    """The same with all rules on for everybody."""
    stream, reference = glucose(ready)
    mask = (1 << len(stream.rules)) - 1
    return stream, Reference(otherwise=PatientReference(mask=mask, parameters=reference.otherwise.parameters))


def verify(rules: Sequence[Rule], readings: pa.Table, changes: Iterable[AlertChange]) -> int:
    """Compare each row's flag of each rule with DuckDB's on the whole history, doubles removed; how many flags were set.
    Raises AssertionError where one differs. For rules without `clear`: their episodes are the rows that are breached."""
    alerts: dict[str, Alert] = {}
    for change in changes:
        alert = fold(alerts.get(change.id), change, 0)
        assert alert is not None
        alerts[alert.id] = alert
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.register("arrived", readings)
    connection.execute(
        "CREATE TABLE readings AS SELECT DISTINCT ON (patient, device, time_us) patient, device,"
        " make_timestamp(time_us) AS ts, (glucose_tenths / 10)::DECIMAL(6, 1) AS glucose_mg_dl FROM arrived"
    )
    total = 0
    for rule in rules:
        mine = [a for a in alerts.values() if a.rule == rule.name and not a.retracted]
        connection.register("episodes", _episodes(mine))
        (flagged,), (differ,) = (
            connection.execute(query).fetchall()[0]
            for query in (
                f"SELECT count(*) FROM ({rule.sql})",
                f"WITH expected AS (SELECT patient, epoch_us(ts) AS us FROM ({rule.sql})),"
                " found AS (SELECT patient, us FROM (SELECT patient, epoch_us(ts) AS us FROM readings) AS r"
                "  ASOF JOIN episodes AS e ON r.patient = e.of AND r.us >= e.onset WHERE r.us < e.cleared)"
                " SELECT (SELECT count(*) FROM (FROM expected EXCEPT ALL FROM found))"
                "  + (SELECT count(*) FROM (FROM found EXCEPT ALL FROM expected))",
            )
        )
        if differ:
            raise AssertionError(f"{rule.name}: {differ} rows are not flagged as DuckDB flags them")
        total += flagged
    return total


def _episodes(alerts: Sequence[Alert]) -> pa.Table:
    return pa.table(
        {
            "of": pa.array([alert.patient for alert in alerts], pa.utf8()),
            "onset": pa.array([alert.onset_us for alert in alerts], pa.int64()),
            "cleared": pa.array([_NEVER_US if a.cleared_us is None else a.cleared_us for a in alerts], pa.int64()),
        }
    )


def of_patients(readings: pa.Table, patients: NDArray[np.int64]) -> pa.Table:
    """The rows of these patients."""
    wanted = pa.array([f"patient-{number:07d}" for number in patients.tolist()])
    return readings.filter(pa.compute.is_in(readings.column("patient"), value_set=wanted))
