"""What the store holds of a person, gathered for a report."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from islet.errors import BadInput
from islet.model.codec import decode_event
from islet.model.events import AnyEvent
from islet.model.people import Patient
from islet.model.time import DAY_US, from_us, to_us
from islet.model.topics import Topic
from islet.reports.forms import Kind
from islet.reports.programme import DAYS as PROGRAMME_DAYS
from islet.reports.recorded import Recorded
from islet.store.base import Store

_MOST_EVENTS: Final = 50_000
_LAB: Final = "hba1c"
_LABS_BACK_US: Final = 400 * DAY_US


def last_day(store: Store, patient: Patient, now_us: int) -> date:
    """The day of the person's newest reading on their own clock; today where there is none."""
    latest = store.latest([patient.id])
    return from_us(latest[0].time_us if latest else now_us).astimezone(zone_of(patient)).date()


def gathered(store: Store, patient: Patient, kind: Kind, days: int, last: date, *, named: bool) -> Recorded:
    """Readings and events for a report that ends with the day `last`, and as long before it as it looks back; `named`:
    with the person's label. What cannot be decoded any more is left out."""
    zone = zone_of(patient)
    back = 2 * PROGRAMME_DAYS if kind == "programme" else 2 * days
    begin_us, end_us = midnight_us(last - timedelta(days=back), zone), midnight_us(last + timedelta(days=1), zone)
    return Recorded(
        id=patient.id,
        label=patient.label if named else "",
        series=store.series(patient.id, begin_us, end_us, sensor_only=True),
        events=tuple(_events(store, patient, begin_us, end_us)),
        zone=zone,
    )


def _events(store: Store, patient: Patient, begin_us: int, end_us: int) -> Iterator[AnyEvent]:
    """Care events of the time, and laboratory values of the year before as well; the oldest first."""
    since_us = min(begin_us, end_us - _LABS_BACK_US)
    documents = store.documents(Topic.CARE_EVENTS, patient.id, since_us, end_us, _MOST_EVENTS)
    for one in reversed(documents):
        if one.type == _LAB or one.time_us >= begin_us:
            try:
                yield decode_event(one.body.encode())
            except BadInput:
                continue


def zone_of(patient: Patient) -> tzinfo:
    """The person's zone; UTC where this machine does not know it."""
    try:
        return ZoneInfo(patient.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def midnight_us(day: date, zone: tzinfo) -> int:
    """The instant at which a day begins on a clock, in µs."""
    return to_us(datetime.combine(day, time(), zone))
