"""What people corrected or withdrew: alerts are those of what still holds, whatever came when and how often."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, structs

from islet.engine.quantities import context
from islet.engine.reference import PatientReference, Reference
from islet.engine.rules import load_rules, plan
from islet.engine.step import step
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import encode_event
from islet.model.events import AnyCareEvent, Exercise, Insulin, Meal, Note, Withdrawal
from islet.model.time import EPOCH, HOUR_US, to_us
from tests.conftest import examples
from tests.engine.streams import Engine, Point, batch, mask
from tests.model.care_events import counted

_NAMES = ("falling_with_insulin", "missed_bolus", "low_after_exercise")
_PLAN = plan([one for one in load_rules() if one.name in _NAMES])
RULES = _PLAN.streams["glucose_mg_dl"]
_LIMITS = tuple(_PLAN.parameters[name].integer(_PLAN.parameters[name].default) for name in RULES.parameters)
EVERYBODY = Reference(otherwise=PatientReference(mask=mask((), RULES), parameters=_LIMITS))
_MINUTES = st.integers(0, 12).map(lambda k: 5 * k)
_MG_DL_PER_MINUTE = st.sampled_from([0, 1, 2, -1, -2])


@dataclass(frozen=True)
class Day:
    """Readings, entries with the device that sent each, and the order in which all of that arrives, some of it twice."""

    readings: Sequence[Point]
    entries: Sequence[tuple[str, AnyCareEvent]]
    arrivals: Sequence[Point | tuple[str, AnyCareEvent]]
    sizes: Sequence[int]
    restarts: Sequence[bool]


def _at(minute: float) -> datetime:
    return EPOCH + timedelta(minutes=minute)


@st.composite
def _entries(draw: st.DrawFn) -> tuple[str, AnyCareEvent]:
    known: dict[str, Any] = {"time": _at(draw(_MINUTES)), "revision": draw(st.integers(0, 2))}
    known["id"] = draw(st.sampled_from(["a", "b", UNSET]))
    made: list[AnyCareEvent] = [
        Meal(**known, carbs_g=draw(st.sampled_from([10, 20, 30])), text=draw(st.sampled_from(["", "rice"]))),
        Insulin(**known, dose_u=draw(st.sampled_from([1, 4, 6])), kind="bolus"),
        Exercise(**known, duration_min=draw(st.sampled_from([20, 30]))),
        Note(**known, text="x"),
    ]
    if known["id"] is not UNSET:
        made.append(Withdrawal(**known))
    return draw(st.sampled_from(["phone", "pump"])), draw(st.sampled_from(made))


@st.composite
def _days(draw: st.DrawFn) -> Day:
    mg_dl, slope, readings = 110.0, 0, list[Point]()
    for place in range(draw(st.integers(1, 24))):
        if place % 6 == 0:
            slope = draw(_MG_DL_PER_MINUTE)
        readings.append(Point(5 * place, mg_dl))
        mg_dl = max(mg_dl + 5 * slope, 40)
    entries = draw(st.lists(_entries(), max_size=6))
    once: list[Point | tuple[str, AnyCareEvent]] = [*readings, *entries]
    arrivals = draw(st.permutations(once + draw(st.lists(st.sampled_from(once), max_size=3))))
    count = len(arrivals)
    sizes = draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))
    return Day(readings, entries, arrivals, sizes, draw(st.lists(st.booleans(), min_size=count, max_size=count)))


def _rows(entries: Iterable[tuple[str, AnyCareEvent]]) -> pa.RecordBatch:
    rows = [
        DocumentRow("p1", device, to_us(one.time), str(one.__struct_config__.tag), encode_event(one).decode())
        for device, one in entries
    ]
    documents = documents_batch(rows)
    return context(documents.append_column("received_at_us", documents.column("time_us")))


def _take(engine: Engine, points: Sequence[Point], entries: Sequence[tuple[str, AnyCareEvent]]) -> None:
    said = _rows(entries) if entries else None
    engine._fold(step(engine.state, batch(points) if points else None, EVERYBODY, RULES, said))


def _engine() -> Engine:
    return Engine(RULES, EVERYBODY, lateness_us=6 * HOUR_US)


@given(_days())
@settings(deadline=None, max_examples=examples(300))
def test_alerts_are_those_of_what_still_holds_in_any_order(day: Day) -> None:
    engine, straight = _engine(), _engine()
    waiting, place = list(day.arrivals), 0
    while waiting:
        some, waiting = waiting[: day.sizes[place]], waiting[day.sizes[place] :]
        _take(
            engine, [one for one in some if isinstance(one, Point)], [one for one in some if not isinstance(one, Point)]
        )
        if day.restarts[place]:
            engine.restart()
        place += 1
    plain = [
        (device, structs.replace(one, id=f"{k}", revision=0)) for k, (device, one) in enumerate(counted(day.entries))
    ]
    _take(straight, [], [(device, one) for device, one in plain if not isinstance(one, Withdrawal)])
    _take(straight, day.readings, [])
    assert engine.episodes() == straight.episodes()


def test_a_dose_that_was_not_given_ends_the_alarm_that_it_raised() -> None:
    engine, fall = _engine(), [Point(5 * k, 120 - 5 * k) for k in range(4)]
    dose = Insulin(time=_at(0), dose_u=6, kind="bolus", id="1")
    _take(engine, fall, [("phone", dose)])
    assert engine.episodes() == {"falling_with_insulin~p1@10": (10, None)}
    _take(engine, [], [("phone", Withdrawal(time=_at(16), id="1"))])
    assert engine.episodes() == {}
    _take(engine, [], [("phone", dose)])  # delivered once more
    assert engine.episodes() == {}
    _take(engine, [], [("phone", structs.replace(dose, revision=1))])  # it was given after all
    assert engine.episodes() == {"falling_with_insulin~p1@10": (10, None)}


def test_another_device_withdraws_nothing() -> None:
    engine, fall = _engine(), [Point(5 * k, 120 - 5 * k) for k in range(4)]
    _take(engine, fall, [("phone", Insulin(time=_at(0), dose_u=6, kind="bolus", id="1"))])
    _take(engine, [], [("watch", Withdrawal(time=_at(16), id="1"))])
    assert engine.episodes() == {"falling_with_insulin~p1@10": (10, None)}
