"""Tidepool's data, JSON or workbook (a sheet a type): instants, and glucose in mmol/L whatever the account displays.

Source: Tidepool's data model (developer.tidepool.org). A value out of the sensor's range carries the annotation
`bg/out-of-range`; its value is then the limit. A basal record says a rate and how long it was: its dose is both. What a
pump was set to and what it uploaded are no events.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO, Final, Literal

from islet.decode.imports import tables
from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.records import Record, amount, instant, loaded, records, word
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Note, Reading

_TYPES: Final = frozenset({"cbg", "smbg", "bolus", "basal", "wizard", "food", "upload", "pumpSettings", "deviceEvent"})
_MOST_MIN: Final = 1440.0
_INTENSITIES: Final[Mapping[str, Literal["light", "moderate", "vigorous"]]] = {
    "low": "light",
    "medium": "moderate",
    "high": "vigorous",
}


def looks(content: object) -> bool:
    """Whether a JSON file is Tidepool's."""
    return isinstance(content, list) and any(
        isinstance(one, dict)
        and one.get("type") in _TYPES
        and "time" in one
        and ("deviceId" in one or "uploadId" in one)
        for one in content[:200]
    )


def looks_sheets(names: Sequence[str], head: Sequence[tables.Row]) -> bool:
    """Whether a workbook is Tidepool's, by its sheets' names and the first sheet's first rows."""
    return bool(_TYPES & set(names)) and bool(head) and "deviceTime" in head[0].cells


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a JSON export; a line is a record."""
    for place, record in enumerate(records(loaded(stream)), start=1):
        yield from _items(record, place)


def read_sheets(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a workbook; a line is a row of its sheet."""
    for name in tables.sheet_names(stream):
        table = tables.rows(stream, sheet=name)
        header = next(table, None)
        heads = [str(cell) for cell in header.cells] if header else []
        for row in table:
            record = {head: cell for head, cell in zip(heads, row.cells, strict=False) if cell != ""}
            yield from _items(record, row.line)


def _items(record: Record, place: int) -> Iterator[Item]:
    kind = word(record, "type")
    if kind not in _MAKERS:
        yield Skipped(place, f"{kind or 'a record without a type'}: no event"[:60])
        return
    at = instant(record, place, "time")
    device = device_name("tidepool", word(record, "deviceId"), "meter" if kind == "smbg" else "")
    events = list(_MAKERS[kind](record, place, at))
    yield from (Found(place, device, event) for event in events)
    if not events:
        yield Skipped(place, f"{kind}: a record without a value")


def _reading(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    value = amount(record, place, "value")
    notes = str(record.get("annotations", ""))
    side: Literal["within", "below", "above"] = "within"
    if "bg/out-of-range" in notes:
        side = "below" if "low" in notes else "above"
    method: Literal["cgm", "capillary"] = "capillary" if record.get("type") == "smbg" else "cgm"
    if value is not None:
        yield Reading(time=at, value=value, unit="mmol/L", method=method, range=side)


def _bolus(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    normal, extended = amount(record, place, "normal"), amount(record, place, "extended")
    if normal is not None or extended is not None:
        yield Insulin(time=at, dose_u=(normal or 0.0) + (extended or 0.0), kind="bolus", name=word(record, "subType"))


def _basal(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    rate, lasts_ms = amount(record, place, "rate"), amount(record, place, "duration")
    if rate and lasts_ms:
        yield Insulin(time=at, dose_u=round(rate * lasts_ms / 3_600_000, 4), kind="basal", name="pump basal")


def _wizard(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    carbs_g = amount(record, place, "carbInput")
    if carbs_g:
        yield Meal(time=at, carbs_g=carbs_g)


def _food(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    nutrition = record.get("nutrition")
    carbohydrate = nutrition.get("carbohydrate") if isinstance(nutrition, dict) else None
    carbs_g = amount(carbohydrate, place, "net", "total") if isinstance(carbohydrate, dict) else None
    name = word(record, "name")
    if carbs_g is not None or name:
        yield Meal(time=at, carbs_g=carbs_g, text=name)


def _activity(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    lasts = record.get("duration")
    value = amount(lasts, place, "value") if isinstance(lasts, dict) else None
    per = {"hours": 60.0, "minutes": 1.0, "seconds": 1 / 60}.get(
        word(lasts, "units") if isinstance(lasts, dict) else ""
    )
    if value and per:
        intensity = _INTENSITIES.get(word(record, "reportedIntensity")) or "unknown"
        minutes = min(value * per, _MOST_MIN)
        yield Exercise(time=at, duration_min=minutes, intensity=intensity, kind=word(record, "name")[:200])


def _alarm(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    alarm = word(record, "alarmType")
    if alarm:
        yield Note(time=at, text=f"Alarm of the device: {alarm}")


_MAKERS: Final = {
    "cbg": _reading,
    "smbg": _reading,
    "bolus": _bolus,
    "basal": _basal,
    "wizard": _wizard,
    "food": _food,
    "physicalActivity": _activity,
    "deviceEvent": _alarm,
}
