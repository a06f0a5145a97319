"""Health Connect's records as JSON: blood glucose, nutrition, exercise, with instants.

Field names are those of androidx.health.connect.client.records (BloodGlucoseRecord, NutritionRecord,
ExerciseSessionRecord). The level names its unit by its field. specimenSource 1 is interstitial fluid, a sensor's. The
records are an array, or the arrays of an object, which programs name as they like.
"""

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.records import Record, amount, instant, loaded, records, word, wrong_field
from islet.model.events import AnyEvent, Exercise, Meal, Method, Reading
from islet.model.units import glucose_unit

_UNITS: Final = {
    "inMilligramsPerDeciliter": "mg/dL",
    "milligramsPerDeciliter": "mg/dL",
    "inMillimolesPerLiter": "mmol/L",
    "millimolesPerLiter": "mmol/L",
}
_INTERSTITIAL: Final = "interstitial_fluid"
_LONGEST_MIN: Final = 1440.0


def looks(content: object) -> bool:
    """Whether a JSON file holds records of Health Connect."""
    told = _joined(content)
    return isinstance(told, list) and any(
        isinstance(one, dict)
        and (("level" in one and "time" in one) or "totalCarbohydrate" in one or "exerciseType" in one)
        for one in told[:200]
    )


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a file; a line is a record."""
    for place, record in enumerate(records(_joined(loaded(stream))), start=1):
        event = _event(record, place)
        if event is None:
            yield Skipped(place, "a record of another kind, or without a value")
            continue
        metadata = record.get("metadata")
        origin = metadata.get("dataOrigin") if isinstance(metadata, dict) else ""
        source = word(origin, "packageName") if isinstance(origin, dict) else str(origin or "")
        meter = "meter" if isinstance(event, Reading) and event.method == "capillary" else ""
        yield Found(place, device_name("health-connect", source, meter), event)


def _joined(content: object) -> object:
    """The array, or the arrays of an object one after the other."""
    if not isinstance(content, dict):
        return content
    arrays = [value for value in content.values() if isinstance(value, list)]
    return [one for array in arrays for one in array if isinstance(one, dict)] if arrays else content


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


def _is_sensors(record: Record) -> bool:
    source = word(record, "specimenSource")
    return source == "1" or source.lower().endswith(_INTERSTITIAL)


def _reading(record: Record, place: int) -> Reading:
    level = record["level"]
    method: Method = "cgm" if _is_sensors(record) else "capillary"
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
