"""What is stored of one person, as patterns and reports take it."""

from typing import Final
from zoneinfo import ZoneInfo

from islet.model.codec import decode_event
from islet.model.people import Patient
from islet.model.topics import Topic
from islet.patterns.findings import NO_PREFERENCES, PersonDays, Preferences
from islet.store.base import Store

_MOST_EVENTS: Final = 100_000


def stored_days(
    store: Store, patient: Patient, from_us: int, to_us: int, *, preferences: Preferences = NO_PREFERENCES
) -> PersonDays:
    """The patient's readings and care events with from_us <= time < to_us."""
    documents = store.documents(Topic.CARE_EVENTS, patient.id, from_us, to_us, limit=_MOST_EVENTS)
    return PersonDays(
        id=patient.id,
        series=store.series(patient.id, from_us, to_us),
        events=tuple(decode_event(one.body.encode()) for one in reversed(documents)),
        zone=ZoneInfo(patient.time_zone),
        preferences=preferences,
    )
