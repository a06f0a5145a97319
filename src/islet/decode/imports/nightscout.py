"""Nightscout's entries.json and treatments.json, the answers of its third API, or what mongoexport writes: instants.

A sensor's value is in mg/dL, unless the entry names another unit, as the third API can.

Source: cgm-remote-monitor (lib/server/entries.js, treatments.js). Sensor values below 39 are error codes. Treatments may
write numbers as texts; their glucose, when it is there, has its own unit.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, Final, Literal

import msgspec
from msgspec import Struct, structs

from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.records import Record, amount, instant, loaded, records, word
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Method, Note, Reading
from islet.model.foreign_json import UNREADABLE
from islet.model.insulins import insulin_parts, is_mealtime
from islet.model.units import glucose_unit

_FIRST_VALUE: Final = 39.0
_ANSWER: Final = "result"
_UNITS: Final = {"mmol": "mmol/L", "mg": "mg/dL", "": "mg/dL"}
_LONGEST_MIN: Final = 1440.0
_OF_BLOOD: Final = ("finger", "meter")  # xDrip4iOS writes "Finger: 6,1 mmol"
_LONG_ACTING: Final = "Long-Acting"  # Juggluco's note of a dose
_PRIMING: Final = "PRIMING"  # AAPS' insulin that filled a tube, and nobody was given
_LEAST_U: Final = 0.05
_MMOL_COMMA: Final = re.compile(r"[0-9]{1,2},[0-9]")


class _Injection(Struct, frozen=True):
    """A part of a dose, as xDrip names it in `insulinInjections`."""

    insulin: str
    units: float


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
    glucose, units = _glucose(record, place), word(record, "units")
    if glucose and units and _is_of_blood(record, kind):
        yield Reading(time=at, value=glucose, unit=_unit(record), method="capillary")
    dose_u = amount(record, place, "insulin")
    if dose_u and word(record, "type") == _PRIMING:
        yield Note(time=at, text=f"Priming {dose_u:g} U")
    elif dose_u:
        called: Literal["correction", "bolus"] = "correction" if "Correction" in kind else "bolus"
        yield from _doses(record, Insulin(time=at, dose_u=dose_u, kind=called, name=kind[:200]))
    carbs_g = amount(record, place, "carbs")
    if carbs_g:
        yield Meal(time=at, carbs_g=carbs_g, text=notes[:2000])
    lasts_min = amount(record, place, "duration")
    if kind == "Exercise" and lasts_min:
        yield Exercise(time=at, duration_min=min(lasts_min, _LONGEST_MIN), kind=notes[:200])
    elif notes and not carbs_g:
        yield Note(time=at, text=notes[:2000])


def _glucose(record: Record, place: int) -> float | None:
    """A treatment's glucose; Trio and iAPS write it as the phone's language does."""
    text = word(record, "glucose")
    return amount({"glucose": text.replace(",", ".")} if _MMOL_COMMA.fullmatch(text) else record, place, "glucose")


def _is_of_blood(record: Record, kind: str) -> bool:
    """Whether a treatment's glucose was measured in blood. Trio and iAPS call what was typed in Manual."""
    said = word(record, "glucoseType").lower()
    return said.startswith(_OF_BLOOD) or (said == "manual" and kind == "BG Check")


def _doses(record: Record, dose: Insulin) -> Iterator[Insulin]:
    """The dose, or its parts where an app says of which insulins it was. One that acts for a day is not of a kind that acts
    at once, whatever the treatment is called; its name is the insulin's."""
    parts = _injections(record)
    if not parts or abs(sum(one.units for one in parts) - dose.dose_u) > _LEAST_U:
        parts = [_Injection(word(record, "insulinType"), dose.dose_u)]
    is_long = word(record, "notes") == _LONG_ACTING or record.get("isBasalInsulin") is True  # AAPS
    for part in parts:
        named = structs.replace(dose, dose_u=part.units, name=part.insulin[:200])
        if is_long or not is_mealtime(named):
            yield structs.replace(named, kind="premix" if len(insulin_parts(named)) > 1 else "basal")
        else:
            yield structs.replace(dose, dose_u=part.units)


def _injections(record: Record) -> list[_Injection]:
    """What xDrip says of a dose: a JSON text with its insulins; empty where it says nothing that can be read."""
    try:
        found = msgspec.json.decode(word(record, "insulinInjections"), type=list[_Injection])
    except UNREADABLE:
        return []
    return [one for one in found if one.units > 0]
