"""What the store holds of a person, gathered for a report."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from islet.model.codec import events_in
from islet.model.people import Patient
from islet.model.time import from_us, to_us
from islet.model.time_zones import zone_or_utc
from islet.model.topics import Topic
from islet.reports.forms import Kind
from islet.reports.programme import DAYS as PROGRAMME_DAYS
from islet.reports.recorded import Recorded
from islet.store.base import Store

_MOST_EVENTS: Final = 50_000
_LAB: Final = "hba1c"
_LABS_BACK: Final = timedelta(days=400)


def last_day(store: Store, patient: Patient, now_us: int) -> date:
    """The day of the person's newest reading on their own clock; today where there is none."""
    latest = store.latest([patient.id])
    return from_us(latest[0].time_us if latest else now_us).astimezone(zone_or_utc(patient.time_zone)).date()


def gathered(store: Store, patient: Patient, kind: Kind, days: int, last: date, *, named: bool) -> Recorded:
    """Readings and events for a report that ends with the day `last`, and as long before it as it looks back; `named`:
    with the person's label. What cannot be decoded any more is left out."""
    zone = zone_or_utc(patient.time_zone)
    back = 2 * PROGRAMME_DAYS if kind == "programme" else 2 * days
    begin, end = _midnight(last - timedelta(days=back), zone), _midnight(last + timedelta(days=1), zone)
    return Recorded(
        id=patient.id,
        label=patient.label if named else "",
        series=store.series(patient.id, to_us(begin), to_us(end), method="cgm"),
        events=tuple(events_in(_bodies(store, patient, begin, end))),
        zone=zone,
    )


def _bodies(store: Store, patient: Patient, begin: datetime, end: datetime) -> Iterator[str]:
    """Care events of the time, and laboratory values of the year before as well; the oldest first."""
    since_us = to_us(min(begin, end - _LABS_BACK))
    documents = store.documents(Topic.CARE_EVENTS, patient.id, since_us, to_us(end), _MOST_EVENTS)
    for one in reversed(documents):
        if one.type == _LAB or one.time_us >= to_us(begin):
            yield one.body


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
