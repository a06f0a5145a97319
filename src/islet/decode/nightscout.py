"""What apps send to Nightscout's first API, as events.

Sources: cgm-remote-monitor (lib/api), the uploaders of xDrip and Loop. Times are instants; glucose is in mg/dL unless a
document names its unit.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, get_args

import msgspec

from islet.decode.imports.found import Found
from islet.decode.imports.nightscout import entry, treatment_events
from islet.decode.imports.records import Record, amount, instant, word
from islet.errors import BadInput
from islet.model.events import AnyEvent, DeviceStatus, Note
from islet.model.foreign_json import parse
from islet.model.time import to_us

Kind = Literal["entries", "treatments", "devicestatus"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_ID_DIGITS: Final = 24
LONGEST_ID: Final = 200
IDS: Final = ("identifier", "syncIdentifier", "uuid", "id")
"""Fields in which apps name a treatment by themselves (AAPS, Loop, xDrip, Trio)."""

_CALIBRATION: Final = "cal"
_NOT_CALIBRATED: Final = 5.0  # Dexcom's code where a value would be
_BY_THEMSELVES: Final = frozenset(
    {"", "<none>", "Temp Basal", "Temporary Target", "OpenAPS Offline", "Note", "Bolus Wizard"}
)
"""Treatments that are nothing a person did: a closed loop writes them every few minutes, and AAPS what it reckoned, and an
empty note for each profile that takes effect."""


def documents_in(body: bytes) -> list[dict[str, object]]:
    """The documents of a request: one, or an array of them. Raises BadInput."""
    if body.lstrip()[:1] == b"{":
        return [parse(body, dict[str, object], "body")]
    return parse(body, list[dict[str, object]], "body")


def events_of(kind: Kind, record: Record, received: datetime) -> list[AnyEvent]:
    """The events in a document, none where it says nothing that Islet keeps. `received` is the time of what has none.
    Raises BadInput where a field cannot be read."""
    if kind == "entries":
        return _entry_events(record)
    if kind == "treatments":
        return _treatment_events(record, received)
    return _status_events(record, received)


def with_id(record: Record, id: str = "") -> dict[str, object]:
    """The document as it is answered: with the sender's id, or the one that it is told with later, or, where that is "",
    one made of what it says."""
    return {"_id": id or made_id(msgspec.json.encode(record, order="deterministic")), **record}


def sender_id(record: Record, device: str, at: datetime) -> str:
    """By what a treatment is known: the sender's `_id`, or one made of another name of the sender's for it, or else of what
    Nightscout takes for it: its time and kind."""
    named = word(record, "_id")
    if named:
        return named[:LONGEST_ID]
    other = next((said for name in IDS if (said := word(record, name))), "")
    return other_id(device, other) if other else made_id(f"{device} {to_us(at)} {word(record, 'eventType')}".encode())


def other_id(device: str, name: str) -> str:
    """The id of a treatment that the sender has another name for."""
    return made_id(f"{device} {name}".encode())


def dated(record: Record, at: datetime) -> Record:
    """The document of a treatment with the time that it was taken with, where it says none or `eventTime`: xDrip4iOS sends a
    treatment again until it reads in an answer when it was."""
    has_its_own = record.get("created_at") and not record.get("eventTime")
    return record if has_its_own else {**record, "created_at": utc_text(at)}


def utc_text(at: datetime) -> str:
    """A time as Nightscout writes it: UTC, in milliseconds, with a Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def made_id(said: bytes) -> str:
    """An id as Nightscout's database makes them: 24 hexadecimal digits, always the same for the same bytes."""
    return hashlib.sha256(said).hexdigest()[:_ID_DIGITS]


def _entry_events(record: Record) -> list[AnyEvent]:
    """A reading, or what the sensor says instead of one; nothing of a calibration's slope."""
    if word(record, "type") == _CALIBRATION:
        return []
    found = entry(record, 1)
    if isinstance(found, Found):
        return [found.event]
    code = amount(record, 1, "sgv")
    if code is None:
        raise BadInput("entry: expected sgv or mbg; got neither", reason="schema")
    at = instant(record, 1, "date", "dateString")
    return [DeviceStatus(time=at, status="calibration_needed" if code == _NOT_CALIBRATED else "signal_lost")]


def _treatment_events(record: Record, received: datetime) -> list[AnyEvent]:
    """What was given, eaten, done or written down; another kind (a sensor was changed) is a note."""
    at = treatment_time(record, received)
    events = list(treatment_events(record, 1, at))
    kind = word(record, "eventType")
    return events if events or kind in _BY_THEMSELVES else [Note(time=at, text=kind[:200])]


def treatment_time(record: Record, received: datetime) -> datetime:
    """When a treatment was; `received` where it does not say. Raises BadInput."""
    return _when(record, received, "eventTime", "created_at", "timestamp", "mills", "date")


def _status_events(record: Record, received: datetime) -> list[AnyEvent]:
    """How full the phone's battery is, where it is said. xDrip tells those of the bridge and the transmitter as well: as one
    with the phone's they would be a battery that is low and full in turn."""
    uploader = record.get("uploader")
    inside, name = (uploader, "battery") if isinstance(uploader, Mapping) else (record, "uploaderBattery")
    if word(inside, "type").upper() not in ("", "PHONE"):
        return []
    percent = None if isinstance(inside.get(name), bool) else amount(inside, 1, name)
    if percent is None or not 0 <= percent <= 100:  # -1 where it is not known
        return []
    return [DeviceStatus(time=_when(record, received, "created_at", "mills"), battery_percent=percent)]


def _when(record: Record, received: datetime, *names: str) -> datetime:
    there = [name for name in names if record.get(name)]
    return instant(record, 1, *there) if there else received
