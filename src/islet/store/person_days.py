"""What is stored of one person, as patterns take it."""

from typing import Final

import msgspec

from islet.model.codec import events_in
from islet.model.people import Patient
from islet.model.time_zones import zone_or_utc
from islet.model.topics import Topic
from islet.patterns.findings import NO_WISHES, PersonDays, Wishes
from islet.store.base import EntryKind, Registry, Store

_MOST_EVENTS: Final = 100_000
_decoder = msgspec.json.Decoder(Wishes)
_encoder = msgspec.json.Encoder()


def stored_days(store: Store, patient: Patient, from_us: int, to_us: int, *, wishes: Wishes = NO_WISHES) -> PersonDays:
    """The patient's readings and care events with from_us <= time < to_us, on the clock of their zone (UTC where this
    machine does not know it)."""
    documents = store.documents(Topic.CARE_EVENTS, patient.id, from_us, to_us, limit=_MOST_EVENTS)
    return PersonDays(
        id=patient.id,
        series=store.series(patient.id, from_us, to_us, method="cgm"),
        events=tuple(events_in(one.body for one in reversed(documents))),
        zone=zone_or_utc(patient.time_zone),
        diabetes=wishes.diabetes,
        preferences=wishes.preferences,
        advised=wishes.advised,
    )


def wishes_of(registry: Registry, patient: str) -> Wishes:
    """What is kept of a person's wishes; none where nothing is."""
    body = registry.entry(EntryKind.WISHES, patient)
    return NO_WISHES if body is None else _decoder.decode(body)


def keep_wishes(registry: Registry, patient: str, wishes: Wishes, *, by: str, at_us: int) -> None:
    """Keep them, with a line in the audit trail that does not say what they are."""
    registry.put_entry(EntryKind.WISHES, patient, _encoder.encode(wishes), by=by, at_us=at_us)
