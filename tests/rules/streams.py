"""Short streams for the tests of rules: what a patient's devices and diary said, as one sees it (minutes, units)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa

from islet.engine.program import CONTEXT_COLUMNS
from islet.engine.rules import Plan
from islet.engine.tables import STREAMS
from islet.model.ahead import GLUCOSE_COLUMNS, RISK_COLUMNS
from islet.model.time import MINUTE_US

BEGIN: Final = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)
"""Minute 0, in UTC."""


class Value(NamedTuple):
    """What a device measured."""

    minute: float
    value: float
    patient: str = "p1"
    device: str = "cgm"

    @property
    def at(self) -> datetime:
        return BEGIN + timedelta(microseconds=self.us)

    @property
    def us(self) -> int:
        return round(self.minute * MINUTE_US)


class Event(NamedTuple):
    """What a patient did: `amount` of a column of CONTEXT_COLUMNS."""

    minute: float
    column: str
    amount: float
    patient: str = "p1"

    @property
    def at(self) -> datetime:
        return BEGIN + timedelta(microseconds=round(self.minute * MINUTE_US))


@dataclass(frozen=True)
class Stream:
    """Values of one quantity, events, and what is known of the patients: parameters, profile, target range."""

    values: Sequence[Value]
    events: Sequence[Event] = ()
    quantity: str = "glucose_mg_dl"
    patients: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    time_zone: str = "UTC"

    def names(self) -> list[str]:
        return sorted({v.patient for v in self.values} | {e.patient for e in self.events})


def tables(stream: Stream, plan: Plan) -> dict[str, pa.Table]:
    """The tables that the rules of a plan are written over, with all that a stream says."""
    values = [_row(v, stream.time_zone) for v in stream.values]
    one = stream.quantity
    quantity: pa.Array[Any]
    words = next(s.words for s in STREAMS if s.name == one)
    if words:
        quantity = pa.array([words[round(v.value)] for v in stream.values], pa.utf8())
    else:
        quantity = pa.array([_exact(v.value) for v in stream.values], pa.float64()).cast(pa.decimal128(9, 1))
    made = _table(values).append_column(one, quantity)
    found = {"patients": _patients(stream, plan)}
    if one == "glucose_mg_dl":
        ahead, lines = made, lines_of(stream)
        for name in GLUCOSE_COLUMNS:
            tenths = [Decimal(one) / 10 for one in foretold(lines, int(name.split("_")[2]))]
            ahead = ahead.append_column(name, pa.array(tenths, pa.decimal128(9, 1)))
        for name in RISK_COLUMNS:
            ahead = ahead.append_column(name, pa.nulls(len(made), pa.decimal128(9, 1)))
        return {**found, "readings": made, "forecasts": ahead, "timeline": _timeline(stream, made)}
    if one in ("battery_percent", "status", "prompt"):
        return {**found, "device_readings": made}
    return {**found, "vitals": made}


def history(stream: Stream, plan: Plan, today: int) -> dict[str, pa.Table]:
    """The tables of history rules; `today`: the last complete day, counted from BEGIN. A "meter" takes fingersticks."""
    quantity = pa.array([v.value for v in stream.values], pa.float64()).cast(pa.decimal128(9, 1))
    readings = _table([_row(v, stream.time_zone) for v in stream.values]).append_column(stream.quantity, quantity)
    methods = ["capillary" if v.device == "meter" else "cgm" for v in stream.values]
    readings = readings.append_column("method", pa.array(methods, pa.utf8()))
    day = BEGIN.date() + timedelta(days=today)
    end = datetime.combine(day + timedelta(days=1), time(), tzinfo=ZoneInfo(stream.time_zone)).astimezone(UTC)
    ends = pa.array([end.replace(tzinfo=None)] * len(stream.names()), pa.timestamp("us"))
    patients = _patients(stream, plan).append_column("today", pa.array([day] * len(stream.names()), pa.date32()))
    patients = patients.append_column("day_end_ts", ends)
    return {"readings": readings, "patients": patients}


def _timeline(stream: Stream, readings: pa.Table) -> pa.Table:
    events = _table([_row(Value(e.minute, 0, e.patient, ""), stream.time_zone) for e in stream.events])
    for name in CONTEXT_COLUMNS:
        amounts = [_exact(e.amount) if e.column == name else None for e in stream.events]
        events = events.append_column(name, pa.array(amounts, pa.float64()).cast(pa.decimal128(9, 2)))
    return pa.concat_tables([readings, events], promote_options="default")


def _patients(stream: Stream, plan: Plan) -> pa.Table:
    columns: dict[str, list[Any]] = {"patient": stream.names()}
    for name, default in defaults(plan).items():
        columns[name] = [stream.patients.get(patient, {}).get(name, default) for patient in stream.names()]
    numbers = {
        name: pa.array(column, pa.float64()).cast(pa.decimal128(12, 3))
        for name, column in columns.items()
        if name not in ("patient", "profile")
    }
    texts = {name: pa.array(columns[name], pa.utf8()) for name in ("patient", "profile")}
    return pa.table({**texts, **numbers})


def defaults(plan: Plan) -> dict[str, float | str]:
    """The columns of `patients` for somebody of whom nothing is known."""
    known: dict[str, float | str] = {"profile": "", "low_mg_dl": 70, "high_mg_dl": 180}
    return known | {name: parameter.default for name, parameter in plan.parameters.items()}


def local(instant: datetime, time_zone: str) -> datetime:
    """The wall clock of a time zone at an instant of UTC."""
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(time_zone)).replace(tzinfo=None)


def foretold(lines: Sequence[tuple[int, Fraction]], minutes: int) -> list[int]:
    """The engine's forecasts at each value (n,) in tenths: the formula of `islet.engine.foretell` in plain fractions."""
    damped_s = minutes * 60 * 1800 // (minutes * 60 + 1800)
    return [min(max(now + floor(slope * damped_s), 0), 65_535) for now, slope in lines]


def lines_of(stream: Stream) -> list[tuple[int, Fraction]]:
    """At each value, the value in tenths and the slope of the last 20 minutes per second; 0 where there is too little."""
    found = []
    by_patient = {name: [v for v in stream.values if v.patient == name] for name in stream.names()}
    for value in stream.values:
        tenths = round(value.value * 10)
        mine = [v for v in by_patient[value.patient] if 0 <= value.us - v.us <= 20 * MINUTE_US]
        ages = [(value.us - v.us) // 1_000_000 for v in mine]
        n, rest = len(mine), [round(v.value * 10) - tenths for v in mine]
        if n < 3 or max(ages) < 240:
            found.append((tenths, Fraction(0)))
            continue
        products = n * sum(age * v for age, v in zip(ages, rest, strict=True))
        squares = n * sum(age * age for age in ages)
        found.append((tenths, Fraction(sum(ages) * sum(rest) - products, squares - sum(ages) ** 2)))
    return found


def _row(value: Value, time_zone: str) -> dict[str, Any]:
    return {
        "patient": value.patient,
        "device": value.device,
        "ts": value.at,
        "local_ts": local(value.at, time_zone),
        "time_min": value.us / MINUTE_US,
    }


def _table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    instant = pa.timestamp("us")
    fields: dict[str, pa.DataType] = {
        "patient": pa.utf8(),
        "device": pa.utf8(),
        "ts": instant,
        "local_ts": instant,
        "time_min": pa.float64(),
    }
    return pa.Table.from_pylist(list(rows), schema=pa.schema(fields))


def _exact(value: float) -> float:
    return round(value, 3)
