"""Nightscout's entries.json and treatments.json, the answers of its third API, or what mongoexport writes: instants.

A sensor's value is in mg/dL, unless the entry names another unit, as the third API can.

Source: cgm-remote-monitor (lib/server/entries.js, treatments.js). Sensor values below 39 are error codes. Treatments may
write numbers as texts; their glucose, when it is there, has its own unit.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, Final

from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.records import Record, amount, instant, loaded, records, word
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Method, Note, Reading
from islet.model.units import glucose_unit

_FIRST_VALUE: Final = 39.0
_ANSWER: Final = "result"
_UNITS: Final = {"mmol": "mmol/L", "mg": "mg/dL", "": "mg/dL"}
_LONGEST_MIN: Final = 1440.0


def looks(content: object) -> bool:
    """Whether a JSON file is Nightscout's."""
    if isinstance(content, dict):
        content = content.get(_ANSWER)
    return isinstance(content, list) and any(
        isinstance(one, dict) and ((("sgv" in one or "mbg" in one) and "date" in one) or "eventType" in one)
        for one in content[:200]
    )


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of an export; a line is a record."""
    for place, record in enumerate(records(loaded(stream), _ANSWER), start=1):
        if "eventType" in record:
            yield from _treatment(record, place)
        else:
            yield entry(record, place)


def entry(record: Record, place: int) -> Found | Skipped:
    """A record of entries.json. Raises BadInput."""
    sensor = amount(record, place, "sgv")
    finger = amount(record, place, "mbg")
    device = device_name("nightscout", word(record, "device"), "meter" if sensor is None else "")
    unit = _unit(record)
    if sensor is not None and sensor < _FIRST_VALUE and unit == "mg/dL":
        return Skipped(place, "a sensor's error code instead of a value")
    value = sensor if sensor is not None else finger
    if value is None:
        return Skipped(place, "an entry without a value (calibration)")
    at = instant(record, place, "date", "dateString")
    method: Method = "cgm" if sensor is not None else "capillary"
    return Found(place, device, Reading(time=at, value=value, unit=unit, method=method))


def _unit(record: Record) -> str:
    units = word(record, "units")
    return glucose_unit(_UNITS.get(units, units))


def _treatment(record: Record, place: int) -> Iterator[Item]:
    at = instant(record, place, "created_at", "timestamp", "mills", "date")
    events = list(treatment_events(record, place, at))
    for event in events:
        device = device_name("nightscout", word(record, "enteredBy"), "meter" if isinstance(event, Reading) else "")
        yield Found(place, device, event)
    if not events:
        yield Skipped(place, "a treatment without a value")


def treatment_events(record: Record, place: int, at: datetime) -> Iterator[AnyEvent]:
    """What is of use in a record of treatments.json. Raises BadInput."""
    kind, notes = word(record, "eventType"), word(record, "notes")
    glucose, units = amount(record, place, "glucose"), word(record, "units")
    if glucose and units and word(record, "glucoseType").lower() == "finger":
        yield Reading(time=at, value=glucose, unit=_unit(record), method="capillary")
    dose_u = amount(record, place, "insulin")
    if dose_u:
        yield Insulin(time=at, dose_u=dose_u, kind="correction" if "Correction" in kind else "bolus", name=kind[:200])
    carbs_g = amount(record, place, "carbs")
    if carbs_g:
        yield Meal(time=at, carbs_g=carbs_g, text=notes[:2000])
    lasts_min = amount(record, place, "duration")
    if kind == "Exercise" and lasts_min:
        yield Exercise(time=at, duration_min=min(lasts_min, _LONGEST_MIN), kind=notes[:200])
    elif notes and not carbs_g:
        yield Note(time=at, text=notes[:2000])
