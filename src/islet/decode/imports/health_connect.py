"""Health Connect's records as JSON: blood glucose, nutrition, exercise, with instants.

Field names are those of androidx.health.connect.client.records (BloodGlucoseRecord, NutritionRecord,
ExerciseSessionRecord). The level names its unit by its field. specimenSource 1 is interstitial fluid, a sensor's.
"""

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final, Literal

from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.records import Record, amount, instant, loaded, records, word, wrong_field
from islet.model.events import AnyEvent, Exercise, Meal, Reading
from islet.model.units import glucose_unit

_UNITS: Final = {
    "inMilligramsPerDeciliter": "mg/dL",
    "milligramsPerDeciliter": "mg/dL",
    "inMillimolesPerLiter": "mmol/L",
    "millimolesPerLiter": "mmol/L",
}
_ARRAYS: Final = ("records", "bloodGlucoseRecords", "data")
_INTERSTITIAL: Final = ("1", "interstitial_fluid", "SPECIMEN_SOURCE_INTERSTITIAL_FLUID")
_LONGEST_MIN: Final = 1440.0


def looks(content: object) -> bool:
    """Whether a JSON file holds records of Health Connect."""
    if isinstance(content, dict):
        content = next((content[name] for name in _ARRAYS if isinstance(content.get(name), list)), None)
    return isinstance(content, list) and any(
        isinstance(one, dict)
        and (("level" in one and "time" in one) or "totalCarbohydrate" in one or "exerciseType" in one)
        for one in content[:200]
    )


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a file; a line is a record."""
    for place, record in enumerate(records(loaded(stream), *_ARRAYS), start=1):
        event = _event(record, place)
        if event is None:
            yield Skipped(place, "a record of another kind, or without a value")
            continue
        metadata = record.get("metadata")
        origin = metadata.get("dataOrigin") if isinstance(metadata, dict) else ""
        source = word(origin, "packageName") if isinstance(origin, dict) else str(origin or "")
        meter = "meter" if isinstance(event, Reading) and event.method == "capillary" else ""
        yield Found(place, device_name("health-connect", source, meter), event)


def _event(record: Record, place: int) -> AnyEvent | None:
    if "level" in record:
        return _reading(record, place)
    if "totalCarbohydrate" in record:
        carbs_g = _grams(record["totalCarbohydrate"], place)
        return Meal(time=instant(record, place, "startTime", "time"), carbs_g=carbs_g, text=word(record, "name"))
    if "exerciseType" in record:
        begin, end = instant(record, place, "startTime"), instant(record, place, "endTime")
        minutes = (end - begin).total_seconds() / 60
        kind = word(record, "title") or word(record, "exerciseType")
        return Exercise(time=begin, duration_min=min(minutes, _LONGEST_MIN), kind=kind[:200]) if minutes > 0 else None
    return None


def _reading(record: Record, place: int) -> Reading:
    level = record["level"]
    method: Literal["cgm", "capillary"] = "cgm" if word(record, "specimenSource") in _INTERSTITIAL else "capillary"
    at = instant(record, place, "time")
    if isinstance(level, Mapping):
        for field, unit in _UNITS.items():
            value = amount(level, place, field)
            if value is not None:
                return Reading(time=at, value=value, unit=unit, method=method)
        value = amount(level, place, "value")
        if value is not None and word(level, "unit"):
            return Reading(time=at, value=value, unit=glucose_unit(word(level, "unit")), method=method)
    raise wrong_field(place, "level", "an amount that names its unit (inMilligramsPerDeciliter, inMillimolesPerLiter)")


def _grams(told: object, place: int) -> float | None:
    if isinstance(told, dict):
        return amount(told, place, "inGrams", "grams")
    raise wrong_field(place, "totalCarbohydrate", "an amount that names its unit (inGrams)")
