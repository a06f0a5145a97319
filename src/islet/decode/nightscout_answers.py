"""Readings, and what people did, as apps read them from Nightscout's first API; and what such a request asks for.

Sources: cgm-remote-monitor (lib/api, lib/server/query.js). Glucose is in mg/dL; 39 stands for LOW and 401 for HIGH, as
Dexcom's apps write them.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from islet.decode.nightscout import ID_DIGITS
from islet.errors import BadInput
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Medication, Note
from islet.model.series import Series
from islet.model.time import DAY_US, MINUTE_US, from_us, to_us

Document = dict[str, object]

USUAL_COUNT: Final = 10
MOST: Final = 10_000
_USUAL_SPAN_US: Final = 4 * DAY_US
_LONGEST_SPAN_US: Final = 366 * DAY_US
_FIND: Final = re.compile(r"find\[(\w{1,40})\](?:\[\$(\w{1,10})\])?(?:\[\])?")
_TIMES: Final = ("date", "mills", "dateString", "created_at", "timestamp", "sysTime")
_LONGEST_STEP_US: Final = 15 * MINUTE_US
_STEEP_MG_DL_MIN: Final = ((3.0, "Double"), (2.0, "Single"), (1.0, "FortyFive"))
_LOW, _HIGH = 39, 401


class Query(Struct, frozen=True, kw_only=True):
    """From `from_us` to before `to_us`, the newest `count` whose fields are `equal`."""

    from_us: int
    to_us: int
    count: int
    equal: Mapping[str, str]

    def chosen(self, documents: Iterable[Document]) -> list[Document]:
        """Those of the documents (the newest first) that are asked for."""
        found = [one for one in documents if all(str(one.get(name)) == text for name, text in self.equal.items())]
        return found[: self.count]


def query_of(parameters: Iterable[tuple[str, str]], now_us: int, usual_count: int = USUAL_COUNT) -> Query:
    """What the query of an address asks for; without times the last four days. Raises BadInput."""
    least, most, count, equal = None, now_us + DAY_US, usual_count, dict[str, str]()
    for name, text in parameters:
        if name == "count":
            count = _count(text)
        elif (found := _FIND.fullmatch(name)) is not None:
            field, how = found[1], found[2] or "eq"
            if how == "eq":
                equal[field] = text
            elif field in _TIMES and how in ("gte", "gt"):
                least = max(least or 0, _instant_us(field, text) + (how == "gt"))
            elif field in _TIMES and how in ("lte", "lt"):
                most = min(most, _instant_us(field, text) + (how == "lte"))
            else:
                raise BadInput("find: expected $gte, $gt, $lte or $lt of a time, or $eq of any field", reason="query")
    from_us = most - _USUAL_SPAN_US if least is None else max(least, most - _LONGEST_SPAN_US)
    return Query(from_us=from_us, to_us=most, count=count, equal=equal)


def entries_of(series: Series, device: str, kind: str) -> list[Document]:
    """Readings (n,) as `entries`, the newest first. `kind`: sgv of a sensor, mbg of a meter."""
    found, before = list[Document](), (0, 0)
    for time_us, tenths, beyond in zip(
        series.time_us.tolist(), series.glucose_tenths.tolist(), series.range.tolist(), strict=True
    ):
        value = _LOW if beyond < 0 else _HIGH if beyond > 0 else round(tenths / 10)
        one = {**_timed(kind, time_us, device), "type": kind, kind: value}
        if kind == "sgv":
            one |= _course(time_us - before[0], value - before[1])
            before = time_us, value
        found.append(one)
    return found[::-1]


def treatments_of(events: Sequence[tuple[str, AnyEvent]]) -> list[Document]:
    """What people did, each with the device that told it, as `treatments`; what Nightscout has no word for is left out.

    Only doses that act at once are insulin here: readers count all of it as on board for a few hours. Others are notes.
    """
    found = list[Document]()
    for device, event in events:
        teller = _TOLD.get(type(event))
        told = None if teller is None else teller(event)
        if told is not None:
            found.append({**_timed(str(told["eventType"]), to_us(event.time), device), "enteredBy": device, **told})
    return found


def _meal(event: Meal) -> Document | None:
    if event.carbs_g is None:
        return {"eventType": "Note", "notes": event.text} if event.text else None
    return {"eventType": "Carb Correction", "carbs": event.carbs_g, "notes": event.text}


def _insulin(event: Insulin) -> Document:
    if event.kind in ("bolus", "correction"):
        kind = "Correction Bolus" if event.kind == "correction" else "Bolus"
        return {"eventType": kind, "insulin": event.dose_u, "notes": event.name}
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


def _timed(kind: str, time_us: int, device: str) -> Document:
    """What every document has."""
    id = hashlib.sha256(f"{device} {kind} {time_us}".encode()).hexdigest()[:ID_DIGITS]
    text = from_us(time_us).isoformat(timespec="milliseconds").replace("+00:00", "Z")
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
        if text.isascii() and text.isdigit() and len(text) <= 15:
            return int(text) * 1000
        told = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in an address is a space
        return to_us(told if told.tzinfo else told.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise BadInput(f"find[{field}]: expected milliseconds since 1970 or an ISO 8601 time", reason="query") from None
