"""Readings, and what people did, as apps read them from Nightscout's first API; and what such a request asks for.

Sources: cgm-remote-monitor (lib/api, lib/server/query.js). Glucose is in mg/dL; 39 stands for LOW and 401 for HIGH, as
Dexcom's apps write them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from msgspec import UNSET, Struct

from islet.decode.nightscout import made_id, utc_text
from islet.decode.nightscout_search import Condition, condition
from islet.errors import BadInput
from islet.model.care_events import care_event_id
from islet.model.events import AnyEvent, CareEvent, DeviceStatus, Exercise, Insulin, Meal, Medication, Note
from islet.model.series import Series
from islet.model.time import DAY_US, MINUTE_US, from_us, to_us

Document = dict[str, object]

USUAL_COUNT: Final = 10
MOST: Final = 10_000
_USUAL_SPAN_US: Final = 4 * DAY_US
_LONGEST_SPAN_US: Final = 366 * DAY_US
_FIND: Final = re.compile(r"find\[(\w{1,40})\](?:\[\$(\w{1,10})\])?(?:\[[0-9]{0,3}\])?")
_PLAIN: Final = re.compile(r"[\w ]{1,60}")
"""A pattern that is only what has to stand somewhere in a field; any other could take for ever."""
_MS_US: Final = 1_000
_MS: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_TIMES: Final = ("date", "mills", "dateString", "created_at", "timestamp", "sysTime")
_LONGEST_STEP_US: Final = 15 * MINUTE_US
_STEEP_MG_DL_MIN: Final = ((3.0, "Double"), (2.0, "Single"), (1.0, "FortyFive"))
_LOW, _HIGH = 39, 401
_NO_INSULINS: Final = frozenset(
    {"<none>", "Bolus", "Meal Bolus", "Snack Bolus", "Correction Bolus", "Combo Bolus", "Bolus Wizard", "SMB"}
)
"""What treatments are called that give insulin; a dose is kept with it where its insulin is not named."""
CHANGES: Final = (
    "Site Change",
    "Sensor Change",
    "Sensor Start",
    "Sensor Stop",
    "Insulin Change",
    "Pump Battery Change",
)
"""Treatments that are kept as notes of that text. Home Assistant asks for the last of each, every few minutes, Nightguard and LoopFollow of some."""
TOLD_KINDS: Final = (*sorted(_NO_INSULINS - {"<none>"}), "Carb Correction", "Exercise", "Note", *CHANGES)
"""What the treatments are called that are told."""
_MEAL_BOLUSES: Final = _NO_INSULINS - {"<none>", "Bolus", "Correction Bolus", "SMB"}


class Treatment(NamedTuple):
    """A treatment as it is read, the device that told it, and the ids of the entries that it is made of."""

    device: str
    document: Document
    entries: tuple[str, ...]


class Query(Struct, frozen=True, kw_only=True):
    """From `from_us` to before `to_us` (`is_bounded`: as the query says), the newest `count` whose fields are `equal`, and not
    `unequal`, and of which all `others` hold."""

    from_us: int
    to_us: int
    count: int
    equal: Mapping[str, str]
    is_bounded: bool = False
    unequal: frozenset[tuple[str, str]] = frozenset()
    others: tuple[Condition, ...] = ()

    @property
    def is_of_fields(self) -> bool:
        """Whether it says something of any field but the time."""
        return bool(self.equal or self.unequal or self.others)

    @property
    def most(self) -> int:
        """How many of the newest of one kind are to be looked at to find so many."""
        fields = {*self.equal, *(name for name, _ in self.unequal)}
        return self.count if fields <= {"type"} and not self.others else MOST

    def takes(self, kind: str) -> bool:
        """Whether documents of that type are asked for."""
        is_other = any(one.field == "type" and not one.holds({"type": kind}) for one in self.others)
        return self.equal.get("type", kind) == kind and ("type", kind) not in self.unequal and not is_other

    def chosen(self, documents: Iterable[Document]) -> list[Document]:
        """Those of the documents (the newest first) that are asked for."""
        return [
            one
            for one in documents
            if all(str(one.get(name)) == text for name, text in self.equal.items())
            and not any(str(one.get(name)) == text for name, text in self.unequal)
            and all(other.holds(one) for other in self.others)
        ][: self.count]


def query_of(parameters: Iterable[tuple[str, str]], now_us: int, usual_count: int = USUAL_COUNT) -> Query:
    """What the query of an address asks for; without times the last four days. Raises BadInput."""
    least, most, count = None, now_us + DAY_US, usual_count
    equal, unequal, others = dict[str, str](), set[tuple[str, str]](), list[tuple[str, str, str]]()
    for name, text in parameters:
        if name == "count":
            count = _count(text)
        elif (found := _FIND.fullmatch(name)) is not None:
            field, how = found[1], found[2] or "eq"
            if how == "eq" and field in _TIMES:
                least, most = max(least or 0, at := _instant_us(field, text)), min(most, at + _MS_US)
            elif how == "eq":
                equal[field] = text
            elif how == "ne":
                unequal.add((field, text))
            elif field in _TIMES and how in ("gte", "gt"):
                least = max(least or 0, _instant_us(field, text) + (how == "gt"))
            elif field in _TIMES and how in ("lte", "lt"):
                most = min(most, _instant_us(field, text) + (how == "lte"))
            else:
                others.append((field, how, text))
    from_us = most - _USUAL_SPAN_US if least is None else max(least, most - _LONGEST_SPAN_US)
    return Query(
        from_us=from_us,
        to_us=most,
        count=count,
        equal=equal,
        is_bounded=least is not None,
        unequal=frozenset(unequal),
        others=_conditions(others),
    )


def _conditions(said: Iterable[tuple[str, str, str]]) -> tuple[Condition, ...]:
    """Of fields, how, and texts: Trio asks for treatments with carbs, others for a value above 0, or for any change. Raises
    BadInput."""
    found = dict[tuple[str, str], list[str]]()
    for field, how, text in said:
        known = {"regex": "has"}.get(how, how)
        if known not in ("exists", "has", "in", "nin", "gt", "gte", "lt", "lte") or field in _TIMES:
            raise BadInput(f"find[{field}][${how}]: it is not understood", reason="query")
        if known == "has" and not _PLAIN.fullmatch(text):
            raise BadInput(f"find[{field}][$regex]: expected letters, digits and spaces", reason="query")
        found.setdefault((field, known), []).append(text)
    made = list[Condition]()
    for (field, how), texts in found.items():
        each = [texts] if how in ("in", "nin") else [[one] for one in texts]
        made += [condition(field, how, one) for one in each]
    return tuple(made)


def entries_of(series: Series, device: str, kind: str, most: int = MOST) -> list[Document]:
    """The newest of readings (n,), `most` of them, as `entries`, the newest first. `kind`: sgv of a sensor, mbg of a meter."""
    found, before = list[Document](), (0, 0)
    newest = slice(max(0, len(series) - most - 1), None)  # and one, for the change since
    for time_us, tenths, beyond in zip(
        series.time_us[newest].tolist(),
        series.glucose_tenths[newest].tolist(),
        series.range[newest].tolist(),
        strict=True,
    ):
        value = _LOW if beyond < 0 else _HIGH if beyond > 0 else round(tenths / 10)
        one = {**_timed(made_id(f"{device} {kind} {time_us}".encode()), time_us, device), "type": kind, kind: value}
        if kind == "sgv":
            one |= _course(time_us - before[0], value - before[1])
            before = time_us, value
        found.append(one)
    return found[::-1][:most]


def treatments_of(events: Sequence[tuple[str, AnyEvent]]) -> list[Document]:
    """What people did, each with the device that told it, as `treatments`; what Nightscout has no word for is left out.

    What one device says of one instant is one treatment, as it was sent: an app that reads what it has sent knows it by its
    id or its amounts, and would take two halves for two more. Only doses that act at once are insulin here: readers count
    all of it as on board for a few hours. Others are notes.
    """
    return [one.document for one in treatments_told(events)]


def treatments_told(events: Sequence[tuple[str, AnyEvent]]) -> list[Treatment]:
    """The same, with the entries that each is made of."""
    found = list[tuple[str, int, str, Document, tuple[str, ...]]]()
    for device, event in sorted(
        events, key=lambda one: (-to_us(one[1].time), one[0], getattr(one[1], "id", UNSET) or "")
    ):
        teller = _TOLD.get(type(event))
        told = None if teller is None else teller(event)
        if told is None or not isinstance(event, CareEvent):
            continue
        of = device, to_us(event.time), "" if event.id is UNSET else event.id
        both = _together(found[-1][3], told) if found and found[-1][:3] == of else None
        if both is None:
            found.append((*of, told, (care_event_id(event),)))
        else:
            found[-1] = (*of, both, (*found[-1][4], care_event_id(event)))
    seen = Counter[tuple[str, int]]()
    treatments = list[Treatment]()
    known = set[str]()
    for device, time_us, own_id, told, entries in found:
        id = treatment_id(device, time_us, seen[device, time_us]) if not own_id or own_id in known else own_id
        known.add(id)
        seen[device, time_us] += 1
        if told["eventType"] == "Note" and told["notes"] in CHANGES:
            told = {**told, "eventType": told["notes"], "notes": ""}
        said = {name: value for name, value in told.items() if value != ""}  # to xDrip no notes and empty ones differ
        document = {**_timed(id, time_us, device), "enteredBy": device, **said}
        treatments.append(Treatment(device, document, entries))
    return treatments


def status_told(device: str, event: AnyEvent) -> Document | None:
    """What a device said of its battery, as `devicestatus`; None where it said nothing of it."""
    if not isinstance(event, DeviceStatus) or event.battery_percent is None:
        return None
    time_us, percent = to_us(event.time), round(event.battery_percent)
    said = {"uploaderBattery": percent, "uploader": {"battery": percent}}
    return {**_timed(made_id(f"{device} status {time_us}".encode()), time_us, device), **said}


def treatment_id(device: str, time_us: int, before: int = 0) -> str:
    """By what a treatment is known that a device tells of an instant, after so many others of it."""
    return made_id(f"{device} {time_us} {before}".encode())


def _together(one: Document, other: Document) -> Document | None:
    """Two parts of a treatment as one; None where they are two."""
    kinds, notes = (one["eventType"], other["eventType"]), [told["notes"] for told in (one, other) if told["notes"]]
    if len(notes) > 1 or (one.keys() & other.keys()) != {"eventType", "notes"}:
        return None
    both = {**one, **other, "notes": notes[0] if notes else ""}
    if "insulin" in both and "carbs" in both:
        named = next((kind for kind in kinds if kind in _MEAL_BOLUSES), "Meal Bolus")
        return {**both, "eventType": named}
    return {**both, "eventType": kinds[kinds[0] == "Note"]} if "Note" in kinds else None


def _meal(event: Meal) -> Document | None:
    if event.carbs_g is None:
        return {"eventType": "Note", "notes": event.text} if event.text else None
    return {"eventType": "Carb Correction", "carbs": event.carbs_g, "notes": event.text}


def _insulin(event: Insulin) -> Document:
    if event.kind in ("bolus", "correction"):
        usual = "Correction Bolus" if event.kind == "correction" else "Bolus"
        kind = event.name if event.name in _NO_INSULINS and event.name != "<none>" else usual
        return {"eventType": kind, "insulin": event.dose_u, "notes": "" if event.name in _NO_INSULINS else event.name}
    return {"eventType": "Note", "notes": f"{event.kind} {event.dose_u:g} U {event.name}".strip()}


def _exercise(event: Exercise) -> Document:
    return {"eventType": "Exercise", "duration": event.duration_min, "notes": event.kind}


def _medication(event: Medication) -> Document:
    dose = "" if event.dose is None else f" {event.dose:g} {event.dose_unit}"
    return {"eventType": "Note", "notes": f"{event.name}{dose}".strip()}


def _note(event: Note) -> Document:
    return {"eventType": "Note", "notes": event.text}


_TOLD: Final[Mapping[type, Callable[..., Document | None]]] = {
    Meal: _meal,
    Insulin: _insulin,
    Exercise: _exercise,
    Medication: _medication,
    Note: _note,
}


def _timed(id: str, time_us: int, device: str) -> Document:
    """What every document has."""
    text = utc_text(from_us(time_us))
    return {
        "_id": id,
        "device": device,
        "date": time_us // 1000,
        "mills": time_us // 1000,
        "dateString": text,
        "sysTime": text,
        "created_at": text,
        "utcOffset": 0,
    }


def _course(after_us: int, change: int) -> Document:
    """Change in five minutes, and arrow, of a value that differs so from the one before; where that is too long ago, no
    arrow, and a change of 0, as some apps cannot do without a number."""
    if not 0 < after_us <= _LONGEST_STEP_US:
        return {"delta": 0, "direction": "NONE"}
    slope = change * MINUTE_US / after_us
    steep = next((name for least, name in _STEEP_MG_DL_MIN if abs(slope) >= least), "")
    arrow = f"{steep}{'Up' if slope > 0 else 'Down'}" if steep else "Flat"
    return {"delta": round(5 * slope, 3), "direction": arrow}


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadInput("count: expected a whole number", reason="query")
    return min(int(text) or MOST, MOST)  # 0 is no limit


def _instant_us(field: str, text: str) -> int:
    """Milliseconds since 1970, or a time with its offset. Raises BadInput."""
    try:
        if _MS.fullmatch(text):
            return round(float(text) * 1000)
        told = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in an address is a space
        return to_us(told if told.tzinfo else told.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise BadInput(f"find[{field}]: expected milliseconds since 1970 or an ISO 8601 time", reason="query") from None
