"""The tables that rules over the history read, made out of the store for some patients.

A rule with `every` sees the last `LOOK_BACK_DAYS` local days and what there is of today, and nothing older.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.history_check import AMOUNT, GLUCOSE, INSTANT, NUMBER, VITALS
from islet.engine.lookback import past
from islet.engine.parameters import Resolved
from islet.engine.program import CONTEXT_COLUMNS, CONTEXT_SCALE, NOTHING
from islet.engine.rules import Plan
from islet.engine.zones import transitions
from islet.model.batch import METHOD_CODES, int64_column
from islet.model.events import Method
from islet.model.people import Patient
from islet.model.time import from_us, to_us
from islet.model.time_zones import zone_or_utc
from islet.store.base import Store

LOOK_BACK_DAYS: Final = 92
"""A quarter; what is asked of everybody each night has to have a bound."""

_TENTHS: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A patient, what holds for them, and the last local day that is over at some instant."""

    patient: Patient
    resolved: Resolved
    today: date
    day_end_us: int

    @classmethod
    def at(cls, now_us: int, patient: Patient, resolved: Resolved) -> "Person":
        zone = zone_or_utc(patient.time_zone)
        tomorrow = from_us(now_us).astimezone(zone).date()
        midnight = datetime.combine(tomorrow, time(), tzinfo=zone)
        return cls(
            patient=patient,
            resolved=resolved,
            today=tomorrow - timedelta(days=1),
            day_end_us=to_us(midnight),
        )

    @property
    def from_us(self) -> int:
        """From when on a rule sees something of them."""
        begin = self.today - timedelta(days=LOOK_BACK_DAYS - 1)
        return to_us(datetime.combine(begin, time(), tzinfo=zone_or_utc(self.patient.time_zone)))


def history_tables(
    store: Store, plan: Plan, people: Sequence[Person], now_us: int, names: frozenset[str]
) -> dict[str, pa.Table]:
    """The tables of HISTORY_TABLES that are named; `days` is made of `readings` by `islet.engine.oracle`."""
    made: dict[str, Callable[[], pa.Table]] = {
        "patients": lambda: _patients(plan, people),
        "clock": lambda: pa.table({"now_ts": pa.array([now_us], INSTANT)}),
        "readings": lambda: _together([_readings(store, one, now_us) for one in people]),
        "care_events": lambda: _together([_care_events(store, one, now_us) for one in people]),
        "vitals": lambda: _together([_vitals(store, one, now_us) for one in people]),
    }
    asked = names | {"readings"} if "days" in names else names
    return {name: make() for name, make in made.items() if name in asked}


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables)


def _patients(plan: Plan, people: Sequence[Person]) -> pa.Table:
    """A row for each, with every parameter as it holds for them."""
    columns: dict[str, Any] = {
        "patient": pa.array([one.patient.id for one in people], pa.utf8()),
        "profile": pa.array([one.patient.profile for one in people], pa.utf8()),
        "time_zone": pa.array([one.patient.time_zone for one in people], pa.utf8()),
        "today": pa.array([one.today for one in people], pa.date32()),
        "day_end_ts": pa.array([one.day_end_us for one in people], INSTANT),
        "low_mg_dl": _numbers([one.patient.low_mg_dl for one in people]),
        "high_mg_dl": _numbers([one.patient.high_mg_dl for one in people]),
    }
    parameters = {name: _numbers([one.resolved.values[name] for one in people]) for name in plan.parameters}
    return pa.table(columns | parameters)


def _numbers(numbers: Sequence[float]) -> "pa.Array[Any]":
    return pa.array(list(map(float, numbers)), pa.float64()).cast(NUMBER)


def _readings(store: Store, one: Person, now_us: int) -> pa.Table:
    return _together([_measured(store, one, now_us, method) for method in METHOD_CODES])


def _measured(store: Store, one: Person, now_us: int, method: Method) -> pa.Table:
    series = store.series(one.patient.id, one.from_us, now_us, method=method)
    who_and_when = _who_and_when(one.patient, series.time_us, pa.repeat("", len(series)))
    glucose = pa.array(series.glucose_tenths / _TENTHS).cast(GLUCOSE)
    return pa.table(who_and_when | {"method": pa.repeat(method, len(series)), "glucose_mg_dl": glucose})


def _care_events(store: Store, one: Person, now_us: int) -> pa.Table:
    """A row for each amount; it stands in one of the columns."""
    found = past(store, one.patient.id, one.from_us, now_us).context
    found = found.filter(pa.array(int64_column(found, "column") != NOTHING))
    which, amounts = int64_column(found, "column"), int64_column(found, "amount")
    columns = {
        name: _where(which == place, amounts / CONTEXT_SCALE[place], AMOUNT)
        for place, name in enumerate(CONTEXT_COLUMNS)
    }
    return pa.table(_who_and_when(one.patient, int64_column(found, "time_us"), found.column("device")) | columns)


def _vitals(store: Store, one: Person, now_us: int) -> pa.Table:
    """A row for each value; it stands in one of the columns."""
    found = past(store, one.patient.id, one.from_us, now_us).values
    tables = []
    for name in VITALS:
        batch = found.get(name)
        times_us = np.empty(0, np.int64) if batch is None else int64_column(batch, "time_us")
        devices: pa.Array[Any] = pa.array([], pa.utf8()) if batch is None else batch.column("device")
        levels = np.empty(0) if batch is None else batch.column("glucose_tenths").to_numpy() / _TENTHS
        here = {other: _where(np.full(len(levels), other == name), levels, GLUCOSE) for other in VITALS}
        tables.append(pa.table(_who_and_when(one.patient, times_us, devices) | here))
    return pa.concat_tables(tables)


def _where(here: NDArray[np.bool_], numbers: NDArray[np.float64], kind: pa.DataType) -> "pa.Array[Any]":
    """The numbers (n,), and NULL where they stand in another column."""
    return pa.array(numbers, pa.float64(), mask=~here).cast(kind)


def _who_and_when(patient: Patient, times_us: NDArray[np.int64], devices: Any) -> dict[str, Any]:
    return {
        "patient": pa.repeat(patient.id, len(times_us)),
        "device": devices,
        "ts": pa.array(times_us).cast(INSTANT),
        "local_ts": pa.array(times_us + _ahead_us(patient.time_zone, times_us)).cast(INSTANT),
    }


def _ahead_us(time_zone: str, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far the local clock is ahead of UTC at instants (n,)."""
    changes = np.array(transitions(time_zone), np.int64)
    place = np.searchsorted(changes[:, 0], times_us, side="right") - 1
    ahead: NDArray[np.int64] = changes[np.maximum(place, 0), 1]
    return ahead
