"""What a person enters by hand, as rows for the log, through the decoder that devices have."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from typing import Final

import msgspec
from msgspec import UNSET, structs

from islet.decode.telemetry import Arrival, decode_arrivals
from islet.errors import BadInput
from islet.log.base import Append
from islet.model.care_events import care_event_id
from islet.model.codec import encode_event
from islet.model.events import AnyCareEvent, Exercise, Hba1c, Insulin, Meal, Medication, Note, Withdrawal
from islet.model.people import Patient
from islet.model.time import from_us
from islet.model.time_zones import zone_or_utc
from islet.model.units import hba1c_percent

KINDS: Final[Mapping[str, type[AnyCareEvent]]] = {
    "meal": Meal,
    "insulin": Insulin,
    "exercise": Exercise,
    "medication": Medication,
    "note": Note,
}
"""What can be entered in the diary, by the word that an event has for it."""
_POINTS: Final = str.maketrans(",，．", "...")
"""Commas, also those of Chinese keyboards."""
_NAMED: Final = re.compile(r"`(?:\$\.)?(\w+)`$")
"""The field at the end of what msgspec says is wrong."""
_NUMBERS: Final = frozenset({"carbs_g", "dose_u", "duration_min", "dose"})


def hba1c(patient: Patient, value: float, unit: str, drawn: date, now_us: int) -> list[Append]:
    """A laboratory's HbA1c of blood drawn on a day of the patient's clock. Its instant is that day's noon, or the present
    before it. Raises BadInput for a value that cannot be, another unit, and a day to come."""
    hba1c_percent(value, unit)
    zone, now = zone_or_utc(patient.time_zone), from_us(now_us)
    if drawn > now.astimezone(zone).date():
        raise BadInput("HbA1c: expected a day in the past, or today", reason="future")
    at = min(datetime.combine(drawn, time(12), zone).astimezone(UTC), now)
    event = Hba1c(time=at, value=value, unit="%" if unit == "%" else "mmol/mol")
    return appended(patient, "", [event], now_us)


def entry(
    patient: Patient, kind: str, fields: Mapping[str, str], now_us: int, *, id: str, was: AnyCareEvent | None = None
) -> AnyCareEvent:
    """What stands in a form: fields of the event by their names, numbers with a point or a comma, and `when` on the
    patient's clock. Of what it was before, what the form does not ask for stays, and a time that is shown as it was: a form
    knows no seconds. Raises BadInput where a field is missing or cannot be; its reason is the field's name, or "schema"."""
    zone = zone_or_utc(patient.time_zone)
    made: dict[str, object] = {"type": kind, "id": id}
    try:
        if isinstance(was, KINDS[kind]):
            others = (name for name in was.__struct_fields__ if name not in made and name not in fields)
            made |= {name: value for name in others if (value := getattr(was, name)) is not UNSET}
        made["time"] = _instant(fields.get("when", ""), zone, from_us(now_us), was)
        made |= {
            name: _number(name, text) if name in _NUMBERS else text
            for name, text in fields.items()
            if name in KINDS[kind].__struct_fields__ and name not in made and text.strip()
        }
        event = msgspec.convert(made, KINDS[kind])
    except (KeyError, msgspec.ValidationError) as error:
        named = _NAMED.search(str(error))
        raise BadInput(f"{kind[:20]}: {error}", reason=named[1] if named else "schema") from None
    if isinstance(event, Meal) and event.carbs_g is None and not event.text:
        raise BadInput("meal: expected carbs or a text; got neither", reason="carbs_g")
    return event


def _instant(when: str, zone: tzinfo, now: datetime, was: AnyCareEvent | None) -> datetime:
    """Of two equal hours in autumn the one that it was, for something new the second as soon as it has come; a time that
    spring leaves out is that of a clock not yet changed. Raises BadInput."""
    if was is not None and when == local(was.time, zone):
        return was.time
    try:
        at = datetime.fromisoformat(when)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
        first, second = (at.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except (ValueError, OverflowError) as error:
        raise BadInput(f"when: {error}", reason="when") from None
    is_second = second <= now if was is None else was.time.astimezone(zone).fold == 1
    return second if first < second and is_second else first


def _number(name: str, text: str) -> float:
    try:
        return float(text.translate(_POINTS))
    except ValueError as error:
        raise BadInput(f"{name}: {error}", reason=name) from None


def instead(was: Sequence[AnyCareEvent], now: Sequence[AnyCareEvent], now_us: int) -> list[AnyCareEvent]:
    """What has those replace all that holds of one id: the present in milliseconds, and more than it has, is their
    revision. Of no others, that it was never so."""
    id, revision = care_event_id(was[0]), max(now_us // 1000, was[0].revision + 1)
    some = now or [Withdrawal(time=from_us(now_us), id=id)]
    return [structs.replace(one, id=id, revision=revision) for one in some]


def local(at: datetime, zone: tzinfo) -> str:
    """As the input of a form has it."""
    return at.astimezone(zone).replace(tzinfo=None).isoformat(timespec="minutes")


def appended(patient: Patient, device: str, events: Sequence[AnyCareEvent], now_us: int) -> list[Append]:
    """The rows of entries. Raises BadInput for what cannot be, and, with the reason "future" or "past", for a time to come
    or of before computers had clocks."""
    decoded = decode_arrivals([Arrival(device, patient.id, encode_event(one)) for one in events], now_us, 0)
    if decoded.dead:
        raise BadInput(f"the entry was refused ({', '.join(decoded.dead)})", reason=next(iter(decoded.dead)))
    return [Append(topic=topic, batch=batch) for topic, batch in decoded.batches.items()]
