"""Tidepool's data, JSON or workbook (a sheet a type): instants, and glucose in mmol/L, unless it was exported in mg/dL.

Sources: Tidepool's data model (developer.tidepool.org), where glucose is in mmol/L whatever the account displays, and its
export (github.com/tidepool-org/export, data-tools.js), which turns values and `units` into what the person chose, adds
`localTime`, tells the minutes of basal rates and the days of activities, and names sheets and columns for people. A raw
record may name mg/dL beside a value in mmol/L: where all values of a file in mg/dL are below 40, they are in mmol/L. A
value out of the sensor's range carries the annotation `bg/out-of-range`; its value is then the limit. A basal record
says a rate and how long it was: its dose is both. What a pump was set to and what it uploaded are no events.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO, Final, Literal

from islet.decode.imports import tables
from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.records import Record, amount, instant, loaded, records, word
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Method, Note, Reading
from islet.model.units import glucose_unit

_TYPES: Final = frozenset({"cbg", "smbg", "bolus", "basal", "wizard", "food", "upload", "pumpSettings", "deviceEvent"})
_MOST_MIN: Final = 1440.0
_FEWEST_MG_DL: Final = 40.0
_FIRST_MS: Final = 60_000.0  # a minute in ms; six weeks in minutes
_ERRORS: Final = "EXPORT ERROR"
_FIELDS: Final = {
    "Zulu Time": "time",
    "Local Time": "localTime",
    "Tidepool Data Type": "type",
    "Tidepool Wizard Type": "type",
    "Value": "value",
    "Units": "units",
    "Device Id": "deviceId",
    "Annotations": "annotations",
    "Rate": "rate",
    "Duration": "duration",
    "Duration (mins)": "duration",
    "Normal": "normal",
    "Extended": "extended",
    "Sub Type": "subType",
    "Carb Input": "carbInput",
    "Name": "name",
    "Nutrition": "nutrition",
    "Reported Intensity": "reportedIntensity",
    "Alarm Type": "alarmType",
}
"""The export's headings, to the fields of the data model."""
_INTENSITIES: Final[Mapping[str, Literal["light", "moderate", "vigorous"]]] = {
    "low": "light",
    "medium": "moderate",
    "high": "vigorous",
}


def looks(content: object) -> bool:
    """Whether a JSON file is Tidepool's."""
    return isinstance(content, list) and any(
        isinstance(one, dict)
        and word(one, "type") in _TYPES
        and "time" in one
        and ("deviceId" in one or "uploadId" in one)
        for one in content[:200]
    )


def looks_sheets(names: Sequence[str], head: Sequence[tables.Row]) -> bool:
    """Whether a workbook is Tidepool's, by its sheets' names and the first sheet's first rows."""
    return _ERRORS in names or (bool(_TYPES & set(names)) and bool(head) and "deviceTime" in head[0].cells)


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a JSON export; a line is a record."""
    yield from _all(list(enumerate(records(loaded(stream)), start=1)))


def read_sheets(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a workbook; a line is a row of its sheet."""
    placed = []
    for name in tables.sheet_names(stream):
        table = tables.rows(stream, sheet=name)
        header = next(table, None)
        heads = [_FIELDS.get(str(cell), str(cell)) for cell in header.cells] if header else []
        for row in table:
            record = {head: _told(cell) for head, cell in zip(heads, row.cells, strict=False) if cell != ""}
            placed.append((row.line, record))
    yield from _all(placed)


def _told(cell: tables.Cell) -> object:
    """A cell as the JSON would have it; the export writes instants as a workbook's times in UTC."""
    return f"{cell.isoformat()}Z" if isinstance(cell, datetime) else cell


def _all(placed: Sequence[tuple[int, Record]]) -> Iterator[Item]:
    values = [
        amount(record, place, "value")
        for place, record in placed
        if record.get("type") in ("cbg", "smbg") and record.get("units") == "mg/dL"
    ]
    raw = bool(values) and max(value or 0.0 for value in values) < _FEWEST_MG_DL
    for place, record in placed:
        yield from _items({**record, "units": "mmol/L"} if raw else record, place)


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
    method: Method = "capillary" if record.get("type") == "smbg" else "cgm"
    unit = glucose_unit(word(record, "units") or "mmol/L")
    if value is not None:
        yield Reading(time=at, value=value, unit=unit, method=method, range=side)


def _bolus(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    normal, extended = amount(record, place, "normal"), amount(record, place, "extended")
    if normal is not None or extended is not None:
        yield Insulin(time=at, dose_u=(normal or 0.0) + (extended or 0.0), kind="bolus", name=word(record, "subType"))


def _basal(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    rate, lasts = amount(record, place, "rate"), amount(record, place, "duration")
    if rate and lasts:
        hours = lasts / 60 if "localTime" in record and lasts < _FIRST_MS else lasts / 3_600_000
        yield Insulin(time=at, dose_u=round(rate * hours, 4), kind="basal", name="pump basal")


def _wizard(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    carbs_g = amount(record, place, "carbInput")
    if carbs_g:
        yield Meal(time=at, carbs_g=carbs_g)


def _food(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    nutrition = _inside(record.get("nutrition"))
    carbohydrate = nutrition.get("carbohydrate") if isinstance(nutrition, dict) else None
    carbs_g = amount(carbohydrate, place, "net", "total") if isinstance(carbohydrate, dict) else None
    name = word(record, "name")
    if carbs_g is not None or name:
        yield Meal(time=at, carbs_g=carbs_g, text=name)


def _inside(value: object) -> object:
    """An object, also when the export wrote it as a text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None


def _activity(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    lasts = record.get("duration")
    if not isinstance(lasts, dict):
        lasts = {"value": lasts, "units": "days" if "localTime" in record else ""}
    value = amount(lasts, place, "value")
    per = {"days": 1440.0, "hours": 60.0, "minutes": 1.0, "seconds": 1 / 60}.get(word(lasts, "units"))
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
