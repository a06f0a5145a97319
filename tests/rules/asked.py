"""Rules on streams, asked of the real engine and of DuckDB. What the engine's functions take is known here only."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa
from msgspec import structs

from islet.engine.oracle import run
from islet.engine.parameters import Layers, Override
from islet.engine.program import CONTEXT_COLUMNS, CONTEXT_SCALE
from islet.engine.references import references
from islet.engine.rules import Plan, Rule, plan
from islet.engine.state import EngineState
from islet.engine.step import step, tick
from islet.model.alerts import Alert, fold
from islet.model.people import Patient
from islet.model.time import HOUR_US, MINUTE_US, from_us
from tests.rules.streams import BEGIN, Stream

Found = set[tuple[str, int]]
"""Patients and microseconds since BEGIN."""

_BEGIN_US = (BEGIN - from_us(0).replace(tzinfo=None)) // timedelta(microseconds=1)


def by_duckdb(ready: Plan, tables: dict[str, pa.Table]) -> dict[str, Found]:
    """Per rule, where its own text is true on the whole history."""
    each = [f"SELECT '{rule.name}', patient, epoch_us(ts) FROM ({rule.sql})" for rule in ready.rules]
    found: dict[str, Found] = {rule.name: set() for rule in ready.rules}
    for name, patient, us in run(" UNION ALL ".join(each), tables):
        found[name].add((patient, us - _BEGIN_US))
    return found


def by_the_engine(rules: Sequence[Rule], stream: Stream) -> dict[str, Found]:
    """Per rule, the values at which it is breached: without a `clear` an episode is nothing else."""
    bare = [structs.replace(rule, clear="", sustained="") for rule in rules]
    found: dict[str, Found] = {rule.name: set() for rule in rules}
    for rule, patient, onset_us, end_us in _alerts(plan(bare), stream, None):
        found[rule] |= {
            (v.patient, v.us)
            for v in stream.values
            if v.patient == patient and onset_us <= v.us and (end_us is None or v.us < end_us)
        }
    return found


def episodes(ready: Plan, rule: str, stream: Stream, now: float | None) -> list[tuple[float, float | None]]:
    """Begin and end of a rule's episodes, in minutes; `now`: a look at the time after the last value."""
    found = [(onset, end) for name, _, onset, end in _alerts(ready, stream, now) if name == rule]
    return [(onset / MINUTE_US, None if end is None else end / MINUTE_US) for onset, end in sorted(found)]


def _alerts(ready: Plan, stream: Stream, now: float | None) -> list[tuple[str, str, int, int | None]]:
    """Rule, patient, onset and end of all alerts that were not retracted."""
    reference = references(ready, _overrides(ready, stream), _patients(stream))[stream.quantity]
    state, mine = EngineState(lateness_us=3 * HOUR_US), ready.streams[stream.quantity]
    outputs = [step(state, _readings(stream, mine.scale), reference, mine, _context(stream))]
    if now is not None:
        outputs.append(tick(state, _BEGIN_US + round(now * MINUTE_US), reference, mine))
    table: dict[str, Alert] = {}
    for change in (change for output in outputs for change in output.changes):
        alert = fold(table.get(change.id), change, 0)
        assert alert is not None
        table[change.id] = alert
    return [
        (a.rule, a.patient, a.onset_us - _BEGIN_US, None if a.cleared_us is None else a.cleared_us - _BEGIN_US)
        for a in table.values()
        if not a.retracted
    ]


def _overrides(ready: Plan, stream: Stream) -> Layers:
    """All rules on, and the patients' parameters."""
    found = [
        Override(rule=rule.name, layer="deployment", enabled=True, author="test", set_us=0) for rule in ready.rules
    ]
    for patient, known in stream.patients.items():
        for rule in ready.rules:
            mine = {name: float(value) for name, value in known.items() if name in rule.parameters}
            found.append(
                Override(rule=rule.name, layer="patient", of=patient, parameters=mine, author="test", set_us=0)
            )
    return Layers.of(found)


def _patients(stream: Stream) -> list[Patient]:
    made = []
    for who in stream.names():
        known = stream.patients.get(who, {})
        low, high = (int(known.get(name, default)) for name, default in (("low_mg_dl", 70), ("high_mg_dl", 180)))
        made.append(
            Patient(
                id=who,
                profile=str(known.get("profile", "")),
                time_zone=stream.time_zone,
                low_mg_dl=low,
                high_mg_dl=high,
            )
        )
    return made


def _readings(stream: Stream, scale: int) -> pa.RecordBatch:
    columns: dict[str, pa.Array[Any]] = {
        "patient": pa.array([v.patient for v in stream.values], pa.utf8()),
        "device": pa.array([v.device for v in stream.values], pa.utf8()),
        "time_us": pa.array([_BEGIN_US + v.us for v in stream.values], pa.int64()),
        "glucose_tenths": pa.array([round(v.value * scale) for v in stream.values], pa.int32()),
    }
    return pa.RecordBatch.from_pydict(columns)


def _context(stream: Stream) -> pa.RecordBatch | None:
    if not stream.events:
        return None
    places = [CONTEXT_COLUMNS.index(e.column) for e in stream.events]
    amounts = [round(e.amount * CONTEXT_SCALE[k]) for e, k in zip(stream.events, places, strict=True)]
    columns: dict[str, pa.Array[Any]] = {
        "patient": pa.array([e.patient for e in stream.events], pa.utf8()),
        "time_us": pa.array([_BEGIN_US + round(e.minute * MINUTE_US) for e in stream.events], pa.int64()),
        "column": pa.array(places, pa.int64()),
        "amount": pa.array(amounts, pa.int64()),
        "key": pa.array(range(len(stream.events)), pa.int64()),  # equal ones are not one
        "rank": pa.array([0] * len(stream.events), pa.int64()),
    }
    return pa.RecordBatch.from_pydict(columns)
