"""Huawei Health: the copy of one's data that Huawei sends, and what the Health Kit REST API answers. Instants, mmol/L.

No file of a real account was at hand. What is assumed, and on what it rests:

- *The copy* (Privacy Center, "Health detail data & description", JSON): an array of records with startTime, endTime (ms),
  deviceCode, version, and samplePoints, each with key, value, startTime, endTime, unit; so public readers of the same file
  for heart rate and weight have it. Values are numbers, texts of numbers, or JSON in a text. Glucose by the app's own
  names: CONTINUE_BLOOD_SUGAR is a sensor's; BLOODGLUCOSE_BLOODSUGAR a finger's, an object with a field for each time of
  day (BLOOD_SUGAR_BF_BEFORE …), 0 where nothing was measured. Records with subUser are of another person.
- *The API* (`sampleSet:polymerize`): group, sampleSet, samplePoints with startTime (ns), dataTypeName, and value, a list of
  fieldName and floatValue. com.huawei.cgm_blood_glucose is a sensor's; com.huawei.instantaneous.blood_glucose a finger's,
  unless sample_source is 1 (interstitial fluid, as in Health Connect). `level` is in mmol/L (reference of Health Kit).
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import BinaryIO, Final

from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.records import Record, amount, loaded, records, word, wrong_field
from islet.errors import BadInput
from islet.model.events import Method, Reading
from islet.model.time import EPOCH

_SENSOR_KEY: Final = "CONTINUE_BLOOD_SUGAR"
_FINGER_KEY: Final = "BLOODGLUCOSE_BLOODSUGAR"
_SLOT: Final = "BLOOD_SUGAR_"
_SENSOR_TYPE: Final = "com.huawei.cgm_blood_glucose"
_FINGER_TYPE: Final = "com.huawei.instantaneous.blood_glucose"
_FIELDS: Final = ("level", "bloodSugar", "value", _SENSOR_KEY)
_INTERSTITIAL: Final = 1
_FIRST_NS, _FIRST_MS, _LAST_NS = 1e16, 1e11, 4e18
"""1970-04 in nanoseconds and 1973 in milliseconds; the two ranges do not meet."""

_Point = tuple[int, Record, Record]
"""The place of a record, the record, and one of its sample points."""


def looks(content: object) -> bool:
    """Whether a JSON file is Huawei's."""
    if isinstance(content, dict):
        return isinstance(content.get("group"), list) or isinstance(content.get("samplePoints"), list)
    return isinstance(content, list) and any(
        isinstance(one, dict)
        and (isinstance(one.get("samplePoints"), list) or str(one.get("dataTypeName", "")).startswith("com.huawei."))
        for one in content[:200]
    )


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a file; a line is a record. Of two versions of a record the newer one comes first."""
    for place, record, point in _points(loaded(stream)):
        key = word(point, "key") or word(point, "dataTypeName")
        if record.get("subUser"):
            yield Skipped(place, "a record of another person")
        elif key in (_SENSOR_TYPE, _FINGER_TYPE):
            yield _of_api(record, point, place, sensor=key == _SENSOR_TYPE)
        elif key in (_SENSOR_KEY, _FINGER_KEY) or key.startswith(_SLOT):
            yield _of_copy(record, point, place, key)
        else:
            yield Skipped(place, "a record of another kind, or without a value")


def _points(content: object) -> Iterator[_Point]:
    """Every sample point; of the API's answer each set of samples is a record."""
    if isinstance(content, dict) and isinstance(content.get("group"), list):
        content = [one for group in records(content, "group") for one in records(group.get("sampleSet", []))]
    elif isinstance(content, dict):
        content = [content]
    placed = list(enumerate(records(content), start=1))
    placed.sort(key=lambda one: -_version(one[1]))
    for place, record in placed:
        points = record.get("samplePoints")
        for point in records(points) if isinstance(points, list) else [record]:
            yield place, record, point


def _version(record: Record) -> float:
    version = record.get("version")
    return float(version) if isinstance(version, int | float) else 0.0


def _of_api(record: Record, point: Record, place: int, *, sensor: bool) -> Item:
    fields = {word(one, "fieldName"): one for one in records(point.get("value", []))}
    level = fields.get("level", {})
    value = amount(level, place, "floatValue", "integerValue", "doubleValue")
    source = amount(fields.get("sample_source", {}), place, "integerValue", "longValue")
    collector = word(point, "originalDataCollectorId") or word(record, "dataCollectorId")
    return _found(point, place, value, collector, sensor=sensor or source == _INTERSTITIAL)


def _of_copy(record: Record, point: Record, place: int, key: str) -> Item:
    told = _told(point.get("value"), place)
    if isinstance(told, Mapping):
        names = [name for name in told if name.startswith(_SLOT)] or [name for name in _FIELDS if name in told]
        if not names:
            raise wrong_field(place, "value", f"a number, or an object with {_SLOT}… or one of {', '.join(_FIELDS)}")
        measured = [one for name in names if (one := amount(told, place, name))]
        told = measured[0] if measured else None
    return _found(point, place, told, word(record, "deviceCode"), sensor=key == _SENSOR_KEY)


def _told(value: object, place: int) -> float | Record | None:
    """A number, an object, or either of them in a text."""
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise wrong_field(place, "value", "JSON in the text") from None
    return value if isinstance(value, Mapping) else amount({"value": value}, place, "value")


def _found(point: Record, place: int, value: float | None, source: str, *, sensor: bool) -> Item:
    if not value:
        return Skipped(place, "a record without a value")
    method: Method = "cgm" if sensor else "capillary"
    device = device_name("huawei", source.rpartition(".")[2], "" if sensor else "meter")
    return Found(place, device, Reading(time=_instant(point, place), value=value, unit="mmol/L", method=method))


def _instant(point: Record, place: int) -> datetime:
    """When it was measured: nanoseconds or milliseconds since 1970, which of them is plain from the number."""
    value = amount(point, place, "startTime")
    if value is None or not _FIRST_MS <= value < _LAST_NS:
        raise wrong_field(place, "startTime", "milliseconds or nanoseconds since 1970")
    try:
        return EPOCH + timedelta(milliseconds=value / 1e6 if value >= _FIRST_NS else value)
    except OverflowError:
        raise BadInput(f"record {place}, field startTime: expected a time that exists", reason="time") from None
