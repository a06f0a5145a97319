"""Apple Health's export.xml, as a stream: exports exceed 1 GB, and what is held is one record.

Glucose, insulin, carbohydrates and workouts are read; other records are left out without a word. Units stand in each record:
`mg/dL`, or mmol with the molar mass that Apple reckons with, `mmol<180.1558800000541>/L`. Times have an offset. A glucose
record says no method: from a meter it has a meal time or was entered by hand, else it is taken as a sensor's.

Exports of iOS 16 are no XML: their DTD breaks off within a declaration, and texts hold control characters. The DTD is
not read (nothing of it is needed, and no entity can be declared), and such characters are blanks; lines keep their numbers.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import BinaryIO, Final, Literal
from xml.etree.ElementTree import Element

from islet.decode.imports.elements import elements
from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.errors import BadInput, UnknownUnit
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Reading
from islet.model.units import glucose_unit

_QUANTITY: Final = "HKQuantityTypeIdentifier"
_MOLAR_MASS: Final = re.compile(r"<[\d.]+>")
_BY_HAND: Final = {"HKWasUserEntered", "HKBloodGlucoseMealTime"}
_DELIVERY: Final = "HKInsulinDeliveryReason"
_DTD: Final = b"<!DOCTYPE"
_DTD_END: Final = re.compile(rb"<HealthData[\s>]")
_BUT_LINES: Final = re.compile(rb"[^\n]")
_ALLOWED: Final = bytes(32 if code < 32 and code not in (9, 10, 13) else code for code in range(256))
_PIECE: Final = 65_536
_LONGEST_DTD: Final = 1 << 20
_LONGEST_MIN: Final = 1440.0
_REASONS: Final[Mapping[str, Literal["basal", "bolus"]]] = {"1": "basal", "2": "bolus"}


def looks(head: bytes) -> bool:
    """Whether a file begins as Apple's export."""
    return b"<HealthData" in head or (b"<!DOCTYPE HealthData" in head)


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of an export; a line is a record (of all kinds). Raises BadInput where the XML is not whole."""
    stream.seek(0)
    for place, element in enumerate(elements(_Mended(stream)), start=1):
        yield from _items(element, place)


class _Mended:
    """The bytes of an export without its DTD and without what XML does not allow, as long as they were."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at_start = True

    def read(self, size: int = -1) -> bytes:
        """The next bytes; the first ones are read until the DTD ends, or is too long to be one."""
        piece = self._stream.read(size)
        if self._at_start:
            self._at_start = False
            while _DTD in piece and _DTD_END.search(piece) is None and len(piece) < _LONGEST_DTD:
                more = self._stream.read(_PIECE)
                piece += more
                if not more:
                    break
            piece = _without_dtd(piece)
        return piece.translate(_ALLOWED)


def _without_dtd(piece: bytes) -> bytes:
    """The beginning of an export with blanks in the place of its DTD."""
    begin = piece.find(_DTD)
    end = _DTD_END.search(piece, begin) if begin >= 0 else None
    if end is None:
        return piece
    return piece[:begin] + _BUT_LINES.sub(b" ", piece[begin : end.start()]) + piece[end.start() :]


def _items(element: Element, place: int) -> Iterator[Item]:
    kind = element.get("type", "").removeprefix(_QUANTITY)
    if element.tag == "Workout":
        event = _workout(element, place)
    elif element.tag == "Record" and kind in _MAKERS:
        event = _MAKERS[kind](element, place)
    else:
        return
    if event is None:
        yield Skipped(place, "a workout without a duration")
        return
    meter = isinstance(event, Reading) and event.method == "capillary"
    yield Found(place, device_name("apple", element.get("sourceName", ""), "meter" if meter else ""), event)


def _glucose(element: Element, place: int) -> AnyEvent:
    unit = glucose_unit(_MOLAR_MASS.sub("", element.get("unit", "")))
    told = {one.get("key", ""): one.get("value", "") for one in element.iter("MetadataEntry")}
    by_hand = any(told.get(key, "0") not in ("0", "") for key in _BY_HAND)
    value = _value(element, place)
    return Reading(time=_begin(element, place), value=value, unit=unit, method="capillary" if by_hand else "cgm")


def _insulin(element: Element, place: int) -> AnyEvent:
    reason = next((e.get("value", "") for e in element.iter("MetadataEntry") if e.get("key") == _DELIVERY), "")
    kind = _REASONS.get(reason) or "unknown"
    return Insulin(time=_begin(element, place), dose_u=_value(element, place), kind=kind)


def _carbs(element: Element, place: int) -> AnyEvent:
    if element.get("unit") != "g":
        raise UnknownUnit(element.get("unit", ""), ("g",))
    return Meal(time=_begin(element, place), carbs_g=_value(element, place))


def _workout(element: Element, place: int) -> AnyEvent | None:
    per = {"min": 1.0, "s": 1 / 60, "hr": 60.0}.get(element.get("durationUnit", ""))
    if per is None or not element.get("duration"):
        return None
    minutes = _value(element, place, "duration") * per
    kind = element.get("workoutActivityType", "").removeprefix("HKWorkoutActivityType")
    if minutes <= 0:
        return None
    return Exercise(time=_begin(element, place), duration_min=min(minutes, _LONGEST_MIN), kind=kind)


def _value(element: Element, place: int, name: str = "value") -> float:
    try:
        return float(element.get(name, ""))
    except ValueError:
        raise BadInput(f"record {place}, field {name}: expected a number; got something else", reason="value") from None


def _begin(element: Element, place: int) -> datetime:
    try:
        told = datetime.strptime(element.get("startDate", ""), "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(
            f"record {place}, field startDate: expected a time such as 2024-08-11 21:34:30 -0700; got something else",
            reason="time",
        ) from None
    return told


_MAKERS: Final = {
    "BloodGlucose": _glucose,
    "InsulinDelivery": _insulin,
    "DietaryCarbohydrates": _carbs,
}
